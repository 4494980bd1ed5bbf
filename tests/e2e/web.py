"""Asking a backend over loopback HTTP, and asking again until it knows.

Rules for this file: never through a proxy; an answer is data whatever its status; only a deadline ends the asking.
"""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlencode

from tests.e2e.readers import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

FOUND_WITHIN_S: Final = 30  # what was sent can be read after 1 to 3 s; more on a machine that is busy

_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class Answer:
    """Status 0 means that nobody listened."""

    status: int
    body: bytes

    def json(self) -> Any:
        return parse(self.body)


def get(url: str, query: Mapping[str, str | int] | None = None) -> Answer:
    """GET *url*, asking for JSON: Tempo sends protobuf by default when it streams between its parts."""
    if query:
        url = f"{url}?{urlencode(query)}"
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - loopback
    try:
        with _OPENER.open(request, timeout=10) as response:
            return Answer(response.status, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read())
    except OSError as error:
        return Answer(0, str(error).encode())


def until(ask: Callable[[], T | None], what: str) -> T:
    """Repeat *ask* until it returns something else than None, and return that.

    Raises:
        AssertionError: It never did; the message names *what* was waited for.
    """
    deadline = time.monotonic() + FOUND_WITHIN_S
    while True:
        result = ask()
        if result is not None:
            return result
        assert time.monotonic() < deadline, f"after {FOUND_WITHIN_S} s there is still no {what}"
        time.sleep(0.2)
