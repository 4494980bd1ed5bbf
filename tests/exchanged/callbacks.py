"""langchain_core.callbacks, the package and all its modules, answered with otel_callbacks.callbacks.

Rules for this file: the exchange is made in a process of its own, before anything of LangChain is imported; from then on
runnables, models, tools, retrievers, tracers and LangGraph get our classes and functions by their usual names, and those of
langchain-core are not even loaded. What the two packages do not share by name fails at the import that wants it.
"""

from __future__ import annotations

import importlib
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING

import otel_callbacks.callbacks as ours

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

PACKAGE = "langchain_core.callbacks"
MODULES = frozenset({"base", "file", "manager", "stdout", "streaming_stdout", "usage"})


class _Ours(MetaPathFinder, Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, module = fullname.rpartition(".")
        if fullname == PACKAGE or (package == PACKAGE and module in MODULES):
            return ModuleSpec(fullname, self, is_package=fullname == PACKAGE)
        return None

    def exec_module(self, module: ModuleType) -> None:
        for name in ours.__all__:
            setattr(module, name, getattr(ours, name))
        module.__all__ = ours.__all__  # type: ignore[attr-defined] # a module's


def exchange() -> None:
    """Make the exchange; LangChain's own hooks (its run collector's) are registered here too."""
    if any(name.startswith("langchain_core") for name in sys.modules):
        raise RuntimeError("LangChain is loaded already, with its own callbacks.")
    sys.meta_path.insert(0, _Ours())
    context = importlib.import_module("langchain_core.tracers.context")
    for hook in context._configure_hooks:
        ours.register_configure_hook(*hook)
    context.register_configure_hook = ours.register_configure_hook  # type: ignore[attr-defined] # a module's
