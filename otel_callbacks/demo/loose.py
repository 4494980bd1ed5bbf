"""Reading JSON that somebody else wrote: every answer has the type that was asked for, nothing raises.

The model server is given whatever a client sends; a missing or mistyped member reads as empty.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, TypeAlias, TypeGuard

JsonObject: TypeAlias = dict[str, Any]


def as_object(value: object) -> JsonObject:
    """Return *value* when it is a JSON object, else an empty one."""
    return value if _is_object(value) else {}


def as_list(value: object) -> list[Any]:
    """Return *value* when it is a JSON array, else an empty one."""
    return value if _is_list(value) else []


def as_text(value: object) -> str:
    """Return *value* when it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def message_text(message: JsonObject) -> str:
    """Return the text of a chat message, whether its content is a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    return " ".join(as_text(as_object(part).get("text")) for part in as_list(content))


def fingerprint(value: object) -> int:
    """Return a 64-bit number that depends on *value* (JSON) alone: the seed of everything that is made up."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return int.from_bytes(hashlib.sha256(canonical.encode("utf-8", "replace")).digest()[:8], "big")


def _is_object(value: object) -> TypeGuard[JsonObject]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)
