"""The wire format: what protobuf's own classes read back, to the byte."""

from __future__ import annotations

import math
from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from otel_callbacks.export.wire.protobuf import TABLE, Heads, time_ns, uint32, varint


@pytest.mark.parametrize(
    "number", [0, 1, 127, 128, 300, TABLE - 1, TABLE, 16_383, 16_384, 2**32, 2**63 - 1, 2**64 - 1]
)
def test_a_varint_is_what_protobuf_writes(number: int) -> None:
    signed = number - 2**64 if number >= 2**63 else number
    assert b"\x18" + varint(number) == AnyValue(int_value=signed).SerializeToString()


@pytest.mark.parametrize("length", [0, 1, 127, 128, TABLE - 1, TABLE, 70_000])
def test_a_field_carries_its_length(length: int) -> None:
    data = b"x" * length
    assert Heads(0x3A).field(data) == AnyValue(bytes_value=data).SerializeToString()


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (1, 1), (2**64 - 1, 2**64 - 1), (1.7e18, 1_700_000_000_000_000_000), (0, 0), (-1, 0), (2**64, 0),
        (math.nan, 0), (math.inf, 0), (-1.5, 0), (None, 0), ("1", 0), (b"1", 0), (object(), 0),
    ],
)  # fmt: skip
def test_what_is_no_time_is_not_known(given: Any, read: int) -> None:
    assert time_ns(given) == read


@pytest.mark.parametrize(
    ("given", "read"), [(3, 3), (0, 0), (-1, 0), (2**40, 2**32 - 1), (None, 0), (1.5, 0)]
)
def test_what_is_no_count_is_zero(given: Any, read: int) -> None:
    assert uint32(given) == read
