"""What is kept for an object of somebody else's, and goes with it: an engine, instruments, a log for a provider.

Rules for this file: by identity, because a provider need be neither hashable nor comparable; no lock, its user has one.
"""

from __future__ import annotations

import weakref
from typing import TypeVar

T = TypeVar("T")


class Kept(dict[int, tuple[object, T]]):
    """One thing for each owner, by the owner's ``id``.

    Beside it stands what keeps that number from becoming another object's: a weak reference that takes the entry out, or
    the owner itself if it allows none.
    """

    def of(self, owner: object) -> T | None:
        """Return what is kept for *owner*."""
        entry = self.get(id(owner))
        return entry[1] if entry is not None else None

    def keep(self, owner: object, thing: T) -> T:
        """Keep *thing* for *owner*, in place of what was kept, and return it."""
        identity = id(owner)
        holder: object
        try:
            holder = weakref.ref(owner, lambda _: self.pop(identity, None))
        except TypeError:
            holder = owner
        self[identity] = (holder, thing)
        return thing

    def things(self) -> list[T]:
        """Return what is kept."""
        return [thing for _, thing in list(self.values())]
