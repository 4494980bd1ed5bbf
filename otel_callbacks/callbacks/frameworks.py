"""What other frameworks say about the body that the calling code is in.

Rules for this file: a framework is asked by what it publishes (for LangChain, the context variable that it sets around the
bodies of its runs), and only where the module that holds it is loaded; nothing is imported.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def langchain_config() -> Mapping[str, Any] | None:
    """Return the config of the LangChain body that the calling code is in; None outside, or if it has no callbacks."""
    module = sys.modules.get("langchain_core.runnables.config")
    if module is None:
        return None
    variable = getattr(
        module, "var_child_runnable_config", None
    )  # not there yet while the module is being imported
    config: Mapping[str, Any] | None = None if variable is None else variable.get(None)
    return None if config is None or config.get("callbacks") is None else config
