"""Requests, joined from items: an ``Export...ServiceRequest`` of any signal.

Rules for this file: bytes are joined, never read; the three signals' requests are laid out alike (`items`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from otel_callbacks.export.items import Entry
from otel_callbacks.export.wire.protobuf import Heads

_RESOURCES: Final = Heads(0x0A)  # ExportTraceServiceRequest.resource_spans
_SCOPES: Final = Heads(0x12)  # ResourceSpans.scope_spans
_ITEMS: Final = Heads(0x12)  # ScopeSpans.spans


def request(entries: Sequence[Entry]) -> bytes:
    """Return a request of *entries*: by resource and scope in the order of first appearance, within a scope in theirs."""
    resources: dict[bytes, dict[bytes, list[bytes]]] = {}
    for entry in entries:
        resource, scope = entry.origin
        item = entry.item
        resources.setdefault(resource, {}).setdefault(scope, []).extend((_ITEMS.of(len(item)), item))
    parts: list[bytes] = []
    for resource, scopes in resources.items():
        members = [_SCOPES.field(b"".join((scope, *items))) for scope, items in scopes.items()]
        size = len(resource) + sum(map(len, members))
        parts += (_RESOURCES.of(size), resource, *members)
    return b"".join(parts)
