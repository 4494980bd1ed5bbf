"""The version, which is written in ``pyproject.toml`` and nowhere else."""

from __future__ import annotations

from functools import cache
from importlib import metadata


@cache
def version() -> str:
    """Return the installed version; "0+unknown" where the package is used without having been installed."""
    try:
        return metadata.version("otel-callbacks")
    except metadata.PackageNotFoundError:
        return "0+unknown"
