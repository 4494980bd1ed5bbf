"""Foreign values become plain ones, field by field: redacted, masked by name, bounded, and never printed."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from otel_callbacks.core.redact import MASK
from otel_callbacks.core.scrub import Scrub
from tests.property import hostile


def said(value: Any, depth: int = 8) -> Any:
    return Scrub(10_000, 1_000, ()).plain(value, depth)


class Login(BaseModel):
    user: str
    password: str = "hunter2"  # noqa: S105 - planted
    hidden: SecretStr = SecretStr("hunter2")
    more: Any = None


@dataclasses.dataclass(slots=True)
class Slotted:
    a: int
    token: str = "hunter2"  # noqa: S105 - planted
    later: int = dataclasses.field(init=False)


@dataclasses.dataclass
class Below(Slotted):
    b: Any = None


class Attribute:
    def __init__(self, name: Any) -> None:
        self.name = name


class Attrs:
    """As the attrs package declares its classes."""

    __attrs_attrs__ = (Attribute("a"), Attribute(None))

    def __init__(self) -> None:
        self.a = 1
        self.undeclared = 2


class Lying:
    """Declares fields of which it has none."""

    __dataclass_fields__ = {"a": 1}  # noqa: RUF012 - as it is

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        return ["no dict"]


PLAIN: list[tuple[Any, Any]] = [
    (Login(user="bob", more=[Login(user="eve")]),
     {"user": "bob", "password": MASK, "hidden": "<pydantic.types.SecretStr>", "more": [{"user": "eve", "password": MASK, "hidden": "<pydantic.types.SecretStr>", "more": None}]}),
    (Slotted(1), {"a": 1, "token": MASK}),
    (Below(1, b="x"), {"a": 1, "token": MASK, "b": "x"}),
    (Attrs(), {"a": 1}),
    (Lying(), {}),
    (object(), "<builtins.object>"),
    (SecretStr("hunter2"), "<pydantic.types.SecretStr>"),
    ({"token": None, "secret": True, "password": 5, "credentials": {"a": 1}}, {"token": None, "secret": True, "password": MASK, "credentials": MASK}),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), PLAIN)
def test_declared_fields_are_read(value: Any, expected: Any) -> None:
    assert said(value) == expected


def test_an_object_in_itself_is_a_cycle_and_a_deep_one_is_named() -> None:
    login = Login(user="bob")
    login.more = login
    assert said(login)["more"] == "<cycle>"
    assert said(Login(user="bob"), depth=0).endswith("test_scrub.Login>")


def test_when_the_budget_is_spent_fields_are_left_out() -> None:
    under = Scrub(11, 1_000, ())  # an object costs eight
    assert under.plain(Login(user="bob"), 8) == {"user": "bob"}
    assert under.spent


@pytest.mark.parametrize(
    ("text", "expected"),
    [('{"a": [1]}', {"a": [1]}), ("[1]", [1]), ("{not json", "{not json"), ("1", "1"), ("", ""), ("[" * 900, "[" * 900), ('{"n": NaN}', {"n": "NaN"})],
)  # fmt: skip
def test_json_text_is_what_it_means(text: str, expected: Any) -> None:
    assert Scrub(10_000, 1_000, ()).whole(text) == expected


def test_nesting_that_json_cannot_read_stays_text() -> None:
    text = "[" * 50_000
    assert Scrub(100_000, 100_000, ()).whole(text) == text


def test_nothing_hostile_is_run() -> None:
    thing = hostile.hostile()
    assert said({"a": thing})["a"].endswith("Hostile>")
    assert type(thing).calls == 0


PAIRS: list[tuple[Any, Any]] = [
    (["password", "hunter2"], ["password", MASK]),
    (("api_key", 12), ["api_key", MASK]),
    (
        ["password", "required"],
        ["password", "required"],
    ),  # a word is more often about the secret than the secret
    (["password", True], ["password", True]),
    (["a", "password", "hunter2"], ["a", "password", "hunter2"]),  # three are a list of words
    (["run", "--token", "secret", "-v"], ["run", "--token", MASK, "-v"]),
    ([1, "hunter2"], [1, "hunter2"]),
    ({"name": "password", "value": 5}, {"name": "password", "value": MASK}),
    ({"Header": "Authorization", "Value": "x"}, {"Header": "Authorization", "Value": MASK}),
    ({"name": "password", "value": None}, {"name": "password", "value": None}),
    ({"name": "colour", "value": "red"}, {"name": "colour", "value": "red"}),
    ({"key": 5, "value": "red"}, {"key": 5, "value": "red"}),
]


@pytest.mark.parametrize(("value", "expected"), PAIRS)
def test_what_stands_beside_a_secrets_name_is_masked(value: Any, expected: Any) -> None:
    assert said(value) == expected


def test_a_number_that_a_redactor_knows_is_a_text_to_it() -> None:
    under = Scrub(10_000, 1_000, [lambda text: "[card]" if len(text) == 16 else text])
    numbers = [4111111111111111, 41111111111111, 1111, True]
    assert under.plain(numbers, 8) == ["[card]", 41111111111111, 1111, True]
