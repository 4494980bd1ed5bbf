"""Attributes and their values, encoded: ``KeyValue`` and ``AnyValue`` of opentelemetry/proto/common/v1.

Rules for this file: nothing raises and nothing is refused, because one odd value must cost neither its span nor its neighbours.
Lone surrogates become U+FFFD; an integer beyond 64 bits its digits; a collection within collections is bounded in depth and in
bytes, so cycles and lists of lists of the same list end; an object that is not understood is said to be ``<module.Class>`` and
never asked for its text, which may hold a secret, may take for ever, may raise. Else as the official encoder has it.
"""
# The types of what is read here are unknown by nature.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType, NoneType
from typing import Any, Final, cast

from opentelemetry.attributes import BoundedAttributes

from otel_callbacks.core.values import MAX_DEPTH, type_name
from otel_callbacks.export.wire.protobuf import TABLE, VARINTS, Heads, pack_double, varint

_INT64: Final = 1 << 63  # one beyond the largest
# Digits of longer integers may be refused (sys.set_int_max_str_digits is 640 at least) and are quadratic to make.
_MAX_INT_BITS: Final = 2_048
# Of all that one value's collections hold: as much as a collector takes in one request (gRPC's 4 MiB).
MAX_COLLECTED_BYTES: Final = 4 << 20
# What an element counts beside its own bytes: a million small ones may take no second.
_ELEMENT_BYTES: Final = 256
_MAX_KEYS: Final = 2_048  # encoded keys that are kept; metadata may bring new ones for ever
_MAX_KEY_LENGTH: Final = 128  # characters of such a key

_TEXT: Final = Heads(0x0A)  # AnyValue.string_value, and any field 1
_ARRAY: Final = Heads(0x2A)  # AnyValue.array_value
_MAP: Final = Heads(0x32)  # AnyValue.kvlist_value
_BYTES: Final = Heads(0x3A)  # AnyValue.bytes_value
_FIRST: Final = _TEXT  # KeyValue.key, ArrayValue.values, KeyValueList.values
_VALUE: Final = Heads(0x12)  # KeyValue.value
_FEW: Final = 16  # elements
_SHORT: Final = TABLE // 4  # characters of a text whose bytes are fewer than `TABLE` in any case
_TRUE: Final = b"\x10\x01"
_FALSE: Final = b"\x10\x00"

# In front of a string of so many bytes, inside of a KeyValue: AnyValue's length, the string's tag, its length.
_STRINGS: Final = tuple(
    varint(1 + len(length) + size) + _TEXT.tag + length for size, length in enumerate(VARINTS)
)
# The same in front of an integer's varint, and all of a KeyValue's value behind its tag for the other plain ones.
_INTEGERS: Final = tuple(bytes((1 + size, 0x18)) for size in range(11))
_DOUBLE: Final = b"\x09\x21"
_BOOLEANS: Final = {True: b"\x02" + _TRUE, False: b"\x02" + _FALSE}

_NUMBERS: Final = (int, bool, float)
_COPIED: Final = (dict, MappingProxyType, BoundedAttributes)

_keys: dict[str, bytes] = {}


def utf8(value: str) -> bytes:
    """Return *value* in UTF-8, lone surrogates as U+FFFD: a parser refuses the whole request for one of them."""
    try:
        return value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def text(value: object) -> bytes:
    """Return a text, whatever is given for it: no text for None, a number's digits, else ``<module.Class>``."""
    kind = type(value)
    if kind is str:
        return utf8(cast("str", value))
    if value is None:
        return b""
    if issubclass(kind, str):
        return utf8(str.__str__(cast("str", value)))  # what is a subclass's own is not asked
    if kind in _NUMBERS:
        return _digits(value).encode() if kind is int else str(value).encode()
    return type_name(value).encode()


def _digits(number: Any) -> str:
    bits = int.bit_length(number)
    return int.__repr__(number) if bits <= _MAX_INT_BITS else f"<int of {bits} bits>"


# -- attributes ----------------------------------------------------------------------------------------------------------


def attributes(found: Mapping[str, Any], heads: Heads, parts: list[bytes]) -> None:
    """Append *found*, which nobody changes meanwhile (`snapshot`), to *parts*, each pair as a field with one of *heads*."""
    short, known, booleans = heads.short, _keys, _BOOLEANS
    for key, value in found.items():
        start = known.get(key) or _key(key)
        kind = type(value)
        data = b""
        if kind is str:
            try:
                data = value.encode()
            except UnicodeEncodeError:
                data = utf8(value)
            size = len(data)
            if size < TABLE:
                head = _STRINGS[size]
            else:
                length = varint(size)
                head = varint(1 + len(length) + size) + b"\x0a" + length
        elif kind is int and -_INT64 <= value < _INT64:
            data = VARINTS[value] if 0 <= value < TABLE else _integer(value)
            head = _INTEGERS[len(data)]
        elif kind is bool:
            head = booleans[value]
        elif kind is float:
            head = _DOUBLE
            data = pack_double(value)
        else:
            data = (_few(value) if kind is tuple and len(value) <= _FEW else b"") or any_value(value)
            head = varint(len(data))
        size = len(start) + len(head) + len(data)
        parts += (short[size] if size < TABLE else heads.of(size), start, head, data)


def _few(value: tuple[Any, ...]) -> bytes:
    """Return an array of short texts, as nearly every collection of an attribute is; nothing for any other."""
    parts: list[bytes] = []
    for item in value:
        if type(item) is not str or len(item) > _SHORT:
            return b""
        data = utf8(item)
        parts += (_FIRST.tag, _STRINGS[len(data)], data)
    return _ARRAY.field(b"".join(parts))


def snapshot(found: Any) -> Mapping[str, Any]:
    """Return attributes that no other thread changes; empty if there are none. Raises what an odd mapping raises."""
    if not found:
        return {}
    try:
        # Of a dict, of the SDK's own mapping, of a proxy of either: by one call that no other thread interrupts.
        copied: Mapping[str, Any] = found.copy() if type(found) in _COPIED else dict(found)
    except AttributeError:  # a proxy of something else
        return dict(found)
    return copied


def _key(key: object) -> bytes:
    """Return a pair's key as a field, and the tag of its value: all that a KeyValue has in front of its value."""
    made = _FIRST.field(text(key) if key is not None else b"None") + _VALUE.tag
    if type(key) is str and len(key) <= _MAX_KEY_LENGTH:
        if len(_keys) >= _MAX_KEYS:
            _keys.clear()
        _keys[key] = made
    return made


# -- values --------------------------------------------------------------------------------------------------------------


def any_value(value: object) -> bytes:
    """Return *value* as the fields of an ``AnyValue``: one, or none for None. Never raises."""
    try:
        return _any(value, MAX_DEPTH, [MAX_COLLECTED_BYTES])
    except Exception:  # noqa: BLE001 - whatever another's collection raises, RecursionError and MemoryError included
        return _TEXT.field(type_name(value).encode())


def _any(value: Any, depth: int, left: list[int]) -> bytes:
    """Return *value* as an AnyValue's fields; at most *depth* collections deep, while there are bytes *left*."""
    kind = type(value)
    plain = _PLAIN.get(kind)
    if plain is not None:
        return plain(value)
    collection = _COLLECTIONS.get(kind)
    if collection is None:
        for base, plainly in _BASES:
            if issubclass(kind, base):
                return plainly(value)
        collection = next((encode for parent, encode in _LIKE_COLLECTIONS if issubclass(kind, parent)), None)
    if collection is None or depth <= 0 or left[0] <= 0:
        return _string(type_name(value))
    return collection(value, depth - 1, left)


def _array(value: Sequence[Any], depth: int, left: list[int]) -> bytes:
    parts: list[bytes] = []
    for taken, item in enumerate(value):
        before = left[0]
        if before <= 0:
            parts.append(_FIRST.field(_string(_more(value, taken))))
            break
        data = _any(item, depth, left)
        parts += (_FIRST.of(len(data)), data)
        left[0] = min(left[0], before - len(data)) - _ELEMENT_BYTES
    return _ARRAY.field(b"".join(parts))


def _map(value: Mapping[Any, Any], depth: int, left: list[int]) -> bytes:
    parts: list[bytes] = []
    for taken, (key, item) in enumerate(snapshot(value).items()):
        before = left[0]
        if before <= 0:
            start, data = _FIRST.field("…".encode()) + _VALUE.tag, _string(_more(value, taken))
        else:
            start, data = _keys.get(key) or _key(key), _any(item, depth, left)
        length = varint(len(data))
        parts += (_FIRST.of(len(start) + len(length) + len(data)), start, length, data)
        if before <= 0:
            break
        left[0] = min(left[0], before - len(start) - len(data)) - _ELEMENT_BYTES
    return _MAP.field(b"".join(parts))


def _more(value: Any, taken: int) -> str:
    return f"…[{len(value) - taken} more]"


def _string(value: str) -> bytes:
    return _TEXT.field(utf8(value))


def _int(value: int) -> bytes:
    if -_INT64 <= value < _INT64:
        return b"\x18" + _integer(value)
    return _string(_digits(value))


def _integer(value: int) -> bytes:
    return varint(value & 0xFFFF_FFFF_FFFF_FFFF)


def _bytes(value: Any) -> bytes:
    return _BYTES.field(bytes(value))


_PLAIN: Final[dict[type, Callable[[Any], bytes]]] = {
    str: _string,
    bool: lambda value: _TRUE if value else _FALSE,
    int: _int,
    float: lambda value: b"\x21" + pack_double(value),
    bytes: _bytes,
    bytearray: _bytes,
    memoryview: _bytes,
    NoneType: lambda _: b"",
}
_COLLECTIONS: Final[dict[type, Callable[[Any, int, list[int]], bytes]]] = {
    tuple: _array,
    list: _array,
    dict: _map,
}
_LIKE_COLLECTIONS: Final = ((Mapping, _map), (Sequence, _array))
# Of subclasses the plain value alone counts: an enumeration's member, numpy's float64.
_BASES: Final[tuple[tuple[type, Callable[[Any], bytes]], ...]] = (
    (str, lambda value: _string(str.__str__(value))),
    (int, lambda value: _int(int.__add__(value, 0))),
    (float, lambda value: b"\x21" + pack_double(float.__pos__(value))),
    (bytes, lambda value: _BYTES.field(bytes.__add__(value, b""))),
    (bytearray, lambda value: _BYTES.field(bytes(bytearray.__getitem__(value, slice(None))))),
)
