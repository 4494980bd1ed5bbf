"""Keeping secrets out of what is said: which texts of a configuration must not be shown.

Rules for this file: nothing here is logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

MASK: Final = "***"
_SHORTEST: Final = 4  # characters; masking shorter ones would blank out whole lines and hide nothing


def without_secrets(endpoint: str) -> str:
    """Return *endpoint* without user, password, query and fragment: what may be shown."""
    url = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    host = url.netloc.rpartition("@")[2]
    return urlunsplit((url.scheme, host, url.path, "", "")).removeprefix("//")


def secrets_in(endpoint: str, headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the texts that must not be logged, the longest first: header values, credentials and query of the endpoint."""
    url = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    found = {*headers.values(), url.query, url.password or "", url.netloc.rpartition("@")[0]}
    found |= {word for value in headers.values() for word in value.split()}
    found |= {unquote(text) for text in found}
    return tuple(sorted((text for text in found if len(text) >= _SHORTEST), key=len, reverse=True))
