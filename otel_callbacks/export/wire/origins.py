"""Who made an item, encoded: its resource and its instrumentation scope.

Rules for this file: the same objects come with every item, so what was encoded is kept, by identity, because to hash a resource
is to serialise it. Nothing raises. All signals' messages are laid out alike (`items.Origin`).
"""

from __future__ import annotations

from typing import Any, Final

from otel_callbacks.export.items import Origin
from otel_callbacks.export.wire.protobuf import Heads
from otel_callbacks.export.wire.values import attributes, snapshot, text

_MAX_KEPT: Final = 256  # a process has a handful; one that makes providers for ever must not keep them all

_FIRST: Final = Heads(0x0A)  # resource, scope; Resource.attributes; InstrumentationScope.name
_VERSION: Final = Heads(0x12)
_SCOPE_ATTRIBUTES: Final = Heads(0x1A)
_SCHEMA_URL: Final = Heads(0x1A)

# Beside what was encoded stand the objects themselves, so that their numbers do not become another's.
_kept: dict[tuple[int, int], tuple[Origin, object, object]] = {}


def origin_of(resource: Any, scope: Any) -> Origin:
    """Return the origin of what *scope* (None: unknown) made on *resource* (None: unknown); the same object for the same two."""
    entry = _kept.get((id(resource), id(scope)))
    if entry is not None:
        return entry[0]
    origin = Origin(_resource(resource), _scope(scope))
    if len(_kept) >= _MAX_KEPT:
        _kept.clear()
    _kept[id(resource), id(scope)] = (origin, resource, scope)
    return origin


def _resource(resource: Any) -> bytes:
    return _with_schema(_FIRST.field(_attributes(resource, _FIRST)), resource)


def _scope(scope: Any) -> bytes:
    fields: list[bytes] = []
    for heads, name in ((_FIRST, "name"), (_VERSION, "version")):
        said = text(getattr(scope, name, None))
        if said:
            fields.append(heads.field(said))
    return _with_schema(_FIRST.field(b"".join((*fields, _attributes(scope, _SCOPE_ATTRIBUTES)))), scope)


def _attributes(owner: Any, heads: Heads) -> bytes:
    fields: list[bytes] = []
    try:
        attributes(snapshot(getattr(owner, "attributes", None)), heads, fields)
    except Exception:  # noqa: BLE001 - a mapping of somebody else's: who made it is known without
        return b""
    return b"".join(fields)


def _with_schema(field: bytes, owner: Any) -> bytes:
    schema = text(getattr(owner, "schema_url", None))
    return field + _SCHEMA_URL.field(schema) if schema else field
