"""The connections of one delivery: each is in the hands of one thread at a time, a few are kept for the next one.

Rules for this file: any thread may come; every step is one operation of a list.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_callbacks.export.items import Transport


class Connections:
    """Connections made by *connect*, of which at most *kept* are idle."""

    def __init__(self, connect: Callable[[], Transport], kept: int) -> None:
        self._connect = connect
        self._kept = kept
        self._idle: list[Transport] = []
        self._all: list[Transport] = []

    def borrow(self) -> Transport:
        """Return a connection that nobody has."""
        with suppress(IndexError):
            return self._idle.pop()
        transport = self._connect()
        self._all.append(transport)
        return transport

    def bring_back(self, transport: Transport) -> None:
        """Let others have *transport*."""
        if len(self._idle) < self._kept:
            self._idle.append(transport)
            return
        self._all.remove(transport)
        transport.close()

    def close(self) -> None:
        """End what is idle, now and later."""
        self._kept = 0
        while True:
            try:
                transport = self._idle.pop()
            except IndexError:
                return
            transport.close()

    def abandon(self) -> None:
        """Let go of everything: it is the parent process's."""
        for transport in self._all:
            with suppress(Exception):
                transport.abandon()
