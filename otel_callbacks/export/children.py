"""Forked children: what objects have to do anew in one.

Rules for this file: one hook for all of them, because the interpreter's list of hooks never gets shorter; whoever is in it is held
weakly. They are called in the order in which they asked, and one that fails harms none of the others.
"""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable
from typing import Any, Final

from otel_callbacks.core.shield import class_name

_logger = logging.getLogger(__name__)
_methods: Final[dict[weakref.WeakMethod[Any], None]] = {}


def call_in_children(method: Callable[[], object]) -> None:
    """Call *method*, of an object, in every child that this process forks, as long as the object lives."""
    _methods[weakref.WeakMethod(method, lambda gone: _methods.pop(gone, None))] = None


def _in_child() -> None:
    for known in tuple(_methods):
        method = known()
        try:
            if method is not None:
                method()
        except Exception as error:  # noqa: BLE001  (the child goes on, and so do the others)
            _logger.warning("Something could not begin anew after a fork: %s.", class_name(error))


if hasattr(os, "register_at_fork"):  # pragma: no branch  (Windows does not fork)
    os.register_at_fork(after_in_child=_in_child)
