"""From the text of an environment variable to its value: one function a type.

Rules for this file: standard library only; what is not allowed raises a ValueError, whose message says nothing of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import isfinite
from types import MappingProxyType
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

_BOOLEANS: Final = {
    "true": True, "1": True, "yes": True, "on": True,
    "false": False, "0": False, "no": False, "off": False,
}  # fmt: skip
ANY_BOOLEAN: Final = "true or false (also 1, yes, on; 0, no, off)"


def boolean(text: str) -> bool:
    """Return what *text* says, in any of the usual words."""
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError from None


def strict_boolean(text: str) -> bool:
    """Return what *text* says; only ``true`` and ``false``, as OpenTelemetry's specification has it."""
    if text.lower() not in {"true", "false"}:
        raise ValueError
    return text.lower() == "true"


def count(text: str) -> int:
    """Return a whole number from 1."""
    # Not int(): that also takes "1_000", " 5" and digits of other scripts.
    if not re.fullmatch(r"\+?[0-9]{1,15}", text) or int(text) < 1:
        raise ValueError
    return int(text)


def seconds(text: str) -> float:
    """Return a finite number above 0."""
    number = float(text)
    if not isfinite(number) or number <= 0:
        raise ValueError
    return number


def string(text: str) -> str:
    """Return *text* as it is; a path, a name."""
    if "\0" in text:
        raise ValueError
    return text


def one_of(*allowed: str) -> Callable[[str], str]:
    """Return a parser of the lower-case words that are *allowed*."""

    def parse(text: str) -> str:
        if text.lower() not in allowed:
            raise ValueError
        return text.lower()

    return parse


CONTENT_MODES: Final = ("NO_CONTENT", "SPAN_ONLY", "EVENT_ONLY", "SPAN_AND_EVENT")
ANY_CONTENT_MODE: Final = (
    "NO_CONTENT, SPAN_ONLY, EVENT_ONLY or SPAN_AND_EVENT; true is SPAN_ONLY, false is NO_CONTENT"
)


def content_mode(text: str) -> str:
    """Return where content goes, one of `CONTENT_MODES`."""
    if text.upper() not in CONTENT_MODES:
        raise ValueError
    return text.upper()


def content(text: str) -> str:
    """Return where content goes, said by `CONTENT_MODES` or by any boolean."""
    if text.lower() in _BOOLEANS:
        return "SPAN_ONLY" if _BOOLEANS[text.lower()] else "NO_CONTENT"
    return content_mode(text)


REDACTORS: Final = ("secrets", "emails", "credit_cards", "phone_numbers", "ibans")


def redactors(text: str) -> tuple[str, ...]:
    """Return names of `REDACTORS`, each once, in their order."""
    names = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    if not set(names) <= {*REDACTORS}:
        raise ValueError
    return names


CONTENT_FIELDS: Final = (
    "input_messages", "output_messages", "system_instructions", "tool_definitions", "tool_arguments", "tool_results",
    "retrieval_query", "retrieval_documents",
)  # fmt: skip


def content_fields(text: str) -> tuple[str, ...]:
    """Return names of `CONTENT_FIELDS`, each once, in their order."""
    names = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    if not names or not set(names) <= {*CONTENT_FIELDS}:
        raise ValueError
    return names


def exporters(text: str) -> tuple[str, ...]:
    """Return the names of exporters; none of them for ``none``."""
    names = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    if not set(names) <= {"otlp", "console", "none"} or ("none" in names and len(names) > 1):
        raise ValueError
    return () if names == ("none",) else names


def names(text: str) -> tuple[str, ...]:
    """Return names, each once, in their order."""
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not found or not all(part.isprintable() for part in found):
        raise ValueError
    return found


def split_url(text: str) -> SplitResult:
    """Return the parts of a URL, or of host and port without a scheme. Raises: ValueError."""
    return urlsplit(text if "://" in text else f"//{text}")


def endpoint(text: str) -> str:
    """Return *text* as it is, if it is a URL or host and port."""
    # "collector:4317" is what gRPC users write: no scheme, host and port only.
    url = split_url(text)
    if (
        url.scheme not in {"", "http", "https"}
        or not url.hostname
        or url.port == 0
        or re.search(r"[\s\0-\x1f]", text)
    ):
        raise ValueError
    return text


def pairs(text: str) -> Mapping[str, str]:
    """``key=value,…`` with percent-encoded values: the form of W3C baggage without properties, as the specification has it."""
    found: dict[str, str] = {}
    for item in text.split(","):
        key, equals, value = item.partition("=")
        if not item.strip():
            continue
        if not equals or not key.strip():
            raise ValueError
        found[unquote(key.strip())] = unquote(value.strip(), errors="strict")
    return MappingProxyType(found)


_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2: token
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")  # visible ASCII; no line break can enter


def headers(text: str) -> Mapping[str, str]:
    """Return HTTP headers, in the form of `pairs`."""
    return checked_headers(pairs(text))


def checked_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return *headers* with lower-case names and without white space round the values, which clients refuse to send.

    Raises: ValueError: a name or a value that HTTP does not allow; the message holds neither.
    """
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise ValueError
    return MappingProxyType({name.lower(): value.strip() for name, value in headers.items()})
