"""What waits to be delivered, and what became of it: the words that encoder, store, delivery and transports share.

Rules for this file: standard library only; values and protocols, nothing that does anything. An *item* is one encoded
``Span``, ``LogRecord`` or ``Metric``; the three signals' requests are laid out alike (opentelemetry/proto/*/v1: the resource is
field 1, what is below it 2, the schema's URL 3, twice over), so everything from here on to the network is the same for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, NamedTuple, Protocol

# Why something was dropped.
FULL: Final = "full"
"""The oldest made room."""
TOO_LARGE: Final = "too_large"
CORRUPT: Final = "corrupt"
"""Damaged on disk."""
UNREADABLE: Final = "unreadable"
"""Nothing of it could be written, or read back."""
CLOSED: Final = "closed"
"""It was put after the end; to the store, also what waited in memory then."""
SHUTDOWN: Final = "shutdown"
"""It waited in memory when the delivery ended."""
REFUSED: Final = "refused"
"""The server knows no such signal; or it would have been put aside, and there is no disk for it."""
FAULT: Final = "fault"
"""A fault of our own."""


class Origin(NamedTuple):
    """Who made an item: items of one origin stand together in a request."""

    resource: bytes
    """The fields of a ``ResourceSpans`` (``ResourceLogs``, ``ResourceMetrics``) but for field 2, encoded with their tags."""
    scope: bytes
    """The fields of a ``ScopeSpans`` (``ScopeLogs``, ``ScopeMetrics``) but for field 2, encoded with their tags."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """An item in a store."""

    origin: Origin
    item: bytes
    place: Any
    """Where it is: the store's own."""


class Verdict(Enum):
    """What an answer of the collector means for the items that were sent."""

    DELIVERED = "delivered"
    RETRY = "retry"
    """Nobody answered, or the one that did asks for patience: the same again, later, for ever."""
    MISCONFIGURED = "misconfigured"
    """A wrong key, path or address, a redirect: keep everything, try again slowly, say so once."""
    TOO_BIG = "too big"
    """The same in smaller pieces."""
    REJECTED = "rejected"
    """Something in it is wrong: the others must not suffer for it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one request."""

    verdict: Verdict
    message: str = ""
    """What may be logged: without addresses, keys and content, at most 200 characters, printable."""
    retry_after_s: float | None = None
    """What the collector asked for, from 0 to 300."""
    rejected: int = 0
    """Of a delivered request, how many items the collector did not keep (partial success)."""
    unknown_signal: bool = False
    """Of a misconfigured one: the server knows no such path or method; it may take other signals all the same."""
    explicit: bool = False
    """Of a retry: the collector itself asked for patience (a status); False if nobody answered."""


class Transport(Protocol):
    """One connection to one address, for one signal. Used by one thread at a time; every sending thread has its own."""

    def send(self, body: bytes, identity: str, timeout_s: float) -> Answer:
        """Send an encoded request and wait for its answer, never longer than *timeout_s* in total. Never raises.

        Args:
            body: The bytes of an ``Export...ServiceRequest``.
            identity: Of the batch: the same when the same batch is sent again, so that a receiver can tell a duplicate.
            timeout_s: Seconds for everything, the connection included.
        """
        ...

    def close(self) -> None:
        """End the connection; a later `send` makes a new one."""
        ...

    def abandon(self) -> None:
        """Let go of a connection that belongs to another process (after a fork) without closing it."""
        ...


@dataclass(slots=True)
class StoreCounts:
    """What a store has seen since it was made; all of them are numbers of items."""

    accepted: int = 0
    """Put in by this process."""
    adopted: int = 0
    """Found on disk: left by a process that has died."""
    dropped: dict[str, int] = field(default_factory=dict[str, int])
    """Given up, by reason."""
    settled: int = 0
    """Delivered, rejected or dead: whoever took them has said what became of them."""
    dead: int = 0
    """Of those, how many were put aside."""
    on_disk: int = 0
    in_memory: int = 0


class Store(Protocol):
    """Where items wait. Any thread may `put`; the delivery's threads do the rest. Nothing raises."""

    def put(self, origin: Origin, items: Sequence[bytes]) -> None:
        """Keep *items*, in their order. With a disk, they are on it when this returns.

        Called by the application's threads, also out of a garbage collection or a signal handler that interrupts this very method.
        """
        ...

    def take(self, max_items: int, max_bytes: int) -> list[Entry]:
        """Return the oldest items that nobody has taken: at most *max_items*, and *max_bytes* in sum, but one if there is any."""
        ...

    def give_back(self, entries: Sequence[Entry]) -> None:
        """Let *entries* be taken again, before all others."""
        ...

    def settle(self, entries: Sequence[Entry]) -> None:
        """Forget *entries*: they are delivered, or it is known that they never will be."""
        ...

    def bury(self, entry: Entry, reason: str) -> None:
        """Put *entry* aside where a person may look at it, and settle it."""
        ...

    def identity(self, entries: Sequence[Entry]) -> str:
        """Return a text of ASCII letters, digits, ``-`` and ``.`` that names this batch, also after a restart."""
        ...

    @property
    def waiting(self) -> int:
        """How many items nobody has taken."""
        ...

    def tend(self) -> None:
        """Do what is due: flush to disk, adopt what dead processes left, keep within the bounds, try a failed disk again.

        Called about once a second, by one thread.
        """
        ...

    def counts(self) -> StoreCounts:
        """Return a copy of the counts; exact when nothing is being put, taken or settled."""
        ...

    def after_fork(self) -> None:
        """Begin anew in a forked child: what waits is the parent's."""
        ...

    def close(self) -> None:
        """Let go of files and locks. What waits on disk stays for the next process; a later `put` is counted as dropped."""
        ...
