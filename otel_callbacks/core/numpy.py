"""What is numpy's, where the application has loaded it: scalars as Python's own, arrays by type and shape.

Rules for this file: numpy is looked up, never imported.
"""

from __future__ import annotations

import sys
from typing import Any, cast


def scalar(value: object) -> Any:
    """Return a numpy scalar as Python's own; None for anything else."""
    generic = getattr(sys.modules.get("numpy"), "generic", None)
    if type(generic) is type and issubclass(type(value), generic):
        return cast("Any", value).item()
    return None


def array(value: object) -> str | None:
    """Return a numpy array as its type and shape, never its content; None for anything else."""
    if type(value) is getattr(sys.modules.get("numpy"), "ndarray", None):
        array = cast("Any", value)
        return f"<ndarray {array.dtype} {array.shape}>"
    return None
