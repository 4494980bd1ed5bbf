"""What applies to one call: precedence, hooks, verbosity."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from otel_callbacks.callbacks import (
    AgentAction,
    AgentFinish,
    AsyncCallbackManager,
    BaseCallbackHandler,
    CallbackManager,
    StdOutCallbackHandler,
    configuration,
    configure,
    register_configure_hook,
)

MANAGERS = [CallbackManager, AsyncCallbackManager]
variable: ContextVar[Any] = ContextVar("variable", default=None)
never_set: ContextVar[Any] = ContextVar("never_set")


class Handler(BaseCallbackHandler):
    pass


@pytest.fixture(autouse=True)
def hooks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(configuration, "_hooks", [])
    token = variable.set(None)
    yield
    variable.reset(token)


@pytest.mark.parametrize("manager_class", MANAGERS)
def test_surroundings_come_before_the_callees_own_which_are_not_handed_on(manager_class: Any) -> None:
    outer, own = Handler(), Handler()
    manager = manager_class.configure([outer], [own, outer], False, ["a"], ["b"], {"a": 1}, {"b": 2})
    assert type(manager) is manager_class
    assert (manager.handlers, manager.inheritable_handlers) == ([outer, own], [outer])
    assert (manager.tags, manager.inheritable_tags) == (["a", "b"], ["a"])
    assert (manager.metadata, manager.inheritable_metadata) == ({"a": 1, "b": 2}, {"a": 1})


def test_a_managers_scope_and_parent_are_taken_over_and_it_is_not_touched() -> None:
    surroundings = CallbackManager([Handler()], parent_run_id=UUID(int=1), tags=["t"], metadata={"k": 1})
    manager = AsyncCallbackManager.configure(surroundings, CallbackManager([Handler()], tags=["not this"]))
    manager.add_tags(["more"])
    assert (manager.parent_run_id, manager.tags, manager.metadata) == (UUID(int=1), ["t", "more"], {"k": 1})
    assert len(manager.handlers) == 2
    assert (surroundings.tags, len(surroundings.handlers)) == (["t"], 1)


def test_a_foreign_manager_is_read_by_its_attributes() -> None:
    handler = Handler()
    foreign: Any = SimpleNamespace(
        handlers=[handler],
        inheritable_handlers=[],
        tags=["t"],
        inheritable_tags=["i"],
        metadata={},
        inheritable_metadata={"k": 1},
        parent_run_id=UUID(int=3),
    )
    manager = CallbackManager.configure(foreign)
    assert (manager.handlers, manager.tags, manager.inheritable_metadata) == ([handler], ["t"], {"k": 1})
    assert manager.parent_run_id == UUID(int=3)


def test_without_anything_there_is_nothing() -> None:
    manager = CallbackManager.configure()
    assert (manager.handlers, manager.tags, manager.metadata, manager.parent_run_id) == ([], [], {}, None)


def test_langsmiths_keywords_are_accepted_for_langchains_sake() -> None:
    manager = CallbackManager.configure(
        langsmith_inheritable_metadata={"k": 1}, langsmith_inheritable_tags=["t"]
    )
    assert (manager.tags, manager.metadata) == ([], {})


def test_the_function_makes_the_manager_that_the_class_makes() -> None:
    handler = Handler()
    manager = configure(AsyncCallbackManager, [handler], None, ["a"], ["b"], {"a": 1}, {"b": 2}, verbose=True)
    assert type(manager) is AsyncCallbackManager
    assert manager.handlers[0] is handler
    assert isinstance(manager.handlers[1], StdOutCallbackHandler)
    assert (manager.tags, manager.metadata) == (["a", "b"], {"a": 1, "b": 2})


def test_verbose_prints_at_this_level_and_only_once() -> None:
    manager = CallbackManager.configure(verbose=True)
    assert [type(handler) for handler in manager.handlers] == [StdOutCallbackHandler]
    assert manager.inheritable_handlers == []
    assert len(CallbackManager.configure(manager, verbose=True).handlers) == 1


class TestHooks:
    @pytest.mark.parametrize("inheritable", [True, False])
    def test_what_the_variable_holds_comes_in_unless_it_is_there(self, inheritable: bool) -> None:
        register_configure_hook(variable, inheritable)
        register_configure_hook(never_set, inheritable)
        handler = Handler()
        assert CallbackManager.configure().handlers == []
        variable.set(handler)
        manager = CallbackManager.configure()
        assert manager.handlers == [handler]
        assert manager.inheritable_handlers == ([handler] if inheritable else [])
        assert CallbackManager.configure([handler]).handlers == [handler]

    def test_an_instance_of_the_class_that_is_there_is_enough(self) -> None:
        register_configure_hook(variable, inheritable=True, handle_class=Handler)
        variable.set(Handler())
        present = Handler()
        assert CallbackManager.configure([present]).handlers == [present]

    @pytest.mark.parametrize(
        ("value", "made"),
        [("1", True), ("yes", True), ("", False), ("0", False), ("false", False), (None, False)],
    )
    def test_an_environment_variable_has_one_made(
        self, monkeypatch: pytest.MonkeyPatch, value: str | None, made: bool
    ) -> None:
        register_configure_hook(variable, inheritable=True, handle_class=Handler, env_var="SOME_HANDLER")
        monkeypatch.delenv("SOME_HANDLER", raising=False)
        if value is not None:
            monkeypatch.setenv("SOME_HANDLER", value)
        assert [type(handler) for handler in CallbackManager.configure().handlers] == (
            [Handler] if made else []
        )

    def test_an_environment_variable_alone_says_nothing(self) -> None:
        with pytest.raises(ValueError, match="SOME_HANDLER"):
            register_configure_hook(variable, inheritable=True, env_var="SOME_HANDLER")

    def test_registering_again_changes_nothing(self) -> None:
        """A library that registers at each use would otherwise make every call slower than the last."""
        for _ in range(3):
            register_configure_hook(variable, inheritable=True)
        assert len(configuration._hooks) == 1


class TestStandardOutput:
    """The handler that ``verbose`` adds."""

    def test_chains_are_framed(self, capsys: pytest.CaptureFixture[str]) -> None:
        manager = CallbackManager.configure(verbose=True)
        calls: list[tuple[dict[str, Any] | None, dict[str, Any]]] = [
            (None, {"name": "given"}),
            ({"name": "known"}, {}),
            ({"id": ["a", "last"]}, {}),
            (None, {}),
        ]
        for serialized, kwargs in calls:
            manager.on_chain_start(serialized, {}, **kwargs).on_chain_end({})
        out = capsys.readouterr().out
        for name in ("given", "known", "last", "<unknown>"):
            assert f"> Entering new {name} chain..." in out
        assert out.count("> Finished chain.") == 4

    def test_agents_tools_and_text_are_printed(self, capsys: pytest.CaptureFixture[str]) -> None:
        manager = CallbackManager([StdOutCallbackHandler(color="green")])
        chain = manager.on_chain_start(None, {})
        capsys.readouterr()
        chain.on_agent_action(AgentAction("t", "in", "thinking"))
        chain.on_text("plain", color="no such colour", end="!")
        tool = manager.on_tool_start(None, "in")
        tool.on_tool_end("out", observation_prefix="before", llm_prefix="after", color="red")
        tool.on_tool_end("bare")
        chain.on_agent_finish(AgentFinish({}, "so"))
        assert capsys.readouterr().out == (
            "\033[32;1m\033[1;3mthinking\033[0mplain!\nbefore\033[31;1m\033[1;3mout\033[0m"
            "\nafter\033[32;1m\033[1;3mbare\033[0m\033[32;1m\033[1;3mso\033[0m\n"
        )
