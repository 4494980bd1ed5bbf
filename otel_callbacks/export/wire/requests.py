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
        scopes = resources.get(resource)
        if scopes is None:
            scopes = resources[resource] = {}
        parts = scopes.get(scope)
        if parts is None:
            parts = scopes[scope] = [scope]
        parts += (_ITEMS.of(len(item)), item)
    # All is joined once, at the end: a request is megabytes, and each copy of it costs more than what is done here.
    every: list[bytes] = []
    for resource, scopes in resources.items():
        below = [resource]
        for parts in scopes.values():
            below.append(_SCOPES.of(sum(map(len, parts))))
            below += parts
        every.append(_RESOURCES.of(sum(map(len, below))))
        every += below
    return b"".join(every)
