"""What the engine asks of what turns runs into telemetry: one sink makes the spans, observers see what has ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from otel_callbacks.core.events import Description, RunEnded, RunNoted
from otel_callbacks.core.runs import Run


class Sink(Protocol):
    """Turns effects into telemetry. Called in the thread and the context of the callback."""

    def open(
        self, run: Run, description: Description, parent: Any, previous: Any, *, framework: bool
    ) -> None:
        """Start what stands for *run*, with ``run.attributes``: kept in ``run.span``, and what refers to it in ``run.reference``.

        *parent* is the parent run if that was open when it was looked up, else the reference to an ended one, else None: a
        root. *previous* refers to an earlier run of the same id. With *framework*, the start came from a framework that
        marks in whose body code runs.
        """
        ...

    def mute(self, run: Run, parent: Any, *, framework: bool) -> None:
        """Let what is made in the body of *run* be below *parent*, which is not sampled; keep what does so as `open` does."""
        ...

    def hide(self, run: Run, parent: Any, *, framework: bool) -> None:
        """Let what is made in the body of *run* be below *parent*, or below what is current; keep what does so as `open` does.

        At its end, an exception that no run below it has recorded is recorded there.
        """
        ...

    def note(self, run: Run, note: RunNoted) -> None:
        """Add a span event."""
        ...

    def close(self, run: Run, ended: RunEnded) -> None:
        """End what stands for *run* with ``run.attributes``."""
        ...


class Observer(Protocol):
    """Is told of every run that has ended, one that is not sampled included: for metrics and log events."""

    def ended(self, run: Run, ended: RunEnded) -> None:
        """Observe *run*, its attributes final, its span closed; ``ended.attributes`` are as they were read, unredacted."""
        ...


class Content(Protocol):
    """Takes down what was said in a run, as far as it is wanted, redacted and limited, by its own rules.

    Into ``run.attributes`` what the span is to say, into ``run.content`` what observers are to say. An exception costs the
    content of that callback, and nothing else.

    Attributes:
        recorded: What is said may be in telemetry, and so what errors quote of it.
        always: Runs that are not sampled are taken down as well.
    """

    recorded: bool
    always: bool

    def started(self, run: Run, given: object, serialized: object, extra: Mapping[str, Any]) -> None:
        """Take down what went in: messages, prompts, a tool's input, a query, a chain's inputs. Nothing is kept alive."""
        ...

    def ended(self, run: Run, output: object) -> None:
        """Take down what came out; None, or a partial result, if the run failed."""
        ...

    def closed(self, run: Run) -> None:
        """Do what is to be done with what was taken down, before *run* ends, however it ends."""
        ...


def content_of(run: Run) -> Content | None:
    """Return what takes down what is said in *run*, if it is to be taken down."""
    content: Content | None = run.policy.content
    wanted = content is not None and (not run.muted or (content.always and not run.hidden))
    return content if wanted else None
