"""What every manager is: handlers, tags and metadata for the runs to be started, and ways to change and join them.

Rules for this file: the algebra is ``scope``'s; nothing is sent from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias, Union

from otel_callbacks.callbacks import events
from otel_callbacks.callbacks.base import BaseCallbackHandler
from otel_callbacks.callbacks.bodies import Bodies
from otel_callbacks.callbacks.configuration import configured, scope_of
from otel_callbacks.callbacks.foreign import ForeignInstance
from otel_callbacks.callbacks.ids import new_run_id
from otel_callbacks.callbacks.mixins import CallbackManagerMixin
from otel_callbacks.callbacks.runs import inside
from otel_callbacks.callbacks.scope import Scope
from otel_callbacks.callbacks.views import Scoped

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from otel_callbacks.callbacks.calling import Occasion
    from otel_callbacks.callbacks.roster import Handler, Plan


class BaseCallbackManager(ForeignInstance, Scoped, CallbackManagerMixin, Bodies):
    """Handlers, tags and metadata for the runs to be started, and the run that is their parent.

    The arguments are copied. ``handlers`` and its like are lists and dicts of this manager alone: see ``views``. Where
    LangChain and LangGraph want a manager of theirs, it is one: see ``foreign``.
    """

    foreign_bases: ClassVar[tuple[tuple[str, str], ...]] = (
        ("langchain_core.callbacks.base", "BaseCallbackManager"),
    )

    _makes_itself: ClassVar[bool] = False
    """Whether the class has a constructor of its own, which may have more to set up."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Look once for a constructor."""
        super().__init_subclass__(**kwargs)
        cls._makes_itself = cls.__init__ is not BaseCallbackManager.__init__

    def __init__(
        self,
        handlers: Iterable[Handler],
        inheritable_handlers: Iterable[Handler] | None = None,
        parent_run_id: UUID | None = None,
        *,
        tags: Iterable[str] | None = None,
        inheritable_tags: Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        inheritable_metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self._scope = Scope.of(
            handlers,
            inheritable_handlers,
            tags,
            inheritable_tags,
            metadata,
            inheritable_metadata,
            parent_run_id,
        )

    @classmethod
    def of(cls, scope: Scope) -> Self:
        """Return a manager with *scope*."""
        if cls._makes_itself:
            return cls(
                handlers=scope.handlers,
                inheritable_handlers=scope.inheritable_handlers,
                parent_run_id=scope.parent_run_id,
                tags=scope.tags,
                inheritable_tags=scope.inheritable_tags,
                metadata=scope.metadata,
                inheritable_metadata=scope.inheritable_metadata,
            )
        return inside(cls, scope)

    @property
    def is_async(self) -> bool:
        """Whether the methods that start runs are coroutine functions."""
        return False

    def copy(self) -> Self:
        """Return a manager of the same class with the same scope."""
        return self.of(self.scope)

    def merge(self, other: BaseCallbackManager) -> Self:
        """Return a manager with the union of both: ours first; their metadata and our parent win."""
        return self.of(self.scope.merge(scope_of(other)))

    def add_handler(self, handler: Handler, inherit: bool = True) -> None:
        """Add *handler* at the end unless it is there."""
        self.scope = self.scope.add_handlers((handler,), inherit=inherit)

    def remove_handler(self, handler: Handler) -> None:
        """Remove *handler*, also for descendants."""
        self.scope = self.scope.remove_handler(handler)

    def set_handlers(self, handlers: Iterable[Handler], inherit: bool = True) -> None:
        """Replace all handlers."""
        self.scope = self.scope.set_handlers(handlers, inherit=inherit)

    def set_handler(self, handler: Handler, inherit: bool = True) -> None:
        """Replace all handlers by *handler*."""
        self.set_handlers((handler,), inherit)

    def add_tags(self, tags: Iterable[str], inherit: bool = True) -> None:
        """Add *tags* at the end; those that are there move."""
        self.scope = self.scope.add_tags(tags, inherit=inherit)

    def remove_tags(self, tags: Iterable[str]) -> None:
        """Remove *tags*, also for descendants."""
        self.scope = self.scope.remove_tags(tags)

    def add_metadata(self, metadata: Mapping[str, Any], inherit: bool = True) -> None:
        """Add *metadata*; for a key that is there the new value counts."""
        self.scope = self.scope.add_metadata(metadata, inherit=inherit)

    def remove_metadata(self, keys: Iterable[str]) -> None:
        """Remove *keys*, also for descendants."""
        self.scope = self.scope.remove_metadata(keys)

    @classmethod
    def configure(
        cls,
        inheritable_callbacks: Callbacks = None,
        local_callbacks: Callbacks = None,
        verbose: bool = False,
        inheritable_tags: list[str] | None = None,
        local_tags: list[str] | None = None,
        inheritable_metadata: dict[str, Any] | None = None,
        local_metadata: dict[str, Any] | None = None,
        *,
        langsmith_inheritable_metadata: Mapping[str, Any] | None = None,  # noqa: ARG003 - for LangSmith's tracer alone
        langsmith_inheritable_tags: list[str] | None = None,  # noqa: ARG003 - likewise
    ) -> Self:
        """Return the manager of one call: see the function ``configure``."""
        scope = configured(
            inheritable_callbacks,
            local_callbacks,
            inheritable_tags,
            local_tags,
            inheritable_metadata,
            local_metadata,
            verbose,
        )
        return cls.of(scope) if cls._makes_itself else inside(cls, scope)

    def _occasion_of_ones_own(
        self, name: str, data: Any, run_id: UUID | None, kwargs: dict[str, Any]
    ) -> tuple[Plan | None, Occasion]:
        scope = self.scope
        if kwargs and scope.handlers:
            raise ValueError(
                f"A custom event carries its data in 'data' alone, not in {', '.join(map(repr, kwargs))}."
            )
        occasion = (name, data), {"run_id": run_id or new_run_id()}, scope.tags, scope.metadata
        return scope.handlers.plans[events.CUSTOM_EVENT], occasion


Callbacks: TypeAlias = Union[list[BaseCallbackHandler], BaseCallbackManager, None]  # noqa: UP007 - evaluated by pydantic
"""What may be given as callbacks: a list of handlers, or a manager."""
