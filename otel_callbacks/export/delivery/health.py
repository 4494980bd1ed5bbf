"""Whether the collector takes what it is sent, and when it may be asked again.

Rules for this file: no clock, no lock, no I/O: the time is an argument, chance is injected. An answer to a request that was under
way before the trouble began says nothing of the trouble. After a wait, one request goes first, alone: the probe.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from otel_callbacks.export.items import Verdict

if TYPE_CHECKING:
    from random import Random

    from otel_callbacks.export.items import Answer

FIRST_WAIT_S: Final = 0.5
SILENT_WAIT_S: Final = (
    5.0  # at most, when nobody answers: with 30 s, much was left 20 s after the collector's return
)
EXPLICIT_WAIT_S: Final = 30.0  # at most, when the collector asks for patience, and does not say how long
SLOW_WAIT_S: Final = 30.0  # while only a person can help
LONGEST_WAIT_S: Final = 300.0


class Trouble(Enum):
    """Why nothing is sent for a while."""

    UNAVAILABLE = "unavailable"
    MISCONFIGURED = "misconfigured"
    REFUSING = "refusing"
    """It answers, and refuses all there is: a wrong address or format, rather than a wrong item in every batch."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A time of trouble."""

    trouble: Trouble
    until_s: float
    since: int
    """Requests with a higher number were begun after it was known."""
    asked: bool
    """The collector has said how long itself: nobody may shorten it."""


class Health:
    """What is known of one collector."""

    wait: Wait | None
    """The trouble that there is."""

    def __init__(self, random: Random) -> None:
        self.wait = None
        self._random = random
        self._failures = 0
        self._probe: int | None = None

    @property
    def good(self) -> bool:
        """Whether several requests may be under way."""
        return self.wait is None

    def may_send(self, now_s: float) -> bool:
        """Whether a request may begin now."""
        return self.wait is None or (self._probe is None and now_s >= self.wait.until_s)

    @property
    def due_s(self) -> float | None:
        """When the next request may begin; None if that hangs on nothing but an answer."""
        return None if self.wait is None or self._probe is not None else self.wait.until_s

    def began(self, number: int) -> None:
        """Note that a request was begun."""
        if self.wait is not None:
            self._probe = number

    def hurry(self, now_s: float) -> None:
        """End a wait that is our own choice: somebody is waiting for the answer."""
        wait = self.wait
        if wait is not None and not wait.asked:
            self._failures = 0
            self.wait = Wait(wait.trouble, min(wait.until_s, now_s), wait.since, asked=False)

    def refusing(self, number: int, now_s: float) -> None:
        """Begin a wait because all is refused; *number* is the latest request's."""
        self._probe = None
        self.wait = Wait(Trouble.REFUSING, now_s + self._about(SLOW_WAIT_S), number, asked=False)

    def failed(self, begun: int, latest: int, answer: Answer, now_s: float) -> None:
        """Note an answer that asks for patience, to request *begun*; *latest* was the latest that was begun."""
        was_probe = self._over(begun)
        since = latest
        if self.wait is None or was_probe or begun > self.wait.since:
            self._failures += 1
        else:
            since = self.wait.since
        wait_s, asked = self._wait(answer), answer.retry_after_s is not None
        trouble = Trouble.MISCONFIGURED if answer.verdict is Verdict.MISCONFIGURED else Trouble.UNAVAILABLE
        until_s = now_s + wait_s
        if self.wait is not None and not was_probe and self.wait.until_s > until_s:
            until_s, asked = self.wait.until_s, self.wait.asked
        self.wait = Wait(trouble, until_s, since, asked)

    def answered(self, begun: int) -> bool:
        """Note that the collector is there and works on what it is sent; return whether that ends a time of trouble."""
        self._over(begun)
        if self.wait is None or begun <= self.wait.since:
            return False
        self.wait, self._failures = None, 0
        return True

    def took(self) -> None:
        """Note that the collector took something."""
        if self.wait is not None and self.wait.trouble is Trouble.REFUSING:
            self.wait = self._probe = None

    def _over(self, begun: int) -> bool:
        was_probe = self._probe == begun
        if was_probe:
            self._probe = None
        return was_probe

    def _wait(self, answer: Answer) -> float:
        if answer.retry_after_s is not None:  # never earlier than asked; not all clients at once
            asked_s = min(max(FIRST_WAIT_S, answer.retry_after_s), LONGEST_WAIT_S)
            return asked_s * (1 + 0.1 * self._random.random())
        if answer.verdict is Verdict.MISCONFIGURED:
            return self._about(SLOW_WAIT_S)
        longest_s = EXPLICIT_WAIT_S if answer.explicit else SILENT_WAIT_S
        doublings = min(self._failures - 1, 16)
        return min(longest_s, self._about(FIRST_WAIT_S * 2.0**doublings))

    def _about(self, seconds: float) -> float:
        return seconds * (0.75 + 0.5 * self._random.random())
