"""A batch, from the store until the last of its items is settled; which of them the collector would not take, and why.

Rules for this file: no clock, no lock, no I/O. An item that is refused alone is guilty only if the collector takes others: there
must be *proof*, an item that it took shortly before, and again one that it takes after; a single one that is left at the end of a
batch needs the former only. Without proof, an item that is refused is *doubtful*; with two of them a batch is suspended, to wait
until the collector takes anything, and then they are tried again; so are several that are left at the end. So a collector that
refuses everything for a time makes nobody guilty, and one guilty item among n costs about 2 log2(n) requests.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from otel_callbacks.export.items import TOO_LARGE, Verdict

if TYPE_CHECKING:
    from random import Random

    from otel_callbacks.export.items import Answer, Entry

MOST_DOUBTFUL: Final = 2
SHORTEST_BYTES: Final = (
    2_048  # an item of this size that is "too big" is not made smaller: something else is wrong
)

LARGE_BYTES: Final = (
    1_000_000  # nginx's limit; nobody wonders that an item of this size is too big, and no proof is needed
)

Shorten: TypeAlias = Callable[[bytes, int], bytes | None]


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Items that are sent together."""

    entries: Sequence[Entry]
    """As the store has them."""
    shortened: bytes | None = None
    """Of a single item that was too big: what is sent in its place."""

    @property
    def sent(self) -> Sequence[Entry]:
        """What goes into the request."""
        if self.shortened is None:
            return self.entries
        return [replace(self.entries[0], item=self.shortened)]

    @property
    def bytes(self) -> int:
        """The size of the items in sum."""
        return sum(len(entry.item) for entry in self.sent)


@dataclass(frozen=True, slots=True, eq=False)
class Guilty:
    """An item that is put aside."""

    entry: Entry
    reason: str


@dataclass(slots=True, eq=False)
class _Accused:
    piece: Piece
    reason: str
    known: int
    """The number of the latest request when it was refused."""


@dataclass(slots=True, eq=False)
class Batch:
    """What is left of a batch."""

    start: int
    """Its place among all that was taken from the store."""
    agenda: deque[Piece]
    """What is to be sent, in this order."""
    _proof: bool = False
    _in_question: bool = False
    """Something of it was refused."""
    _doubtful: list[_Accused] = field(default_factory=list[_Accused])
    _pending: list[_Accused] = field(default_factory=list[_Accused])
    """Refused while others were taken."""
    _struck: dict[int, int] = field(default_factory=dict[int, int])
    """By the identity of an entry, what was the latest request when it was refused after others were taken."""
    _taken: int = 0
    """The latest request that was taken."""

    @classmethod
    def of(cls, start: int, entries: Sequence[Entry]) -> Batch:
        """Return the batch of *entries*."""
        return cls(start, deque([Piece(entries)]))

    @property
    def entries(self) -> list[Entry]:
        """What is not settled and not under way, in no certain order."""
        accused = [accused.piece for accused in (*self._doubtful, *self._pending)]
        return [entry for piece in (*self.agenda, *accused) for entry in piece.entries]

    @property
    def bytes(self) -> int:
        """The size of `entries` in sum."""
        return sum(len(entry.item) for entry in self.entries)

    @property
    def suspended(self) -> bool:
        """Whether nothing of it can be sent before the collector has taken something else."""
        if len(self._doubtful) >= MOST_DOUBTFUL:
            return True
        return not self.agenda and bool(self._doubtful or self._pending)

    @property
    def over(self) -> bool:
        """Whether nothing of it is left, but for what is under way."""
        return not self.agenda and not self._doubtful and not self._pending

    def retry(self, piece: Piece) -> None:
        """Have *piece* sent again, first of all."""
        self.agenda.appendleft(piece)

    def taken(self, number: int) -> list[Guilty]:
        """Note that the collector took a piece of this batch, sent as request *number*; return what is guilty now."""
        guilty = [accused for accused in self._pending if accused.known < number]
        self._pending = [accused for accused in self._pending if accused.known >= number]
        self._resume(number, self._doubtful)
        self._doubtful = []
        return [*map(_guilty, guilty), *self._last()]

    def taken_elsewhere(self, number: int) -> None:
        """Note that the collector took something else, sent as request *number*.

        What was refused here was refused by a collector that may have been wrong then: it is sent again.
        """
        if any(accused.known >= number for accused in (*self._doubtful, *self._pending)):
            return  # that was under way before
        self._resume(number, [*self._doubtful, *self._pending])
        self._doubtful, self._pending = [], []

    def _resume(self, number: int, accused: Sequence[_Accused]) -> None:
        self._proof, self._taken = True, number
        self.agenda.extendleft(
            each.piece for each in reversed(accused)
        )  # then what else is here may be the proof

    def refused(self, piece: Piece, answer: Answer, latest: int, shorten: Shorten) -> list[Guilty]:
        """Note that the collector refused *piece* when *latest* was the number of the latest request; return what is guilty now."""
        if answer.verdict is Verdict.TOO_BIG:
            if smaller := _smaller(piece, shorten):
                self.agenda.extendleft(reversed(smaller))
                return []
            if piece.bytes > LARGE_BYTES:
                return [Guilty(piece.entries[0], TOO_LARGE), *self._last()]
        elif len(piece.entries) > 1:
            self._divide(piece)
            return []
        reason = TOO_LARGE if answer.verdict is Verdict.TOO_BIG else "rejected"
        accused = _Accused(piece, reason, latest)
        if self._proof:
            if self._struck.setdefault(id(piece.entries[0]), latest) < self._taken:
                return [
                    _guilty(accused),
                    *self._last(),
                ]  # others were taken before, in between, and now again
            self._pending.append(accused)
            return self._last()
        self._doubtful.append(accused)
        if len(self.agenda) > 1:
            self.agenda.appendleft(self.agenda.pop())  # the last item: is it refused as well?
        return []

    def renew(self, random: Random) -> None:
        """Begin again: in another order, so that others are asked first."""
        entries = self.entries
        random.shuffle(entries)
        self.agenda = deque([Piece(entries)])
        self._proof = self._in_question = False
        self._doubtful, self._pending = [], []

    def _divide(self, piece: Piece) -> None:
        entries = piece.entries
        if self._proof or self._in_question:
            middle = len(entries) // 2
            parts = [entries[:middle], entries[middle:]]
        else:
            parts = [entries[:1], entries[1:-1], entries[-1:]]
        self._in_question = True
        self.agenda.extendleft(Piece(part) for part in reversed(parts) if part)

    def _last(self) -> list[Guilty]:
        if self.agenda or self._doubtful or len(self._pending) != 1:
            return []
        return [_guilty(self._pending.pop())]


def _guilty(accused: _Accused) -> Guilty:
    return Guilty(accused.piece.entries[0], accused.reason)


def _smaller(piece: Piece, shorten: Shorten) -> list[Piece]:
    """Return *piece* in smaller ones; none if it cannot be smaller."""
    entries = piece.entries
    if len(entries) > 1:
        middle = len(entries) // 2
        return [Piece(entries[:middle]), Piece(entries[middle:])]
    size = piece.bytes
    if size <= SHORTEST_BYTES:
        return []
    shortened = shorten(entries[0].item, size // 2)
    return [Piece(entries, shortened)] if shortened is not None and len(shortened) < size else []
