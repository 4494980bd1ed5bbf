"""Turning whatever the application hands over into attribute values: bounded, valid UTF-8, never by running its code.

Rules for this file: never raises; never calls ``str``, ``repr``, ``len``, ``bool`` or iteration of a foreign type, because
those may raise, block, or load rows from a database; decides by ``type(value)``, because ``isinstance`` consults a
``__class__`` that may lie. What is not understood becomes ``<module.Class>``. Nothing is cut without a mark.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import hashlib
import json
import pathlib
import types
import uuid
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias, cast

AttributeValue: TypeAlias = (
    str | bool | int | float | bytes | Sequence[str] | Sequence[bool] | Sequence[int] | Sequence[float]
)
"""What OpenTelemetry accepts as the value of an attribute; sequences hold one type only."""

DEFAULT_MAX_LENGTH: Final = (
    32_768  # characters of one value; a span of 128 such values still fits a 4 MiB request
)
MAX_NAME_LENGTH: Final = 128  # characters of a span, tool or model name: longer ones are no names
MAX_KEY_LENGTH: Final = 256
MAX_ITEMS: Final = 1_000  # elements taken of one list or dict
MAX_DEPTH: Final = 16
MAX_BYTES: Final = 1_024  # longer byte strings are described, not sent
_INT64: Final = 1 << 63
_CUT: Final = "…[truncated {} characters]"


def clean(text: str, limit: int = DEFAULT_MAX_LENGTH) -> str:
    """Return *text* as valid UTF-8 of at most *limit* characters, plus a mark that says how many were cut.

    A lone surrogate makes OTLP's encoder reject the whole batch, neighbours included; it becomes U+FFFD.
    Returns: *text* itself when nothing has to change.
    """
    length = str.__len__(text)
    if length > limit:
        text = text[:limit] + _CUT.format(length - limit)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def name(value: object, limit: int = MAX_NAME_LENGTH) -> str | None:
    """Return *value* as one short line fit for a span's name; None if it is not a non-blank string."""
    if type(value) is not str:
        if not issubclass(type(value), str):
            return None
        value = str.__str__(cast("str", value))
    if value.isidentifier() and len(value) <= limit and value.isascii():  # nearly every name
        return value
    line = " ".join(value.split())
    return clean(line, limit) if line else None


def type_name(value: object) -> str:
    """Return ``<module.Class>`` of *value*: all that is ever said of an object that is not understood."""
    cls = type(value)
    return f"<{_class_path(cls)}>"


def _class_path(cls: type) -> str:
    module = type.__getattribute__(cls, "__module__")
    return clean(
        f"{module}.{type.__getattribute__(cls, '__qualname__')}" if type(module) is str else cls.__name__, 200
    )


def integer(value: object) -> int | None:
    """Return *value* as a count (int >= 0, below 2**63), or None; ``12.0`` and ``"12"`` count, True and NaN do not."""
    kind = type(value)
    if kind is int:
        number = cast("int", value)
    elif kind is float and cast("float", value).is_integer():
        number = int(cast("float", value))
    elif kind is str and cast("str", value).isdecimal() and len(cast("str", value)) <= len(str(_INT64)):
        number = int(cast("str", value))
    elif kind.__module__ == "numpy":
        return integer(_numpy_item(value))
    else:
        return None
    return number if 0 <= number < _INT64 else None


def number(value: object) -> float | None:
    """Return *value* as a float if it is a finite int or float (not a bool), else None."""
    if type(value) is float:
        return value if value - value == 0 else None  # inf and nan minus themselves are nan
    if type(value) is int and -_INT64 <= value < _INT64:
        return float(value)
    return None


def attribute(value: object, limit: int = DEFAULT_MAX_LENGTH) -> AttributeValue | None:
    """Return *value* as an attribute value, or None when there is nothing to say (None, an empty collection).

    A list of one primitive type stays an array; every other collection becomes JSON text of at most *limit* characters.
    """
    try:
        scalar = _SCALARS.get(type(value))
        if scalar is not None:
            return scalar(value, limit)
        if value is None:
            return None
        plain = _plain(value, limit, MAX_DEPTH, set())
        if type(plain) is list:
            kinds = {type(item) for item in plain}
            if len(kinds) == 1 and kinds <= _ARRAY_TYPES:
                return tuple(plain)
        elif type(plain) is not dict:
            return cast("AttributeValue | None", plain)
        return to_json(plain, limit) if plain else None
    except Exception:  # noqa: BLE001 - one odd value must not cost the span; RecursionError and MemoryError included
        return type_name(value)


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
    raw = bytes(value) if len(value) <= MAX_BYTES else b""
    if raw or not value:
        return raw
    return f"<{len(value)} bytes sha256:{hashlib.sha256(value).hexdigest()[:16]}>"


def _text_of(value: Any, limit: int) -> AttributeValue:
    return clean(str(value), limit)


def _isoformat(value: Any, _limit: int) -> AttributeValue:
    return cast("str", value.isoformat())


def _class(value: Any, _limit: int) -> AttributeValue:
    return _class_path(value)


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
    memoryview: lambda value, limit: _bytes(value.tobytes() if value.nbytes <= MAX_BYTES else value, limit),
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
_PLAIN_TYPES: Final[frozenset[type]] = frozenset({str, bool, int, float, type(None)})


def _plain(value: Any, limit: int, depth: int, inside: set[int]) -> Any:  # noqa: PLR0911 - one return per kind of value
    """Return *value* as nested lists, dicts and scalars that ``json`` writes strictly; cycles and depth are marked."""
    kind = type(value)
    scalar = _SCALARS.get(kind)
    if scalar is not None:
        if kind is float and value - value != 0:
            return "NaN" if value != value else ("Infinity" if value > 0 else "-Infinity")  # noqa: PLR0124 - NaN
        plain = scalar(value, limit)
        return plain if type(plain) is not bytes else plain.decode(errors="replace")
    if value is None:
        return None
    if issubclass(kind, enum.Enum):
        return _plain(value._value_, limit, depth, inside)  # not `.value`: that may be overridden
    if issubclass(kind, str):
        return clean(str.__str__(value), limit)
    if kind.__module__ == "numpy":
        return _plain(_numpy_item(value), limit, depth, inside)
    if not issubclass(kind, (dict, list, tuple, set, frozenset)):
        return type_name(value)
    if depth <= 0:
        return "<too deep>"
    if id(value) in inside:
        return "<cycle>"
    inside.add(id(value))
    try:
        if issubclass(kind, dict):
            return _plain_dict(value, limit, depth, inside)
        base = next(cls for cls in (list, tuple, set, frozenset) if issubclass(kind, cls))
        items = list(islice(base.__iter__(value), MAX_ITEMS))
        plain = [_plain(item, limit, depth - 1, inside) for item in items]
        if base.__len__(value) > MAX_ITEMS:
            plain.append(f"…[{base.__len__(value) - MAX_ITEMS} more]")
        return plain
    finally:
        inside.discard(id(value))


def _plain_dict(value: dict[Any, Any], limit: int, depth: int, inside: set[int]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, item in pairs(value):
        plain[unique(key, plain)] = _plain(item, limit, depth - 1, inside)
    if dict.__len__(value) > MAX_ITEMS:
        plain["…"] = f"[{dict.__len__(value) - MAX_ITEMS} more]"
    return plain


def pairs(mapping: dict[Any, Any]) -> list[tuple[str, Any]]:
    """Return at most ``MAX_ITEMS`` pairs of *mapping* whose keys can be written; the others are left out.

    Copied in one step of C, tried twice, because another thread may be changing the dict.
    """
    for _ in range(2):
        try:
            items = list(islice(dict.items(mapping), MAX_ITEMS))
            break
        except RuntimeError:
            continue
    else:
        return []
    return [(text, item) for key, item in items if (text := key_text(key))]


def key_text(key: object) -> str | None:
    """Return the key of a dict as text; None (or empty) for a key that cannot be written."""
    if type(key) is str:
        return clean(key, MAX_KEY_LENGTH)
    plain = _plain(key, MAX_KEY_LENGTH, 0, set())
    if type(plain) is str and plain.startswith("<"):
        return None
    return clean(str(plain), MAX_KEY_LENGTH) if type(plain) in _PLAIN_TYPES else None


def unique(key: str, taken: dict[str, Any]) -> str:
    """Return *key*, or with a suffix ``#2`` when 1 and "1" met in one dict: neither overwrites the other."""
    if key not in taken:
        return key
    count = 2
    while f"{key}#{count}" in taken:
        count += 1
    return f"{key}#{count}"


def _numpy_item(value: Any) -> Any:
    """Return a numpy scalar as Python's own; an array as its type and shape, never its content."""
    shape = value.shape
    if shape == ():
        item = value.item()
        return item if type(item) in _PLAIN_TYPES else type_name(value)
    return f"<{type(value).__name__} {value.dtype} {shape}>"
