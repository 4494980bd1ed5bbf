"""Plain structures as JSON of at most so many bytes: the cut is inside of their strings, so that the JSON stays valid.

Rules for this file: what is given has been redacted, is plain (`scrub`), and may be changed no more: new structures are
returned. The newest of a list is kept the longest, because the end of a conversation is what a reader of a trace asks for.
"""
# The types of what is read here are unknown by nature.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, Final

from otel_callbacks.core.values import CUT

_MARK_BYTES: Final = 44  # of the mark with a number of up to 15 digits, as JSON
LEAST: Final = 256  # bytes below which a shortened item says nothing


def dumps(value: Any) -> str:
    """Return compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def size(text: str) -> int:
    """Return the bytes of *text* in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def fitted(value: Any, limit: int) -> tuple[Any, str]:
    """Return *value* and its JSON of at most *limit* bytes; ``None`` and no text where not even its frame has room."""
    text = dumps(value)
    if size(text) <= limit:
        return value, text
    shorter = _shortened(value, text, limit)
    return (None, "") if shorter is None else (shorter, dumps(shorter))


def fitted_list(
    items: Sequence[Any], limit: int, omitted: Callable[[int], Any], before: int = 0
) -> tuple[list[Any], str]:
    """Return the newest of *items*, the last, and the JSON of all of at most *limit* bytes.

    Args:
        items: The oldest first.
        limit: Bytes.
        omitted: Makes the item that stands for so many that were left out.
        before: How many were left out in front of *items* already.
    """
    if not before:
        text = dumps(items)
        if size(text) <= limit:
            return list(items), text
    longest = dumps(omitted(before + len(items)))
    left = limit - size(longest) - 3  # its brackets and comma
    kept: list[Any] = []
    texts: list[str] = []
    for item in reversed(items):
        text = dumps(item)
        need = size(text) + 1
        if need > left:
            shorter = _shortened(item, text, left - 1) if left > LEAST or not kept else None
            if shorter is not None:
                kept.append(shorter)
                texts.append(dumps(shorter))
            break
        left -= need
        kept.append(item)
        texts.append(text)
    count = before + len(items) - len(kept)
    if count:
        kept.append(omitted(count))
        texts.append(dumps(kept[-1]))
    text = f"[{','.join(reversed(texts))}]"
    if size(text) > limit:
        return [], "[]" if limit > 1 else ""
    return kept[::-1], text


def _shortened(value: Any, text: str, limit: int) -> Any:
    """Return *value*, whose JSON is *text*, with its longest strings cut so that it fits; None where that is not enough."""
    sizes: list[int] = []
    _collect(value, sizes)
    frame = size(text) - sum(sizes)
    longest = max(sizes, default=0)
    # The most bytes that a string may have so that all fit: strings that are no longer stay whole.
    cap = bisect_right(
        range(longest),
        limit - frame,
        key=lambda cap: sum(min(own, cap + _MARK_BYTES) for own in sizes),
    ) - 1  # fmt: skip
    return None if cap < 0 else _cut(value, cap)


def _collect(value: Any, sizes: list[int]) -> None:
    kind = type(value)
    if kind is str:
        sizes.append(_cost(value))
    elif kind is dict:
        for item in value.values():
            _collect(item, sizes)
    elif kind is list:
        for item in value:
            _collect(item, sizes)


def _cost(text: str) -> int:
    """Return the bytes of a string in JSON, without its quotation marks."""
    return size(dumps(text)) - 2


def _cut(value: Any, cap: int) -> Any:
    kind = type(value)
    if kind is str:
        return _cut_string(value, cap)
    if kind is dict:
        return {key: _cut(item, cap) for key, item in value.items()}
    return [_cut(item, cap) for item in value] if kind is list else value


def _cut_string(text: str, cap: int) -> str:
    """Return *text* if it is little longer than *cap* bytes, else what of it is not, with a mark."""
    if _cost(text) <= cap + _MARK_BYTES:
        return text
    keep = bisect_right(range(min(len(text), cap)), cap, key=lambda count: _cost(text[:count]))
    keep = max(0, keep - 1) if _cost(text[:keep]) > cap else keep
    return text[:keep] + CUT.format(len(text) - keep)
