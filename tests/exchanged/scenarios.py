"""Every subject, in every way to call it, with every kind of handler."""

from __future__ import annotations

import asyncio
import gc
import json
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from tests.exchanged.recorders import KINDS, Plain, by_run, in_order
from tests.exchanged.subjects import CONCURRENT, SUBJECTS

Config = dict[str, Any]


def _first_of(stream: Any) -> list[Any]:
    first = next(stream)
    stream.close()
    return [first]


async def _all(stream: AsyncIterator[Any]) -> list[Any]:
    return [each async for each in stream]


async def _afirst_of(stream: Any) -> list[Any]:
    first = await anext(stream)
    await stream.aclose()
    return [first]


def _one_by_one(config: Config) -> Any:
    return {**config, "max_concurrency": 1}


SYNC: dict[str, Callable[[Any, Any, Any], Any]] = {
    "invoke": lambda subject, given, config: subject.invoke(given, _one_by_one(config)),
    # Without return_exceptions, how much of the rest is still done is left to the threads' chance.
    "batch": lambda subject, given, config: subject.batch(
        [given, given], _one_by_one(config), return_exceptions=True
    ),
    "stream": lambda subject, given, config: list(subject.stream(given, _one_by_one(config))),
    "stream closed": lambda subject, given, config: _first_of(subject.stream(given, _one_by_one(config))),
}
ASYNC: dict[str, Callable[[Any, Any, Any], Awaitable[Any]]] = {
    "ainvoke": lambda subject, given, config: subject.ainvoke(given, config),
    "abatch": lambda subject, given, config: subject.abatch(
        [given, given], _one_by_one(config), return_exceptions=True
    ),
    "astream": lambda subject, given, config: _all(subject.astream(given, config)),
    "astream closed": lambda subject, given, config: _afirst_of(subject.astream(given, config)),
    "astream_events v1": lambda subject, given, config: _all(
        subject.astream_events(given, config, version="v1")
    ),
    "astream_events v2": lambda subject, given, config: _all(
        subject.astream_events(given, config, version="v2")
    ),
    "astream_log": lambda subject, given, config: _all(subject.astream_log(given, config)),
}
WITH_ITS_OWN = frozenset({"astream_events v1", "astream_events v2", "astream_log"})
"""Ways that bring a handler of their own; one more beside it is enough."""

ENDING = frozenset({"astream closed"})
"""Ways after which the generators inside are closed by the loop, in no particular order."""

AT_ONCE = frozenset({"abatch"})
"""Ways in which runs overlap, whatever the subject: a handler that is called in threads is told of them in any order."""

IN_TURN = frozenset({"invoke", "batch"})
"""Ways in which one thread at a time does all."""

THOROUGH = frozenset({"invoke", "stream", "ainvoke", "astream"})
"""Ways that are played with every kind of handler; the others with the two that differ most."""


def _kinds(way: str) -> tuple[str, ...]:
    if way in WITH_ITS_OWN:
        return ("sync",)
    return tuple(KINDS) if way in THOROUGH else ("sync", "async")


async def _settled(work: Awaitable[Any]) -> Any:
    """Await *work*, and what its generators still have to say."""
    try:
        return await work
    finally:
        gc.collect()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)


def _play(subject: str, way: str, kind: str) -> str:
    make, given = SUBJECTS[subject]
    handler = KINDS[kind]()
    config = {"callbacks": [handler], "tags": ["t"], "metadata": {"k": 1}}
    try:
        if way in SYNC:
            got = SYNC[way](make(), given, config)
        else:
            got = asyncio.run(_settled(ASYNC[way](make(), given, config)))
    except Exception as error:
        got = error
    gc.collect()  # a stream that was left is closed now, not in the middle of what comes next
    concurrent = way in ENDING or (subject in CONCURRENT and way not in IN_TURN)
    told = (by_run if concurrent or way in AT_ONCE else in_order)(handler.told)
    # Text, because the collector would look through all that was noted so far, again and again.
    return json.dumps([told, None if concurrent else Plain()(got)], sort_keys=True)


def play() -> dict[str, str]:
    """Return what came of each scenario, by subject, way and kind of handler."""
    warnings.simplefilter("ignore")
    gc.disable()
    gc.freeze()
    return {
        f"{subject}, {way}, {kind}": _play(subject, way, kind)
        for subject in SUBJECTS
        for way in (*SYNC, *ASYNC)
        if not (
            subject in CONCURRENT and "closed" in way
        )  # who is cancelled and who is closed is left to chance
        for kind in _kinds(way)
    }
