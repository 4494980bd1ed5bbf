"""Bridges to another framework's isinstance check: what they change, and above all what they do not."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import weakref
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import singledispatch
from types import ModuleType
from typing import Any, ClassVar, Self

import pytest

from otel_callbacks.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from otel_callbacks.callbacks.foreign import bridge, loaded


class Base:
    """The other framework's class."""


class Graph(Base):
    """A more special one of theirs."""


@pytest.fixture(autouse=True)
def framework(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("some_framework")
    module.Base, module.Graph = Base, Graph  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "some_framework", module)
    return module


class Handler(BaseCallbackHandler):
    foreign_bases: ClassVar[tuple[tuple[str, str], ...]] = (("some_framework", "Base"),)

    def __init__(self, value: int = 0) -> None:
        self.value = value

    def another(self) -> Handler:
        more: Handler = self.__class__(self.value + 1)
        return more


class Slotted(Handler):
    __slots__ = ("extra",)
    extra: str


class Both(Handler):
    foreign_bases = (*Handler.foreign_bases, ("some_framework", "Graph"))


class WithArguments(Handler):
    def __new__(cls, value: int) -> Self:
        return super().__new__(cls)

    def __getnewargs__(self) -> tuple[int]:
        return (self.value,)


class WithKeywords(Handler):
    def __new__(cls, *, value: int) -> Self:
        return super().__new__(cls)

    def __init__(self, *, value: int) -> None:
        super().__init__(value)

    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, int]]:
        return (), {"value": self.value}


class Reducing(Handler):
    def __reduce__(self) -> Any:
        return (Reducing, (self.value,))


class Named(Handler):
    def __reduce__(self) -> str:
        return "NAMED"


NAMED = Named()


def pickled(handler: Any) -> Any:
    return pickle.loads(pickle.dumps(handler))  # noqa: S301 - our own bytes


def test_an_instance_passes_the_check_and_stays_what_it_is() -> None:
    handler = Handler()
    assert isinstance(handler, Base)
    assert isinstance(handler, BaseCallbackHandler)
    assert type(handler) is Handler
    assert not issubclass(Handler, Base)


def test_our_class_comes_first() -> None:
    mro = Handler().__class__.__mro__
    assert mro.index(Handler) < mro.index(Base)


def test_without_the_framework_an_instance_claims_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "some_framework")
    assert Handler().__class__ is Handler
    assert not isinstance(Handler(), Base)


def test_the_framework_may_be_loaded_after_the_first_question(
    monkeypatch: pytest.MonkeyPatch, framework: ModuleType
) -> None:
    handler: Any = Both()
    monkeypatch.delattr(framework, "Graph")
    assert isinstance(handler, Base)
    assert not isinstance(handler, Graph)
    monkeypatch.setattr(framework, "Graph", Graph, raising=False)
    assert isinstance(handler, Graph)
    assert isinstance(handler, Base)


def test_a_lazy_module_is_not_made_to_import(framework: ModuleType) -> None:
    def __getattr__(name: str) -> Any:  # noqa: N807 - a module's hook
        raise AssertionError(name)

    framework.__getattr__ = __getattr__  # type: ignore[method-assign]
    assert loaded("some_framework", "Missing") is None


@pytest.mark.parametrize("thing", [None, 3])
def test_what_is_no_class_is_no_base(framework: ModuleType, thing: Any) -> None:
    framework.Odd = thing  # type: ignore[attr-defined]
    assert loaded("some_framework", "Odd") is None


def test_a_class_that_is_theirs_already_needs_no_bridge() -> None:
    class Theirs(Handler, Base):
        pass

    assert Theirs().__class__ is Theirs


def test_the_bridge_is_made_once() -> None:
    assert Handler(1).__class__ is Handler(2).__class__


def test_a_class_can_be_collected_although_it_had_a_bridge() -> None:
    class Local(Handler):
        pass

    assert isinstance(Local(), Base)
    bridged = weakref.ref(Local().__class__)
    gone = weakref.ref(Local)
    del Local
    gc.collect()
    assert gone() is None
    assert bridged() is None


def test_the_class_that_an_instance_makes_more_of_is_its_own() -> None:
    another = Handler(1).another()
    assert type(another) is Handler
    assert another.value == 2


def test_a_subclass_hook_does_not_hear_of_the_bridge() -> None:
    heard: list[type] = []

    class Registering(Handler):
        def __init_subclass__(cls, *, needed: int) -> None:
            heard.append(cls)

    assert isinstance(Registering(), Base)
    assert heard == []


def test_where_no_bridge_can_be_made_the_answer_is_the_real_class() -> None:
    class Meta(type):
        def __new__(mcs, name: str, bases: tuple[type, ...], space: dict[str, Any]) -> Any:
            if any(base is Base for base in bases):
                raise ValueError(name)
            return super().__new__(mcs, name, bases, space)

    class Stubborn(Handler, metaclass=Meta):
        pass

    assert Stubborn().__class__ is Stubborn


def test_a_class_that_lets_nothing_be_set_on_it_is_bridged_all_the_same() -> None:
    class Meta(type):
        def __setattr__(cls, name: str, value: Any) -> None:
            raise AttributeError(name)

    class Sealed(Handler, metaclass=Meta):
        pass

    assert isinstance(Sealed(), Base)


def test_an_abstract_user_class_is_bridged() -> None:
    class Abstract(Handler, ABC):
        @abstractmethod
        def needed(self) -> None: ...

    class Concrete(Abstract):
        def needed(self) -> None: ...

    assert isinstance(Concrete(), Base)


def test_a_subclass_has_a_bridge_of_its_own() -> None:
    assert isinstance(Handler(), Base)
    assert Slotted.__mro__[1] is Handler
    assert issubclass(Slotted().__class__, Slotted)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", [Handler, Slotted, Both, Reducing])
def test_a_handler_is_pickled_as_what_it_is(kind: type[Handler], protocol: int) -> None:
    again = pickle.loads(pickle.dumps(kind(7), protocol))  # noqa: S301 - our own bytes
    assert type(again) is kind
    assert again.value == 7


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickled])
@pytest.mark.parametrize(
    "handler",
    [Handler(7), WithArguments(7), WithKeywords(value=7), Reducing(7)],
    ids=lambda h: type(h).__name__,
)
def test_a_handler_is_copied_as_what_it_is(handler: Handler, duplicate: Any) -> None:
    again = duplicate(handler)
    assert type(again) is type(handler)
    assert again is not handler
    assert again.value == 7


def test_slots_are_copied() -> None:
    handler = Slotted(1)
    handler.extra = "e"
    assert copy.deepcopy(handler).extra == "e"


def test_a_global_is_pickled_by_its_name() -> None:
    assert pickle.loads(pickle.dumps(NAMED)) is NAMED  # noqa: S301 - our own bytes


def test_the_class_can_still_be_changed() -> None:
    class Other(Handler):
        pass

    handler = Handler()
    handler.__class__ = Other
    assert type(handler) is Other


def test_dataclasses_and_single_dispatch_see_no_difference() -> None:
    @dataclass
    class Data(Handler):
        value: int = 1
        seen: list[int] = field(default_factory=list)

    @singledispatch
    def kind(thing: object) -> str:
        return "object"

    kind.register(Data, lambda thing: "data")
    assert Data() == Data()
    assert "Data(value=1, seen=[])" in repr(Data())
    assert kind(Data()) == "data"


def test_bridging_to_two_unrelated_classes_gives_both() -> None:
    class Unrelated: ...

    sys.modules["some_framework"].Unrelated = Unrelated  # type: ignore[attr-defined]
    found = bridge(Handler, (("some_framework", "Base"), ("some_framework", "Unrelated")))
    assert issubclass(found, Base)
    assert issubclass(found, Unrelated)


def test_the_async_base_is_bridged_too() -> None:
    class Late(AsyncCallbackHandler):
        foreign_bases: ClassVar = (("some_framework", "Base"),)

    assert isinstance(Late(), Base)
