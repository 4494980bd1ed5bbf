"""Limits: whatever is cut, the JSON is valid and not longer than it may be, and what was cut is marked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_callbacks.core.fit import dumps, fitted, fitted_list, size
from otel_callbacks.core.messages import omitted

texts = st.text(st.characters(codec="utf-8"), max_size=600) | st.sampled_from(
    ["x" * 5_000, "\x00" * 900, "ü€😀" * 400, '"\\' * 700]
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts.map(lambda text: text[:20]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant"]), "parts": st.lists(st.fixed_dictionaries({"type": st.just("text"), "content": texts}), max_size=3)}
)  # fmt: skip


@given(st.lists(messages, max_size=8), st.integers(0, 6_000), st.integers(0, 5))
def test_a_list_is_valid_json_of_at_most_its_limit(said: list[Any], limit: int, before: int) -> None:
    kept, text = fitted_list(said, limit, omitted, before)
    assert size(text) <= limit
    assert json.loads(text or "[]") == kept
    if not kept:
        return
    if kept[0]["role"] == "omitted":
        rest = kept[1:]
        count = before + len(said) - len(rest)
        assert kept[0] == omitted(count)
    else:
        rest = kept
        assert (before, len(rest)) == (0, len(said))
    # What is whole is the newest; at most the oldest that is kept is shortened.
    assert rest[1:] == said[len(said) - len(rest) + 1 :]


@given(plain, st.integers(0, 4_000))
def test_a_value_is_valid_json_of_at_most_its_limit(value: Any, limit: int) -> None:
    kept, text = fitted(value, limit)
    assert size(text) <= limit
    if text:
        assert json.loads(text) == kept
    if size(dumps(value)) <= limit:
        assert kept is value
    elif text:
        assert "…[truncated " in text


def test_the_newest_stays_and_the_oldest_goes() -> None:
    said = [
        {"role": "user", "parts": [{"type": "text", "content": f"{number}: " + "x" * 300}]}
        for number in range(20)
    ]
    kept, text = fitted_list(said, 2_048, omitted)
    assert kept[-1] == said[-1]
    assert kept[0]["parts"][0]["content"] == f"…[{20 - len(kept) + 1} older messages omitted]"
    assert 1_500 < len(text) <= 2_048


def test_a_single_long_message_is_cut_inside_its_text() -> None:
    said = [
        {
            "role": "user",
            "parts": [{"type": "text", "content": "y" * 100_000}, {"type": "text", "content": "short"}],
        }
    ]
    kept, text = fitted_list(said, 2_048, omitted)
    content = kept[0]["parts"][0]["content"]
    assert content.startswith("yyyy")
    assert content.endswith(f"…[truncated {100_000 - content.count('y')} characters]")
    assert kept[0]["parts"][1]["content"] == "short"
    assert 1_900 < size(text) <= 2_048


@pytest.mark.parametrize("limit", [0, 1, 2, 30])
def test_where_there_is_no_room_nothing_is_said(limit: int) -> None:
    said = [{"role": "user", "parts": [{"type": "text", "content": "y" * 100}]}]
    assert fitted_list(said, limit, omitted) == ([], "[]" if limit > 1 else "")
    assert fitted({"a": {"b": "c" * 100}}, limit if limit < 30 else 12)[1] == ""
