"""What the engine asks of the thing that turns runs into telemetry."""

from __future__ import annotations

from typing import Any, Protocol

from otel_callbacks.core.events import Description, RunEnded, RunNoted
from otel_callbacks.core.runs import Run


class Sink(Protocol):
    """Turns effects into telemetry. Called in the thread and the context of the callback."""

    def open(
        self, run: Run, description: Description, parent: Any, previous: Any, *, framework: bool
    ) -> None:
        """Start what stands for *run*, with ``run.attributes``, and keep it in ``run.span``.

        *parent* is ``run.parent.span``, else what `close` returned for an ended parent, else None: a root. *previous* is
        what `close` returned for an earlier run of the same id. With *framework*, the start came from a framework that
        marks in whose body code runs.
        """
        ...

    def mute(self, run: Run, parent: Any, *, framework: bool) -> None:
        """Let what is made in the body of *run* be below *parent*, which is not sampled; keep what does so in ``run.span``."""
        ...

    def note(self, run: Run, note: RunNoted) -> None:
        """Add a span event."""
        ...

    def close(self, run: Run, ended: RunEnded) -> Any:
        """End what stands for *run* with ``run.attributes``; return what later runs need to refer to it."""
        ...
