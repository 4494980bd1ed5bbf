"""Turning whatever the application hands over into attribute values: bounded, valid UTF-8, never by running its code.

Rules for this file: never raises; never calls ``str``, ``repr``, ``len``, ``bool`` or iteration of a foreign type, because
those may raise, block, or load rows from a database; decides by ``type(value)``, because ``isinstance`` consults a
``__class__`` that may lie. What is not understood becomes ``<module.Class>``. Nothing is cut without a mark, and nothing
before its secrets are out: half of one is not recognised later.
"""
# The types of what is read here are unknown by nature.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import pathlib
import types
import uuid
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, count, islice
from typing import Any, Final, TypeAlias, cast

from otel_callbacks.core import numpy
from otel_callbacks.core.reading import byte_count, pairs
from otel_callbacks.core.redact import bounded, secrets

AttributeValue: TypeAlias = (
    str | bool | int | float | bytes | Sequence[str] | Sequence[bool] | Sequence[int] | Sequence[float]
)
"""What OpenTelemetry accepts as the value of an attribute; sequences hold one type only."""

# Characters of one value: a span of 128 such values still fits a 4 MiB request.
DEFAULT_MAX_LENGTH: Final = 32_768
MAX_NAME_LENGTH: Final = 128  # characters of a span, tool or model name: longer ones are no names
MAX_KEY_LENGTH: Final = 256
MAX_ITEMS: Final = 1_000  # elements taken of one list or dict
MAX_DEPTH: Final = 16
MAX_BYTES: Final = 1_024  # longer byte strings are described, not sent
_FEW: Final = 64
_INT64: Final = 1 << 63
CUT: Final = "…[truncated {} characters]"


def clean(text: str, limit: int = DEFAULT_MAX_LENGTH) -> str:
    """Return *text* as valid UTF-8 of at most *limit* characters, plus a mark that says how many were cut.

    A lone surrogate makes OTLP's encoder reject the whole batch, neighbours included; it becomes U+FFFD.
    Returns: *text* itself when nothing has to change.
    """
    length = len(text)
    if length > limit:
        text, left_out = bounded(text, limit, ())
        if left_out:
            text += CUT.format(left_out)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def string(value: Any) -> str | None:
    """Return *value* if it is a non-empty string, one of a subclass as plain text; else None."""
    if type(value) is str:
        return value or None
    return str.__str__(value) or None if issubclass(type(value), str) else None


def short(value: Any, limit: int) -> str | None:
    """Return a non-empty string as valid UTF-8 of at most *limit* characters, an ellipsis included; else None."""
    if type(value) is str and value and len(value) <= limit and value.isascii():  # nearly every one
        return value
    text = string(value)
    if text is None or len(text) <= limit:
        return text and clean(text)
    text, left_out = bounded(text, limit - 1, ())
    return clean(text) + "…" if left_out else clean(text)


def name(value: Any, limit: int = MAX_NAME_LENGTH) -> str | None:
    """Return *value* as one short line fit for a span's name; None if it is not a non-blank string."""
    if (
        type(value) is str and value.isidentifier() and value.isascii() and len(value) <= limit
    ):  # nearly every one
        return value
    text = string(value)
    if text is None:
        return None
    if len(text) <= limit:
        return clean(" ".join(text.split())) or None
    # However long it is, only so much of it is looked at; blanks that are joined may bring it below the limit.
    if len(text) <= limit * 4:
        return short(" ".join(text.split()), limit)
    head, end = secrets(" ".join(text[: limit * 4].split())), text[limit * 4 - 1 : limit * 4 + 1]
    if not (end[0].isspace() or end[1].isspace()):  # the last word may be half of a secret
        head = head.rpartition(" ")[0] or head
    return short(head + "…", limit)


def type_name(value: object) -> str:
    """Return ``<module.Class>`` of *value*: all that is ever said of an object that is not understood."""
    return f"<{class_path(type(value))}>"


def class_path(cls: type) -> str:
    """Return ``module.QualName`` of *cls*, without asking its metaclass."""
    module = type.__getattribute__(cls, "__module__")
    return clean(f"{module if type(module) is str else '?'}.{qualified_name(cls)}", MAX_KEY_LENGTH)


def qualified_name(cls: type) -> str:
    """Return the ``__qualname__`` of *cls*, without asking its metaclass."""
    return str.__str__(type.__getattribute__(cls, "__qualname__"))


def integer(value: Any) -> int | None:
    """Return *value* as a count (int >= 0, below 2**63), or None; ``12.0`` and ``"12"`` count, True and NaN do not."""
    if type(value) is int:
        return value if 0 <= value < _INT64 else None
    if type(value) is str:
        found = int(value) if len(value) <= len(str(_INT64)) and value.isdecimal() else None
    else:
        plain = _number(value)
        found = (
            int(plain) if plain is not None and plain % 1 == 0 else None
        )  # infinity and NaN modulo 1 are NaN
    return found if found is not None and 0 <= found < _INT64 else None


def number(value: object) -> float | None:
    """Return *value* as a float if it is an int or float (not a bool) between -2**63 and 2**63, else None."""
    plain = value if type(value) is float else _number(value)
    if plain is None or not -_INT64 < plain < _INT64:  # false for NaN as well
        return None
    return float(plain)


def _number(value: object) -> int | float | None:
    """Return an int or float, of whatever class, as Python's own; None for anything else, True and False included."""
    kind = type(value)
    if kind is bool:
        return None
    if issubclass(kind, int):
        return int.__add__(cast("int", value), 0)
    if issubclass(kind, float):
        return float.__add__(cast("float", value), 0.0)
    item = numpy.scalar(value)
    return item if type(item) in (int, float) else None


def attribute(
    value: object, limit: int = DEFAULT_MAX_LENGTH, walk: type[Walk] | None = None
) -> AttributeValue | None:
    """Return *value* as an attribute value, or None when there is nothing to say (None, an empty collection).

    A list of one primitive type stays an array; every other collection becomes JSON text. All that comes of a value is
    about *limit* characters at most. *walk* makes collections plain.
    """
    try:
        kind = type(value)
        scalar = _SCALARS.get(kind)
        if scalar is not None:
            return scalar(value, limit)
        if value is None:
            return None
        if (kind is list or kind is tuple) and (
            array := _strings(tuple(cast("Sequence[Any]", value)), limit)
        ):
            return array
        # An eighth is for punctuation and for what marks the cuts, so that the JSON itself stays whole.
        plain = (walk or Walk)(limit - limit // 8).plain(value, MAX_DEPTH)
        if type(plain) is list:
            kinds = set(map(type, plain))
            if len(kinds) == 1 and kinds <= _ARRAY_TYPES:
                return tuple(plain)
        elif type(plain) is not dict:
            return cast("AttributeValue | None", plain)
        return to_json(plain, limit) if plain else None
    except Exception:  # noqa: BLE001 - one odd value must not cost the span; RecursionError and MemoryError included
        return type_name(value)


def _strings(items: tuple[Any, ...], limit: int) -> tuple[str, ...] | None:
    """Return *items* if nothing has to be done to them: a few plain strings, as nearly every collection is."""
    if len(items) > _FEW:
        return None
    for item in items:
        if type(item) is not str or item[:1] == "-":  # an option, perhaps a password's
            return None
    text = "".join(items)
    return items if len(text) <= limit and text.isascii() else None


def to_json(plain: object, limit: int = DEFAULT_MAX_LENGTH) -> str:
    """Return JSON text of an already plain value, cut with a mark when longer than *limit* characters."""
    return clean(json.dumps(plain, ensure_ascii=False, separators=(",", ":"), default=type_name), limit)


def _str(value: Any, limit: int) -> AttributeValue:
    return clean(value, limit)


def _int(value: Any, _limit: int) -> AttributeValue:
    if -_INT64 <= value < _INT64:
        return cast("int", value)
    # int -> str is quadratic and refused above 4,300 digits.
    return str(value) if value.bit_length() <= MAX_BYTES else f"<int of {value.bit_length()} bits>"


def _same(value: Any, _limit: int) -> AttributeValue:
    return cast("AttributeValue", value)


def _bytes(value: Any, _limit: int) -> AttributeValue:
    size = byte_count(value)
    if size is None:
        return type_name(value)
    return bytes(value) if size <= MAX_BYTES else f"<{size} bytes>"


def _text_of(value: Any, limit: int) -> AttributeValue:
    return clean(str(value), limit)


def _isoformat(value: Any, _limit: int) -> AttributeValue:
    return cast("str", value.isoformat())


def _class(value: Any, _limit: int) -> AttributeValue:
    return class_path(value)


def _function(value: Any, _limit: int) -> AttributeValue:
    return clean(f"{value.__module__}.{value.__qualname__}", MAX_KEY_LENGTH)


# Exact types whose conversion is the standard library's own code, so that it can be trusted to run.
_SCALARS: Final[dict[type, Callable[[Any, int], AttributeValue]]] = {
    str: _str,
    bool: _same,
    int: _int,
    float: _same,
    bytes: _bytes,
    bytearray: _bytes,
    memoryview: _bytes,
    uuid.UUID: _text_of,
    decimal.Decimal: _text_of,
    pathlib.PosixPath: _text_of,
    pathlib.WindowsPath: _text_of,
    pathlib.PurePosixPath: _text_of,
    pathlib.PureWindowsPath: _text_of,
    dt.datetime: _isoformat,
    dt.date: _isoformat,
    dt.time: _isoformat,
    type: _class,
    types.FunctionType: _function,
}
_ARRAY_TYPES: Final[set[type]] = {str, bool, int, float}
_KEY_TYPES: Final = frozenset(
    {bool, int, float, type(None), uuid.UUID, decimal.Decimal, dt.date, dt.datetime}
)
_COLLECTIONS: Final[tuple[type[Any], ...]] = (list, tuple, set, frozenset)


class Walk:
    """One value on its way to nested lists, dicts and scalars that ``json`` writes strictly.

    Bounded in depth, in the elements of each collection, and in all by a budget of characters: three lists of a thousand
    times the same list are a thousand million elements, and no cycle. `text`, `key`, `item`, `stranger` may be overridden.
    """

    __slots__ = ("_inside", "_left", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = self._left = limit
        self._inside: set[int] = set()

    def text(self, value: str) -> str:
        """Return what is said of a string."""
        return clean(value, max(self._left, 0))

    def key(self, text: str) -> str:
        """Return what is said of a dict's key."""
        return text

    def item(self, _key: str, value: Any, depth: int) -> Any:
        """Return what is said of the *value* that a dict has under a key."""
        return self.plain(value, depth)

    def stranger(self, value: Any, _depth: int) -> Any:
        """Return what is said of an object that is not understood."""
        return type_name(value)

    def plain(self, value: Any, depth: int) -> Any:
        """Return *value* as what ``json`` writes; at most *depth* collections deep."""
        kind = type(value)
        scalar = _SCALARS.get(kind)
        if scalar is None:
            return self._other(value, kind, depth)
        if kind is str:
            text = self.text(value)
            self._left -= len(text)
            return text
        self._left -= 8  # what a number costs, about
        if kind is float and value - value != 0:
            return "NaN" if value != value else ("Infinity" if value > 0 else "-Infinity")  # noqa: PLR0124 - NaN
        found = scalar(value, self._limit)
        if type(found) is bytes:
            found = found.decode(errors="replace")
        return self.text(found) if type(found) is str else found

    def _other(self, value: Any, kind: type, depth: int) -> Any:
        """Answer for what is not of an exact type that is known: None, a subclass, a collection, a stranger."""
        if value is None:
            return None
        if issubclass(kind, enum.Enum):
            return self.plain(value._value_, depth)  # not `.value`: that may be overridden
        if issubclass(kind, str):
            return self.plain(str.__str__(value), depth)
        if issubclass(kind, type):
            return class_path(value)
        plain = numpy.scalar(value)
        if plain is None:
            plain = _number(value)
        if type(plain) in _SCALARS:
            return self.plain(plain, depth)
        if issubclass(kind, dict) or issubclass(kind, _COLLECTIONS):
            return self._collection(value, kind, depth)
        self._left -= 8
        return numpy.array(value) or self.stranger(value, depth)

    def _collection(self, value: Any, kind: type, depth: int) -> Any:
        if depth <= 0:
            return "<too deep>"
        if id(value) in self._inside:
            return "<cycle>"
        self._inside.add(id(value))
        try:
            if issubclass(kind, dict):
                return self._dict(value, depth)
            base = (
                kind if kind in _COLLECTIONS else next(cls for cls in _COLLECTIONS if issubclass(kind, cls))
            )
            return self._list(base.__iter__(value), base.__len__(value), depth)
        finally:
            self._inside.discard(id(value))

    def _list(self, items: Iterable[Any], length: int, depth: int) -> list[Any]:
        found: list[Any] = []
        for item in islice(items, MAX_ITEMS):
            if self._left <= 0:
                break
            found.append(self.plain(item, depth - 1))
        if len(found) < length:
            found.append(f"…[{length - len(found)} more]")
        return found

    def _dict(self, value: dict[Any, Any], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        taken = 0
        for key, item in pairs(value, MAX_ITEMS):
            if self._left <= 0:
                break
            taken += 1
            text = key_text(key)
            if text:
                self._left -= len(text)
                found[unique(self.key(text), found)] = self.item(text, item, depth - 1)
        if taken < dict.__len__(value):
            found["…"] = f"[{dict.__len__(value) - taken} more]"
        return found


def key_text(key: object) -> str | None:
    """Return the key of a dict as text of at most ``MAX_KEY_LENGTH``; None for a key that cannot be written."""
    text = short(key, MAX_KEY_LENGTH)
    if text is None and type(key) in _KEY_TYPES:
        text = short(str(_int(key, 0) if type(key) is int else key), MAX_KEY_LENGTH)
    elif text is None and issubclass(type(key), enum.Enum):
        return key_text(cast("enum.Enum", key)._value_)
    return text


def unique(key: str, taken: dict[str, Any]) -> str:
    """Return *key*, or with a suffix ``#2`` when 1 and "1" met in one dict: neither overwrites the other."""
    if key not in taken:
        return key
    # Then on by how many there are, so that a thousand long keys that were cut alike are not counted through.
    numbers = chain((2,), count(len(taken) + 1))
    return next(found for number in numbers if (found := f"{key}#{number}") not in taken)
