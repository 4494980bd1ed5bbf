"""What media is known by when its bytes are left out: the SHA-256 of them, however they were handed over.

Rules for this file: bounded work, because it is done in the callback: base64 takes about 4 ms for a megabyte, bytes take 1. A
conversation brings its pictures again with every call, so that a few digests are remembered, by the texts' own hashes.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error
from hashlib import sha256
from typing import Final

MAX_BYTES: Final = 4 << 20  # of one callback's media, in all: 16 ms of base64
MAX_KNOWN: Final = 1_024

# By length and hash, which a text or bytes compute once and keep; what is mutable is not in here.
_known: dict[tuple[type, int, int], str] = {}


def of_bytes(data: bytes | bytearray | memoryview) -> str:
    """Return the digest of *data*, in hexadecimal."""
    if type(data) is not bytes:
        return _digest(bytes(data))
    key = (bytes, len(data), hash(data))
    return _known.get(key) or _remembered(key, data)


def of_base64(text: str, start: int, size: int) -> str | None:
    """Return the digest of what *text* has in base64 from *start* on; None unless that is *size* bytes, and nothing else."""
    key = (str, len(text), hash(text))
    known = _known.get(key)
    if known is None:
        coded = text[start:]
        try:
            data = b64decode(coded, b"-_" if "-" in coded or "_" in coded else None)
        except (Error, ValueError):
            return None
        return _remembered(key, data) if len(data) == size else None
    return known


def _remembered(key: tuple[type, int, int], data: bytes) -> str:
    if len(_known) >= MAX_KNOWN:
        _known.clear()
    found = _known[key] = _digest(data)
    return found


def _digest(data: bytes) -> str:
    return sha256(data, usedforsecurity=False).hexdigest()
