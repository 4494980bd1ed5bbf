"""Keeping secrets out of what is said: which texts of a configuration must not be shown.

Rules for this file: nothing here is logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote, urlunsplit

from otel_callbacks.parsing import split_url


def without_secrets(endpoint: str) -> str:
    """Return *endpoint* without user, password, query and fragment: what may be shown."""
    url = split_url(endpoint)
    host = url.netloc.rpartition("@")[2]
    return urlunsplit((url.scheme, host, url.path, "", "")).removeprefix("//")


def secrets_in(endpoint: str, headers: Mapping[str, str]) -> set[str]:
    """Return the texts that must not be logged: header values, credentials and query of the endpoint."""
    url = split_url(endpoint)
    found = {*headers.values(), url.query, url.password or "", url.netloc.rpartition("@")[0]}
    found |= {word for value in headers.values() for word in value.split()}
    return found | {unquote(text) for text in found}
