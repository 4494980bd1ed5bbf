"""Faults that are staged on purpose: which request gets which, and nothing about how it is carried out.

A fault is asked for by the model's name (``simulated-small:rate-limited``) or queued for the next request.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

SEPARATOR = ":"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong with one request.

    *status* other than 200 refuses it, *retry_after_s* says when to come back, *first_chunk_s* holds the answer back,
    *cut* ends the connection in the middle of the answer, *once* lets the same request pass when it is repeated.
    """

    name: str
    status: int = 200
    retry_after_s: float | None = None
    first_chunk_s: float = 0.0
    cut: bool = False
    once: bool = False


RATE_LIMITED = Fault("rate-limited", status=429, retry_after_s=0.05, once=True)
ALWAYS_LIMITED = Fault("always-limited", status=429, retry_after_s=0.05)
BROKEN = Fault("broken", status=500)
CUT = Fault("cut", cut=True)
SLOW = Fault("slow", first_chunk_s=0.2)

BY_NAME = {fault.name: fault for fault in (RATE_LIMITED, ALWAYS_LIMITED, BROKEN, CUT, SLOW)}


class Once:
    """Remembers which requests have met a fault that strikes once; every second time it lets them pass.

    Bounded by what is outstanding: a request is forgotten when it passes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._struck: set[int] = set()

    def strikes(self, request: int) -> bool:
        """Tell whether the request with this fingerprint is struck now."""
        with self._lock:
            if request in self._struck:
                self._struck.discard(request)
                return False
            self._struck.add(request)
            return True

    def clear(self) -> None:
        """Forget every request."""
        with self._lock:
            self._struck.clear()


def of_model(model: str) -> Fault | None:
    """Return the fault that the model's name asks for, None for an ordinary model."""
    return BY_NAME.get(model.rpartition(SEPARATOR)[2]) if SEPARATOR in model else None
