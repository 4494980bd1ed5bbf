"""How many tokens the models of many runs took, by model.

Rules for this file: only attributes of messages are read, so ours and LangChain's count alike; what a message holds is
never changed, and never handed out. However often ``get_usage_metadata_callback`` is used, no more is registered than
blocks are open inside one another at once.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from otel_callbacks.callbacks.base import BaseCallbackHandler
from otel_callbacks.callbacks.configuration import register_configure_hook

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from otel_callbacks.callbacks.types import UsageMetadata

_Variable: TypeAlias = "ContextVar[UsageMetadataCallbackHandler | None]"
_Usage: TypeAlias = "Mapping[str, Any]"


def add_usage(left: _Usage | None, right: _Usage | None) -> UsageMetadata:
    """Return the sum, detail by detail, as a new dict; what only one of the two has counts as it is."""
    return cast("UsageMetadata", _sum(left or {}, right or {}))


def _sum(left: _Usage, right: _Usage) -> dict[str, Any]:
    return {key: _added(left.get(key), right.get(key)) for key in {**left, **right}}


def _added(left: Any, right: Any) -> Any:
    if isinstance(left, dict) or isinstance(right, dict):
        return _sum(cast("_Usage", left or {}), cast("_Usage", right or {}))
    return right if left is None else left if right is None else left + right


class UsageMetadataCallbackHandler(BaseCallbackHandler):
    """Adds up what chat models report as ``usage_metadata`` of their answers.

    Attributes:
        usage_metadata: By the model's name, as answers give it (``response_metadata["model_name"]``): the sum so far.
            Answers without a name or without usage are not counted.
    """

    def __init__(self) -> None:
        self.usage_metadata: dict[str, UsageMetadata] = {}
        self._lock = Lock()

    def __repr__(self) -> str:
        """Return the sums."""
        return str(self.usage_metadata)

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:  # noqa: ARG002 - the event's signature
        """Add the usage of the answer."""
        answers = response.generations[0] if response.generations else ()
        message = getattr(answers[0], "message", None) if answers else None
        usage = getattr(message, "usage_metadata", None)
        about: _Usage = getattr(message, "response_metadata", None) or {}
        name = about.get("model_name")
        if usage and name:
            with self._lock:
                self.usage_metadata[name] = add_usage(self.usage_metadata.get(name), usage)


_variables: list[_Variable] = []
_known_to_langchain: set[_Variable] = set()
_lock = Lock()


@contextmanager
def get_usage_metadata_callback(
    name: str = "usage_metadata_callback",  # noqa: ARG001 - see below
) -> Generator[UsageMetadataCallbackHandler, None, None]:
    """Count all models' tokens in a block: of calls through our managers, and of LangChain's where that is loaded.

    Blocks inside one another all count. Tasks that a block starts belong to it, and threads that are given a copy of its
    context.

    Args:
        name: Accepted for LangChain's sake; the context variables have names of their own.

    Example:
        >>> with get_usage_metadata_callback() as usage:
        ...     model.invoke("How are you?")
        ...     print(usage.usage_metadata)
    """
    variable = _free_variable()
    handler = UsageMetadataCallbackHandler()
    variable.set(handler)
    try:
        yield handler
    finally:
        # No token: a generator's block may end in another context, and there is nothing to set back there.
        if variable.get() is handler:
            variable.set(None)


def _free_variable() -> _Variable:
    """Return a registered variable that is empty in this context: one for each open block."""
    with _lock:
        variable = next((known for known in _variables if known.get() is None), None)
        if variable is None:
            variable = ContextVar[UsageMetadataCallbackHandler | None](
                f"otel_callbacks.callbacks.usage.{len(_variables)}", default=None
            )
            register_configure_hook(variable, inheritable=True)
            _variables.append(variable)
        if "langchain_core" in sys.modules and variable not in _known_to_langchain:
            # A part of what is loaded already, and what its next run would import anyway.
            import_module("langchain_core.tracers.context").register_configure_hook(
                variable, inheritable=True
            )
            _known_to_langchain.add(variable)
        return variable
