"""One sentence about a handler that could not be called: at its definition, or in the log when it is first attached."""

from __future__ import annotations

import logging
import warnings
from abc import ABC, abstractmethod
from functools import wraps
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler as TheirHandler

from otel_callbacks.callbacks import AsyncCallbackHandler, BaseCallbackHandler, CallbackManager
from otel_callbacks.callbacks.signatures import unfit

LOGGER = "otel_callbacks.callbacks"

CANNOT_BE_CALLED: dict[str, tuple[str, Any, str]] = {
    "no keywords": (
        "on_llm_end",
        lambda self, response: None,
        "(self, response) does not take run_id, parent_run_id and tags, which are sent by keyword. Add **kwargs.",
    ),
    "one keyword is missing": (
        "on_chain_start",
        lambda self, serialized, inputs, *, run_id, parent_run_id=None, tags=None: None,
        "does not take metadata, which is sent by keyword. Add **kwargs.",
    ),
    "no payload": (
        "on_chain_end",
        lambda self, **kwargs: None,
        "(self, **kwargs) does not take outputs, which is sent by position.",
    ),
    "half of the payload": (
        "on_tool_start",
        lambda self, serialized, **kwargs: None,
        "does not take input_str, which is sent by position.",
    ),
    "something that nobody sends": (
        "on_tool_end",
        lambda self, output, *, runid, **kwargs: None,
        "asks for runid, which nobody sends. Give it a default.",
    ),
    "two of them, by position": (
        "on_tool_error",
        lambda self, error, when, where, **kwargs: None,
        "asks for when and where, which nobody sends. Give them a default.",
    ),
    "a keyword in the payload's place": (
        "on_retriever_start",
        lambda self, query, run_id, **kwargs: None,
        "takes run_id by position, where serialized and query are sent.",
    ),
    "no self": ("on_llm_end", lambda **kwargs: None, "does not take the handler itself (self)."),
}


@pytest.mark.parametrize(("event", "method", "said"), CANNOT_BE_CALLED.values(), ids=CANNOT_BE_CALLED.keys())
@pytest.mark.parametrize("base", [BaseCallbackHandler, AsyncCallbackHandler])
def test_a_class_of_ours_is_refused_when_it_is_defined(
    base: type, event: str, method: Any, said: str
) -> None:
    with pytest.raises(TypeError) as refused:
        type("Recorder", (base,), {event: method})
    assert str(refused.value).startswith(f"Recorder.{event}(")
    assert str(refused.value).endswith(said)


def test_all_mistakes_of_a_class_are_named_at_once() -> None:
    with pytest.raises(TypeError) as refused:

        class Recorder(BaseCallbackHandler):
            def on_llm_end(self, response: Any) -> None: ...  # type: ignore[override]
            def on_chain_end(self) -> None: ...  # type: ignore[override]

    lines = str(refused.value).splitlines()
    assert [".on_llm_end(" in lines[0], ".on_chain_end(" in lines[1], len(lines)] == [True, True, 2]


def test_generators_never_run_and_are_refused() -> None:
    def generator(self: Any, token: Any, **kwargs: Any) -> Any:
        yield token

    async def asynchronous(self: Any, token: Any, **kwargs: Any) -> Any:
        yield token

    for method in (generator, asynchronous):
        with pytest.raises(TypeError, match="is a generator: calling it does nothing"):
            type("Recorder", (BaseCallbackHandler,), {"on_llm_new_token": method})


CAN_BE_CALLED: dict[str, tuple[str, Any]] = {
    "everything": ("on_llm_end", lambda *args, **kwargs: None),
    "LangChain's own way": (
        "on_chain_end",
        lambda self, outputs, *, run_id, parent_run_id=None, **kwargs: None,
    ),
    "without keywords of its own": ("on_custom_event", lambda self, name, data, **kwargs: None),
    "other names by position": ("on_llm_new_token", lambda self, word, **kwargs: None),
    "no **kwargs, but all that is always sent": (
        "on_chain_error",
        lambda self, error, *, run_id, parent_run_id, tags: None,
    ),
    "keywords that may be given by position": (
        "on_text",
        lambda self, text, run_id, parent_run_id, tags: None,
    ),
    "defaults": ("on_tool_end", lambda self, output, color="red", **kwargs: None),
    "positional only, of a keyword's name": ("on_text", lambda self, run_id, /, **kwargs: None),
    "static": ("on_text", staticmethod(lambda text, **kwargs: None)),
    "whatever else": ("on_text", property(lambda self: print)),
    "a chain's name": ("on_chain_start", lambda self, serialized, inputs, *, name, **kwargs: None),
    "a request's parameters": (
        "on_chat_model_start",
        lambda self, serialized, messages, *, invocation_params, options, **kwargs: None,
    ),
    "a tool's colour, by position": ("on_tool_end", lambda self, output, color, **kwargs: None),
    "a tool's arguments": ("on_tool_start", lambda self, serialized, input_str, *, inputs, **kwargs: None),
    "the chunk": ("on_llm_new_token", lambda self, token, *, chunk, **kwargs: None),
    "what there was before the error": ("on_llm_error", lambda self, error, *, response, **kwargs: None),
    "which call failed": ("on_tool_error", lambda self, error, *, tool_call_id, **kwargs: None),
}


def without_keywords(method: Any) -> Any:
    @wraps(method)
    def called(self: Any, *args: Any, **kwargs: Any) -> None:
        method(self, *args)

    return called


def test_a_decorator_takes_what_it_takes_whatever_it_has_wrapped() -> None:
    heard: list[Any] = []

    class Recorder(BaseCallbackHandler):
        @without_keywords
        def on_chain_end(self, outputs: Any) -> None:
            heard.append(outputs)

    CallbackManager([Recorder()]).on_chain_start(None, "x").on_chain_end("y")
    assert heard == ["y"]


def test_what_is_to_be_overridden_or_switched_off_is_not_found_fault_with() -> None:
    class Base(BaseCallbackHandler, ABC):
        ignore_llm = True

        def on_llm_end(self) -> None:  # type: ignore[override]
            raise AssertionError

        @abstractmethod
        def on_chain_end(self, outputs: Any) -> None: ...  # type: ignore[override]

    class Recorder(Base):
        def on_chain_end(self, outputs: Any, **kwargs: Any) -> None: ...

    with pytest.raises(TypeError, match="on_llm_end"):
        type("Recorder", (Recorder,), {"ignore_llm": False})


@pytest.mark.parametrize(
    "event", ["on_text", "on_retry", "on_agent_action", "on_agent_finish", "on_stream_event"]
)
def test_a_method_for_what_hardly_any_application_sees_is_warned_about_and_passed_over(
    event: str, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []
    methods = {
        event: lambda self, said: heard.append(said),
        "on_chain_start": lambda self, serialized, inputs, **kwargs: getattr(self, event)(inputs),
    }
    with pytest.warns(
        UserWarning, match=rf"Recorder\.{event}\(self, said\) does not take .* It is passed over\."
    ) as caught:
        kind = type("Recorder", (BaseCallbackHandler,), methods)
    assert [warning.filename for warning in caught] == [__file__]
    CallbackManager([kind()]).on_chain_start(None, "its own").on_text("nobody's")
    assert heard == ["its own"]
    assert len(caplog.records) <= 1


@pytest.mark.parametrize(("event", "method"), CAN_BE_CALLED.values(), ids=CAN_BE_CALLED.keys())
@pytest.mark.parametrize("base", [BaseCallbackHandler, TheirHandler])
def test_what_can_be_called_is_not_found_fault_with(
    base: type, event: str, method: Any, caplog: pytest.LogCaptureFixture
) -> None:
    kind = type("Recorder", (base,), {event: method})
    assert not unfit(kind)
    assert not caplog.records


def test_a_static_method_has_no_handler_to_take() -> None:
    with pytest.raises(TypeError, match="does not take outputs, which is sent by position"):
        type("Recorder", (BaseCallbackHandler,), {"on_chain_end": staticmethod(lambda **kwargs: None)})


async def test_a_method_may_be_asynchronous_or_not_in_either_class() -> None:
    heard: list[str] = []

    class Recorder(BaseCallbackHandler):
        async def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
            heard.append("start")

    class AsyncRecorder(AsyncCallbackHandler):
        def on_chain_start(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
            heard.append("start too")

    CallbackManager([Recorder(), AsyncRecorder()]).on_chain_start(None, "x")
    assert sorted(heard) == ["start", "start too"]


class OfTheirs(TheirHandler):
    """Written on LangChain's class, with one method that works and one that cannot."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.heard.append(inputs)

    def on_chain_end(self, outputs: Any) -> None:  # type: ignore[override]
        raise AssertionError


def test_the_bad_method_of_a_langchain_handler_is_passed_over_with_one_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kind = type("OfTheirs", (OfTheirs,), {})  # a class that nobody has looked at
    handlers = [kind(), kind()]
    for handler in handlers:
        for number in range(2):
            run = CallbackManager([handler]).on_chain_start(None, number)
            run.on_chain_end("x")
    assert [handler.heard for handler in handlers] == [[0, 1], [0, 1]]
    (record,) = caplog.records
    assert (record.name, record.levelno) == (LOGGER, logging.ERROR)
    assert record.getMessage() == (
        "OfTheirs.on_chain_end(self, outputs: 'Any') -> 'None' does not take run_id, parent_run_id and tags, "
        "which are sent by keyword. Add **kwargs. It is passed over."
    )


def test_a_handler_on_no_base_class_is_looked_at_as_well(caplog: pytest.LogCaptureFixture) -> None:
    class Duck:
        def on_chain_end(self) -> None:
            raise AssertionError

    CallbackManager([Duck()]).on_chain_start(None, "x").on_chain_end("x")
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_what_an_instance_has_of_its_own_is_its_own(caplog: pytest.LogCaptureFixture) -> None:
    handler, heard = OfTheirs(), []
    handler.on_chain_end = lambda outputs, **kwargs: heard.append(outputs)  # type: ignore[method-assign]
    CallbackManager([handler]).on_chain_start(None, "x").on_chain_end("y")
    assert heard == ["y"]


def test_a_misspelt_event_warns_where_the_class_is_defined() -> None:
    with pytest.warns(UserWarning, match=r"Recorder\.on_llm_ended is not the name of an event") as caught:

        class Recorder(BaseCallbackHandler):
            def on_llm_ended(self, response: Any, **kwargs: Any) -> None: ...

    (warning,) = caught
    assert str(warning.message).endswith("Is on_llm_end meant?")
    assert warning.filename == __file__


def test_a_misspelt_event_of_a_langchain_handler_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    class Recorder(TheirHandler):
        def on_tool_started(self, *args: Any, **kwargs: Any) -> None: ...

    for _ in range(2):
        CallbackManager([Recorder()]).on_chain_start(None, "x")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().endswith("so nobody calls it. Is on_tool_start meant?")


def test_names_of_their_own_are_not_warned_about() -> None:
    with warnings.catch_warnings(record=True) as caught:

        class Recorder(BaseCallbackHandler):
            on_llm_ends = None

            def on_interrupt(self, event: Any) -> None: ...
            def on_resume(self, event: Any) -> None: ...
            def on_button_click(self) -> None: ...
            def on_error(self) -> None: ...
            def on_llm_started(self) -> None: ...  # beside the event itself
            def on_llm_stream(self) -> None: ...
            def on_llm_start(self, *args: Any, **kwargs: Any) -> None: ...

    assert not caught


def test_nothing_is_looked_at_a_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type("OfTheirs", (OfTheirs,), {})
    assert unfit(kind) == {"on_chain_end"}
    monkeypatch.setattr("otel_callbacks.callbacks.signatures.EVENTS", None)
    monkeypatch.setattr("otel_callbacks.callbacks.signatures._SENT", None)
    assert unfit(kind) == {"on_chain_end"}


def test_a_method_of_ones_own_beside_the_event_that_it_is_named_like_is_no_mistake() -> None:
    """Warnings are errors here."""

    class Recorder(BaseCallbackHandler):
        def on_llm_end(self, response: Any, **kwargs: Any) -> None: ...
        def on_llm_ended(self) -> None: ...

    assert unfit(Recorder) == frozenset()
