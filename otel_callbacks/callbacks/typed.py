"""A handler of ours, as type checkers need it where LangChain asks for its own.

At run time an instance is one of LangChain's already (see ``foreign``), and ``config={"callbacks": [handler]}`` works as it
is. A type checker cannot see that, and cannot be told by inheritance: events carry our messages and results here and
LangChain's there, so a subclass of both classes could override no method correctly; and a base class of type ``Any``, which
would be anything, would hide the misspelt names that the checkers find today.

Rules for this file: at run time nothing is imported and nothing is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    # Unknown, and so compatible with everything, where LangChain is not installed: then nobody asks.
    from langchain_core.callbacks import BaseCallbackHandler as LangChainHandler

    from otel_callbacks.callbacks.base import BaseCallbackHandler


def for_langchain(handler: BaseCallbackHandler) -> LangChainHandler:
    """Return *handler* itself, typed as LangChain's handler: ``config={"callbacks": [for_langchain(handler)]}``.

    Only code that is type-checked needs it. The package's own handlers need it nowhere.

    Example:
        >>> from otel_callbacks.callbacks import BaseCallbackHandler
        >>> handler = BaseCallbackHandler()
        >>> for_langchain(handler) is handler
        True
    """
    return cast("LangChainHandler", handler)
