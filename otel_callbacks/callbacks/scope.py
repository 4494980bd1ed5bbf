"""What is true around a run (its handlers, tags and metadata), as one immutable value, and the algebra on it.

Rules for this file: no operation changes its operand, none shares anything mutable with its result, all keep order.
*Local* means: of this level only. *Inheritable* means: handed on to every descendant.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from otel_callbacks.callbacks.roster import EMPTY, Handler, Roster

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

Tags: TypeAlias = "tuple[str, ...]"

_NOTHING: Final[
    Mapping[str, Any]
] = {}  # not a proxy: it is copied for every start, and a dict is copied at once
_new: Final = object.__new__
_MERGED_DEEPER: Final = "lc_versions"  # LangChain's packages each add their own version to this one entry


class Scope:
    """Handlers, tags and metadata of one level, and the run that is the parent of the next one started.

    Nothing sets a field of one that is made. It is neither a frozen dataclass nor a named tuple, because several are made
    and read for each run: the former takes twice as long to make, the latter nearly three times as long to read. What
    is made for each run is made without the constructor, which is a third quicker.
    """

    __slots__ = (
        "handlers",
        "inheritable_handlers",
        "inheritable_metadata",
        "inheritable_tags",
        "metadata",
        "parent_run_id",
        "tags",
    )

    def __init__(
        self,
        handlers: Roster = EMPTY,
        inheritable_handlers: Roster = EMPTY,
        tags: Tags = (),
        inheritable_tags: Tags = (),
        metadata: Mapping[str, Any] = _NOTHING,
        inheritable_metadata: Mapping[str, Any] = _NOTHING,
        parent_run_id: UUID | None = None,
    ) -> None:
        self.handlers = handlers
        self.inheritable_handlers = inheritable_handlers
        self.tags = tags
        self.inheritable_tags = inheritable_tags
        self.metadata = metadata
        self.inheritable_metadata = inheritable_metadata
        self.parent_run_id = parent_run_id

    @classmethod
    def of(
        cls,
        handlers: Iterable[Handler] = (),
        inheritable_handlers: Iterable[Handler] | None = None,
        tags: Iterable[str] | None = None,
        inheritable_tags: Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        inheritable_metadata: Mapping[str, Any] | None = None,
        parent_run_id: UUID | None = None,
    ) -> Scope:
        """Return a scope of copies; None is nothing."""
        return cls(
            Roster(handlers),
            Roster(inheritable_handlers or ()),
            tuple(tags or ()),
            tuple(inheritable_tags or ()),
            dict(metadata or {}),
            dict(inheritable_metadata or {}),
            parent_run_id,
        )

    def but(self, **changes: Any) -> Scope:
        """Return the scope with other values of some fields."""
        given = changes.get
        return Scope(
            given("handlers", self.handlers),
            given("inheritable_handlers", self.inheritable_handlers),
            given("tags", self.tags),
            given("inheritable_tags", self.inheritable_tags),
            given("metadata", self.metadata),
            given("inheritable_metadata", self.inheritable_metadata),
            given("parent_run_id", self.parent_run_id),
        )

    def add_handlers(self, handlers: Iterable[Handler], *, inherit: bool) -> Scope:
        """Return the scope with *handlers* at the end; one that is there already keeps its place."""
        new = tuple(handlers)
        inheritable = self.inheritable_handlers.adding(new) if inherit else self.inheritable_handlers
        return self.but(handlers=self.handlers.adding(new), inheritable_handlers=inheritable)

    def remove_handler(self, handler: Handler) -> Scope:
        """Return the scope without *handler*, at this level and below."""
        return self.but(
            handlers=self.handlers.without(handler),
            inheritable_handlers=self.inheritable_handlers.without(handler),
        )

    def set_handlers(self, handlers: Iterable[Handler], *, inherit: bool) -> Scope:
        """Return the scope with *handlers* and no others."""
        row = Roster(handlers)
        return self.but(handlers=row, inheritable_handlers=row if inherit else EMPTY)

    def add_tags(self, tags: Iterable[str], *, inherit: bool) -> Scope:
        """Return the scope with *tags* at the end; a tag that was there, inheritable or not, moves there."""
        local, inheritable = _add_tags(self.tags, self.inheritable_tags, tuple(tags), inherit)
        return self.but(tags=local, inheritable_tags=inheritable)

    def remove_tags(self, tags: Iterable[str]) -> Scope:
        """Return the scope without *tags*, at this level and below."""
        gone = tuple(tags)
        return self.but(
            tags=reduce(_without, gone, self.tags),
            inheritable_tags=reduce(_without, gone, self.inheritable_tags),
        )

    def add_metadata(self, metadata: Mapping[str, Any], *, inherit: bool) -> Scope:
        """Return the scope with *metadata*; a key that was there gets the new value."""
        inheritable = self.inheritable_metadata
        return self.but(
            metadata=_updated(self.metadata, metadata),
            inheritable_metadata=_updated(inheritable, metadata) if inherit else inheritable,
        )

    def remove_metadata(self, keys: Iterable[str]) -> Scope:
        """Return the scope without *keys*, at this level and below."""
        gone = tuple(keys)
        return self.but(
            metadata={key: value for key, value in self.metadata.items() if key not in gone},
            inheritable_metadata={
                k: value for k, value in self.inheritable_metadata.items() if k not in gone
            },
        )

    def child(self, run_id: UUID, tag: str | None = None) -> Scope:
        """Return the scope inside run *run_id*: what is inheritable, and *tag* for the next level alone."""
        tags = inheritable_tags = self.inheritable_tags
        if tag is not None:
            if tag in tags:
                tags = inheritable_tags = _without(tags, tag)
            tags = (*tags, tag)
        inside = _new(Scope)
        inside.handlers = inside.inheritable_handlers = self.inheritable_handlers
        inside.tags = tags
        inside.inheritable_tags = inheritable_tags
        inside.metadata = inside.inheritable_metadata = self.inheritable_metadata
        inside.parent_run_id = run_id
        return inside

    def merge(self, other: Scope) -> Scope:
        """Return the union: ours first, theirs after it; their metadata and our parent win."""
        return Scope(
            self.handlers.adding(other.handlers),
            self.inheritable_handlers.adding(other.inheritable_handlers),
            tuple(dict.fromkeys(self.tags + other.tags)),
            tuple(dict.fromkeys(self.inheritable_tags + other.inheritable_tags)),
            {**self.metadata, **other.metadata},
            {**self.inheritable_metadata, **other.inheritable_metadata},
            self.parent_run_id or other.parent_run_id,
        )

    def configure(
        self,
        local_handlers: Iterable[Handler] = (),
        inheritable_tags: Iterable[str] | None = None,
        local_tags: Iterable[str] | None = None,
        inheritable_metadata: Mapping[str, Any] | None = None,
        local_metadata: Mapping[str, Any] | None = None,
    ) -> Scope:
        """Return the scope with all that a call adds: the inheritable first, then the local."""
        tags, handed_tags = self.tags, self.inheritable_tags
        metadata, handed_metadata = self.metadata, self.inheritable_metadata
        if inheritable_tags:
            tags, handed_tags = _add_tags(tags, handed_tags, tuple(inheritable_tags), True)
        if local_tags:
            tags, handed_tags = _add_tags(tags, handed_tags, tuple(local_tags), False)
        if inheritable_metadata:
            are_the_same = metadata is handed_metadata
            handed_metadata = _updated(handed_metadata, inheritable_metadata)
            metadata = handed_metadata if are_the_same else _updated(metadata, inheritable_metadata)
        if local_metadata:
            metadata = _updated(metadata, local_metadata)
        call = _new(Scope)
        call.handlers = self.handlers.adding(local_handlers) if local_handlers else self.handlers
        call.inheritable_handlers = self.inheritable_handlers
        call.tags = tags
        call.inheritable_tags = handed_tags
        call.metadata = metadata
        call.inheritable_metadata = handed_metadata
        call.parent_run_id = self.parent_run_id
        return call


NOWHERE: Final = Scope()


def _add_tags(local: Tags, inheritable: Tags, new: Tags, inherit: bool) -> tuple[Tags, Tags]:
    count = len(new)
    # Mostly a child is given the tags that it has inherited.
    if inherit and new == inheritable and new == local[:count]:
        return local[count:] + new, inheritable
    for tag in new:
        if tag in local:
            local, inheritable = _without(local, tag), _without(inheritable, tag)
    return local + new, inheritable + new if inherit else inheritable


def _without(tags: Tags, tag: str) -> Tags:
    """Return *tags* without the first *tag*: one that is there twice stays once."""
    if tag not in tags:
        return tags
    at = tags.index(tag)
    return tags[:at] + tags[at + 1 :]


def _updated(old: Mapping[str, Any], new: Mapping[str, Any]) -> Mapping[str, Any]:
    merged = {**old, **new}
    if _MERGED_DEEPER in new:
        before, after = old.get(_MERGED_DEEPER), new[_MERGED_DEEPER]
        if isinstance(before, dict) and isinstance(after, dict):
            merged[_MERGED_DEEPER] = {**cast("dict[str, Any]", before), **cast("dict[str, Any]", after)}
    return merged
