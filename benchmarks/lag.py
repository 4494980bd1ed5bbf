"""The loop's lag: whether a handler that blocks keeps an event loop from its other work.

Rules for this file: a lag is said in units of the handler's own sleep, beside that of an idle loop in the same process. One
tenth of the ticks may be late for any reason: the machine is shared. A loop that a handler blocks is late at nearly every tick.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from benchmarks.gate import Goal, Result
from otel_callbacks.callbacks import AsyncCallbackManager, BaseCallbackHandler

SLEEP_S: Final = 0.05
RUNS: Final = 200
NAME: Final = f"lag of the loop, {RUNS} runs with a handler that sleeps"
_TICK_S: Final = 0.005
_THREADS: Final = 64  # else the runs would wait for each other, which is not what is measured


class Sleeper(BaseCallbackHandler):
    """Blocks its thread at every start and end."""

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        """Block."""
        del serialized, inputs, kwargs
        time.sleep(SLEEP_S)

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        """Block."""
        del outputs, kwargs
        time.sleep(SLEEP_S)


class InlineSleeper(Sleeper):
    """Blocks the loop: the slowdown that can be planted here."""

    run_inline = True


async def _run(manager: AsyncCallbackManager) -> None:
    run = await manager.on_chain_start(None, {})
    await run.on_chain_end({})


async def _lags_s(work: asyncio.Future[Any]) -> list[float]:
    """Return by how much each tick is late until *work* is done."""
    late = []
    while not work.done():
        before = time.perf_counter()
        await asyncio.sleep(_TICK_S)
        late.append(time.perf_counter() - before - _TICK_S)
    return late


async def _measured(handler: Sleeper) -> tuple[list[float], list[float]]:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_THREADS))
    manager = AsyncCallbackManager([handler])
    began = loop.time()
    busy = await _lags_s(
        asyncio.gather(*(_run(manager) for _ in range(RUNS if not handler.run_inline else 4)))
    )
    idle = await _lags_s(asyncio.ensure_future(asyncio.sleep(loop.time() - began)))
    return busy, idle


def loop_lag(*, planted: bool = False) -> Result:
    """Return the ninth decile of the loop's lag while runs are told to a handler that blocks; *planted*: inline."""
    busy, idle = (
        _ninth_decile(lags) for lags in asyncio.run(_measured((InlineSleeper if planted else Sleeper)()))
    )
    return Result(
        NAME,
        "the handler's sleep",
        Goal(final=0.10, gate=0.50),
        count=busy / SLEEP_S,
        detail=f"{busy * 1_000:.2f} ms, idle loop {idle * 1_000:.2f} ms",
    )


def _ninth_decile(lags: list[float]) -> float:
    return statistics.quantiles(lags, n=10, method="inclusive")[-1] if len(lags) > 1 else lags[0]
