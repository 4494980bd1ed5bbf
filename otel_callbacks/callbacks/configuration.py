"""What applies to one call: the callbacks, tags and metadata of its surroundings and its own, and what hooks add.

Rules for this file: precedence is LangChain's. Callbacks given as inheritable come first, then the local ones, then what
is registered; the same handler never comes in twice.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from otel_callbacks.callbacks.roster import Handler, Roster
from otel_callbacks.callbacks.scope import NOWHERE, Scope
from otel_callbacks.callbacks.stdout import StdOutCallbackHandler
from otel_callbacks.callbacks.views import Scoped

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextvars import ContextVar

    from otel_callbacks.callbacks.managers import Callbacks


class _Hook(NamedTuple):
    variable: ContextVar[Any]
    inheritable: bool
    handle_class: type[Any] | None
    env_var: str | None

    def handler(self) -> Handler | None:
        """Return the handler to add now, if there is one."""
        handler = self.variable.get(None)
        if (
            handler is None
            and self.handle_class is not None
            and self.env_var is not None
            and _is_on(self.env_var)
        ):
            return self.handle_class()
        return handler

    def is_met(self, handler: Handler, handlers: Roster) -> bool:
        """Return whether *handlers* already has what the hook would add."""
        if self.handle_class is None:
            return handlers.has(handler)
        return any(isinstance(present, self.handle_class) for present in handlers.row)


_hooks: list[_Hook] = []


def register_configure_hook(
    context_var: ContextVar[Any],
    inheritable: bool,
    handle_class: type[Any] | None = None,
    env_var: str | None = None,
) -> None:
    """Add the handler that *context_var* holds to every call configured from now on.

    Registering the same again changes nothing, so that a library may do it at each use.

    Args:
        context_var: Holds a handler, or None.
        inheritable: Whether the descendants of the call get it too.
        handle_class: Not added where an instance of it is present; made when the variable is empty and *env_var* is set.
        env_var: Counts as set unless it is empty, ``0``, ``false`` or ``False``.

    Raises:
        ValueError: There is *env_var* but nothing to make.
    """
    if env_var is not None and handle_class is None:
        raise ValueError(f"Say what handle_class to make when {env_var} is set.")
    hook = _Hook(context_var, inheritable, handle_class, env_var)
    if hook not in _hooks:
        _hooks.append(hook)


def _is_on(variable: str) -> bool:
    return os.environ.get(variable, "") not in {"", "0", "false", "False"}


def scope_of(callbacks: Any) -> Scope:
    """Return what *callbacks* (a list of handlers, a manager of ours or of LangChain's, or None) amount to."""
    # First, for a manager that is asked in vain whether it is something else looks for LangChain.
    if isinstance(callbacks, Scoped):
        return callbacks._scope or callbacks.scope  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] # one idea in two modules
    if callbacks is None:
        return NOWHERE
    handlers: Iterable[Handler] = callbacks
    if isinstance(callbacks, (list, tuple)):
        row = Roster(handlers)
        return Scope(row, row)
    return Scope.of(
        callbacks.handlers,
        callbacks.inheritable_handlers,
        callbacks.tags,
        callbacks.inheritable_tags,
        callbacks.metadata,
        callbacks.inheritable_metadata,
        callbacks.parent_run_id,
    )


def configured(
    inheritable_callbacks: Callbacks = None,
    local_callbacks: Callbacks = None,
    inheritable_tags: Iterable[str] | None = None,
    local_tags: Iterable[str] | None = None,
    inheritable_metadata: Mapping[str, Any] | None = None,
    local_metadata: Mapping[str, Any] | None = None,
    verbose: bool = False,
) -> Scope:
    """Return the scope of one call; what the arguments mean is told by ``managers.configure``."""
    scope = scope_of(inheritable_callbacks)
    local = () if local_callbacks is None else scope_of(local_callbacks).handlers.row
    if local or inheritable_tags or local_tags or inheritable_metadata or local_metadata:
        scope = scope.configure(local, inheritable_tags, local_tags, inheritable_metadata, local_metadata)
    if verbose and not any(isinstance(handler, StdOutCallbackHandler) for handler in scope.handlers.row):
        scope = scope.add_handlers((StdOutCallbackHandler(),), inherit=False)
    for hook in _hooks:
        handler = hook.handler()
        if handler is not None and not hook.is_met(handler, scope.handlers):
            scope = scope.add_handlers((handler,), inherit=hook.inheritable)
    return scope
