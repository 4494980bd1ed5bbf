"""Where the demo's traces go: decided from the command line and the environment, before anything is started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_FILE = Path("otel-callbacks-demo.jsonl")
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


@dataclass(frozen=True, slots=True)
class Destination:
    """An OTLP *endpoint* (None: not exported), a *file* (None: not written); always the terminal."""

    endpoint: str | None = None
    file: Path | None = None


def without_user(url: str) -> str:
    """Return *url* without the user and password that it may hold."""
    user, at, _ = urlsplit(url).netloc.rpartition("@")
    return url.replace(user + at, "", 1)


def choose(file: Path | None, env: Mapping[str, str]) -> Destination:
    """Export where the standard variables say; without them write a file, as with *file*."""
    endpoint = next((env[name] for name in ENDPOINTS if env.get(name)), None)
    return Destination(endpoint, file or (None if endpoint else DEFAULT_FILE))
