"""Values: what the property tests over whole handlers cannot reach, and the bounds that they only touch."""

from __future__ import annotations

import json
import sys
import types
from typing import Any

import pytest

from otel_callbacks.core import values


class _Generic:
    """Stands for numpy's scalars, which are not among the tests' dependencies."""

    def __init__(self, item: Any) -> None:
        self._item = item

    def item(self) -> Any:
        return self._item


class _Array:
    dtype = "float32"
    shape = (3, 1536)


@pytest.fixture
def numpy(monkeypatch: pytest.MonkeyPatch) -> Any:
    module: Any = types.ModuleType("numpy")
    module.generic, module.ndarray = _Generic, _Array
    monkeypatch.setitem(sys.modules, "numpy", module)
    return module


def test_a_numpy_scalar_is_its_item(numpy: Any) -> None:
    assert values.attribute(_Generic(1.5)) == 1.5
    assert values.attribute(_Generic(True)) is True
    assert values.attribute([_Generic(1), _Generic(2)]) == (1, 2)
    assert values.integer(_Generic(12)) == 12
    assert values.number(_Generic(0.5)) == 0.5
    assert values.integer(_Generic("12")) is None
    assert values.attribute(_Generic(object())) == f"<{__name__}._Generic>"


def test_a_numpy_array_is_its_type_and_shape(numpy: Any) -> None:
    assert values.attribute(_Array()) == "<ndarray float32 (3, 1536)>"
    assert values.attribute({"a": _Array()}) == '{"a":"<ndarray float32 (3, 1536)>"}'


def test_without_numpy_such_an_object_is_a_stranger() -> None:
    assert values.attribute(_Array()) == f"<{__name__}._Array>"


class _Whole(int):
    def __str__(self) -> str:
        raise RuntimeError


class _Real(float):
    def __add__(self, other: object) -> Any:
        raise RuntimeError


def test_a_subclass_of_a_number_is_the_number() -> None:
    assert type(values.attribute(_Whole(5))) is int
    assert values.attribute(_Real(0.5)) == 0.5
    assert values.integer(_Whole(5)) == 5
    assert values.number(_Real(0.5)) == 0.5


@pytest.mark.parametrize("value", [None, True, "1", float("nan"), float("inf"), 2**63, -(2**64), 1e300, b"1"])
def test_what_is_no_usable_number_is_none(value: object) -> None:
    assert values.number(value) is None


def test_a_collection_that_does_not_fit_says_what_is_missing() -> None:
    assert values.attribute(list(range(1_001))) == values.to_json([*range(1_000), "…[1 more]"])
    whole = json.loads(str(values.attribute({"a": "x" * 5_000, "b": "y"}, 2_000)))
    assert whole["a"].endswith("…[truncated 3251 characters]")
    assert whole["…"] == "[1 more]"


def test_sixteen_levels_are_deep_enough() -> None:
    value: list[Any] = []
    for _ in range(20):
        value = [value]
    assert str(values.attribute(value)) == "[" * 16 + '"<too deep>"' + "]" * 16


def test_what_cannot_be_walked_is_named() -> None:
    class Broken(list[Any]):
        pass

    value = memoryview(b"abc")
    value.release()
    assert values.attribute(value) == "<builtins.memoryview>"
    assert values.attribute([value]) == ("<builtins.memoryview>",)
    assert values.attribute(Broken([1])) == (1,)


@pytest.mark.parametrize(
    ("given", "limit", "cut"),
    [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("", 3, None), (5, 3, None), ("\ud800", 3, "\ufffd")],
)
def test_short_text_ends_in_an_ellipsis_when_cut(given: object, limit: int, cut: str | None) -> None:
    assert values.short(given, limit) == cut


def test_what_is_cut_has_lost_its_secrets_before() -> None:
    secret = "sk-" + "a1B2" * 10
    assert values.clean(f"password={secret * 3}", 30) == "password=[redacted]"
    assert values.short(f"password={secret * 3}", 30) == "password=[redacted]"
    assert values.clean(f"{'a' * 28} {secret}", 32) == f"{'a' * 28} [re…[truncated 40 characters]"
    for at in range(470, 515):
        assert "a1B" not in str(values.name(f"password='{'x' * (at - 20)} {secret} and more {secret}"))
        assert str(values.name(f"a {'b' * at} {secret}")).endswith("…")
    assert str(values.name("word " * 100 + "x" * 600)).endswith("…")
    assert values.name("word " * 50) == ("word " * 26)[:127] + "…"
    assert str(values.name("w" * 507 + " AKIA" + "B" * 16)).endswith("…")


def test_a_name_of_blanks_is_none_and_a_long_one_is_cut_to_its_limit() -> None:
    assert values.name(" \n\t") is None
    assert values.name("a  b") == "a b"
    assert values.name("a" + " " * 1_000 + "b") == "a…"
    assert len(values.name("word " * 1_000) or "") == values.MAX_NAME_LENGTH


def test_a_class_that_lies_about_its_module_has_none() -> None:
    assert values.class_path(type("Odd", (), {"__module__": 5})) == "?.Odd"


def test_a_hundred_keys_that_were_cut_alike_stay_apart() -> None:
    taken: dict[str, Any] = {}
    for _ in range(100):
        taken[values.unique("key", taken)] = 1
    assert len(taken) == 100
    assert list(taken)[:2] == ["key", "key#2"]


def test_keys_that_are_no_text_are_written_or_left_out() -> None:
    keys = (1, 2**70, 1.5, None, True, b"x", (1,), object())
    assert [values.key_text(key) for key in keys] == [
        "1",
        str(2**70),
        "1.5",
        "None",
        "True",
        None,
        None,
        None,
    ]


def test_bytes_in_a_collection_are_text() -> None:
    """JSON has none; what is no UTF-8 is marked."""
    assert (
        values.attribute({"a": b"caf\xc3\xa9", "b": b"\xff"})
        == '{"a":"café","b":"\N{REPLACEMENT CHARACTER}"}'
    )
