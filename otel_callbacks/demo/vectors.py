"""Embeddings without a model: texts that share words are near each other, always in the same place."""

from __future__ import annotations

import base64
import math
import struct

from otel_callbacks.demo.loose import fingerprint
from otel_callbacks.demo.words import content_words

DIMENSIONS = 64


def embed(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """Return a unit vector of *dimensions* numbers: each word that matters in *text* adds to one of them."""
    vector = [0.0] * dimensions
    for word in content_words(text) or [""]:
        vector[fingerprint(word) % dimensions] += 1.0
    length = math.hypot(*vector)
    return [number / length for number in vector]


def as_base64(vector: list[float]) -> str:
    """Return *vector* as the API sends it when ``encoding_format`` is base64: little-endian 32-bit floats."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
