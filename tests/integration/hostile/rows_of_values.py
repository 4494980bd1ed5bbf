"""Rows 6 to 22: values of every kind, at their worst."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import json
import math
import pathlib
import sys
import threading
import types
import uuid
from typing import Any, Final

import pydantic
from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda

from tests.integration.hostile.stage import Driven, Stage, row
from tests.property import hostile
from tests.property.hostile import CANARY, VALUES

# -- 6 to 22: values ---------------------------------------------------------------------------------------------------------


@row(6, Driven.LANGCHAIN, **{name.replace(" ", "_"): VALUES[name] for name in sorted(hostile.BIG)})
async def a_huge_value_is_walked_as_far_as_its_budget_goes(stage: Stage, value: Any) -> None:
    await stage.passed(stage.watch(value), metadata={"key": value, "inside": {"it": [value]}})
    texts = [str(said) for said in stage.said.values()]
    assert all(len(text) < 300_000 for text in texts)
    assert any("more]" in text or "truncated" in text or "bytes>" in text for text in texts)


@row(7, Driven.LANGCHAIN)
async def half_a_character_becomes_a_whole_one(stage: Stage, _: None) -> None:
    async def later(given: Any, config: RunnableConfig) -> Any:
        await adispatch_custom_event("event \ud800", {"a": "\ud800"}, config=config)
        raise ValueError("message \udfff")

    def body(given: Any, config: RunnableConfig) -> Any:
        dispatch_custom_event("event \ud800", {"a": "\ud800"}, config=config)
        raise ValueError("message \udfff")

    chain = RunnableLambda(body, later, name="chain \ud800")
    try:
        await stage.langchain(
            chain,
            stage.watch({"\ud800": "\udc00"}),
            tags=["tag \ud800"],
            metadata={"key \ud800": "value \ud800"},
        )
    except ValueError as error:
        assert error.args == ("message \udfff",)  # noqa: PT017 - whatever class it is of
    assert stage.only.name == "chain \ufffd"
    assert stage.only.status.description == "message \ufffd"
    assert stage.said["langchain.tags"] == ("tag \ufffd",)
    assert stage.said["langchain.metadata.key \ufffd"] == "value \ufffd"
    assert next(event.name for event in stage.only.events).endswith("event \ufffd")


@row(
    8, Driven.LANGCHAIN,
    controls=lambda: "\0 \x1b[31m \x9b31m \u202e \u2028 \x07 \u200b \ufeff",
)  # fmt: skip
async def controls_are_data(stage: Stage, text: str) -> None:
    await stage.passed(text, metadata={"key": text}, tags=[text])
    assert stage.said["langchain.metadata.key"] == text
    assert stage.said["langchain.tags"] == (text,)
    assert json.loads(stage.said["gen_ai.input.messages"])[0]["parts"][0]["content"] == text


_RECORDED: Final[dict[tuple[int, str], tuple[Any, Any]]] = {
    (9, "inside_json"): (lambda: [1.0, math.nan, -math.inf], '[1.0,"NaN","-Infinity"]'),
    (9, "as_it_is"): (lambda: math.inf, math.inf),
    (10, "positive"): (lambda: 1 << 63, str(1 << 63)),
    (10, "negative"): (lambda: -(1 << 63) - 1, str(-(1 << 63) - 1)),
    (10, "the_least"): (lambda: -(1 << 63), -(1 << 63)),
    (10, "inside"): (lambda: [1 << 63, 0], f'["{1 << 63}",0]'),
    (10, "enormous"): (lambda: 1 << 100_000, "<int of 100001 bits>"),
    (11, "bytes"): (lambda: b"\xff", b"\xff"),
    (11, "bytearray"): (lambda: bytearray(b"abc"), b"abc"),
    (11, "memoryview"): (lambda: memoryview(b"abcdef")[::2], b"ace"),
    (11, "many"): (lambda: b"x" * 2_000, "<2000 bytes>"),
    (11, "released"): (hostile.released, "<builtins.memoryview>"),
    (12, "dict"): (hostile.cyclic_dict, '{"a":1,"self":"<cycle>"}'),
    (12, "list"): (hostile.cyclic_list, '[1,"<cycle>"]'),
    (14, "keys_that_meet"): (lambda: {1: "a", "1": "b"}, '{"1":"a","1#2":"b"}'),
    (14, "keys_without_text"): (lambda: {(1, 2): "a", "": "b", b"c": "d", "e": 1}, '{"e":1}'),
    (14, "typed_keys"): (lambda: {None: 1, hostile.Colour.RED: 2, True: 3}, '{"None":1,"red":2,"True":3}'),
    (14, "a_long_key"): (lambda: {"k" * 10_000: 1}, '{"' + "k" * 255 + '…":1}'),
    (16, "secret_in_repr"): (hostile.Secret, "<tests.property.hostile.Secret>"),
    (17, "a_named_tuple"): (lambda: hostile.Point(1, "y"), '[1,"y"]'),
    (22, "a_time"): (lambda: dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "2026-01-02T00:00:00+00:00"),
    (22, "a_date"): (lambda: dt.date(2026, 1, 2), "2026-01-02"),
    (22, "a_uuid"): (lambda: uuid.UUID(int=5), str(uuid.UUID(int=5))),
    (22, "a_decimal"): (lambda: decimal.Decimal("1.10"), "1.10"),
    (22, "a_path"): (lambda: pathlib.PurePosixPath("a/b"), "a/b"),
    (22, "an_enum"): (lambda: hostile.Colour.RED, "red"),
    (22, "an_exception"): (lambda: ValueError(CANARY), "<builtins.ValueError>"),
    (22, "a_class"): (lambda: hostile.Secret, "tests.property.hostile.Secret"),
    (22, "a_function"): (lambda: hostile.nested, "tests.property.hostile.nested"),
}


async def recorded_as(stage: Stage, given: Any) -> None:
    value, recorded = given
    await stage.passed(stage.watch(value), metadata={"key": value})
    found = stage.said["langchain.metadata.key"]
    assert (found, type(found)) == (recorded, type(recorded))
    assert CANARY not in stage.everything


for (_number, _name), (_make, _what) in _RECORDED.items():
    row(_number, Driven.LANGCHAIN, **{_name: lambda make=_make, what=_what: (make(), what)})(recorded_as)


@row(9, Driven.LANGCHAIN)
async def not_a_number_stays_a_double(stage: Stage, _: None) -> None:
    await stage.passed(math.nan, metadata={"key": math.nan})
    assert math.isnan(stage.said["langchain.metadata.key"])


@row(13, Driven.LANGCHAIN, lists=lambda: hostile.nested(2_000), dicts=lambda: hostile.nested(2_000, dict))
async def depth_is_cut(stage: Stage, value: Any) -> None:
    await stage.passed(stage.watch(value), metadata={"key": value})
    assert "<too deep>" in stage.said["langchain.metadata.key"]


@row(13, Driven.DIRECT)
async def twenty_frames_of_stack_are_enough(stage: Stage, _: None) -> None:
    stage.handler = stage.new_handler(spans_alone=True)  # the SDK's meters need more, and so does content
    await stage.run("tool")  # what is loaded at the first run
    method = type(stage.handler)
    raised: list[BaseException] = []

    def call() -> None:
        try:
            for event, first, more in (
                ("on_tool_start", {"name": "t"}, ("in",)),
                ("on_tool_end", "out", ()),
            ):
                result = getattr(method, event)(
                    stage.handler, first, *more, run_id=run_id, metadata={"k": {"a": [1]}}
                )
                if stage.asynchronous:
                    try:
                        result.send(None)
                    except StopIteration:
                        continue
        except BaseException as error:
            raised.append(error)

    run_id = uuid.uuid4()
    thread = threading.Thread(target=_with_frames_left, args=(22, call))
    thread.start()
    thread.join()
    assert raised == []
    assert [span.name for span in stage.spans] == ["execute_tool tool", "execute_tool t"]


def _with_frames_left(frames: int, call: Any) -> None:
    def down(left: int) -> None:
        if left:
            down(left - 1)
        else:
            call()

    depth = 0
    frame: types.FrameType | None = sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    down(sys.getrecursionlimit() - depth - frames)


@row(
    15,
    Driven.LANGCHAIN,
    **{
        name.replace(" ", "_"): VALUES[name]
        for name in ("hostile", "hostile inside", "hostile dict", "hostile list", "liar")
    },
)
async def an_object_that_cannot_be_looked_at_is_metadata(stage: Stage, value: Any) -> None:
    chain = RunnableLambda(lambda given: given, name="identity")
    await stage.langchain(chain, {"held": (value,)}, metadata={"key": stage.watch(value)})
    assert stage.said["langchain.metadata.key"]
    assert CANARY not in stage.everything


@row(15, Driven.DIRECT, **{name.replace(" ", "_"): VALUES[name] for name in sorted(hostile.NOT_AN_INPUT)})
async def an_object_that_cannot_be_looked_at_is_anything(stage: Stage, value: Any) -> None:
    for kind in ("chain", "chat_model", "llm", "tool", "retriever"):
        await stage.run(
            kind, stage.watch(value), serialized=value, input=value, tags=value, metadata=value, name=value,
            invocation_params=value, options=value,
        )  # fmt: skip
        run_id = uuid.uuid4()
        await stage.start(
            kind,
            run_id,
            invocation_params=dict.fromkeys(_PARAMETERS, value),
            serialized={"kwargs": {"service_tier": value}},
        )
        await stage.token(run_id, value, chunk=value)
        await stage.fail(kind, run_id, value)
    assert len(stage.spans) == 10
    assert CANARY not in stage.everything


_PARAMETERS: Final = (
    "tools",
    "functions",
    "instructions",
    "system",
    "service_tier",
    "model",
    "stop",
    "response_format",
)


class Lazy:
    """As a row of an object-relational mapper: to print it is to query."""

    queries: Final[list[str]] = []

    def __repr__(self) -> str:
        self.queries.append("SELECT")
        return CANARY

    __str__ = __repr__

    def __getattr__(self, name: str) -> Any:
        if name.startswith("col"):
            self.queries.append(name)
        raise AttributeError(name)


@row(16, Driven.LANGCHAIN, lazy=Lazy)
async def what_is_loaded_when_it_is_printed_is_not_printed(stage: Stage, value: Any) -> None:
    await stage.passed({"row": value}, metadata={"key": value})
    assert Lazy.queries == []
    assert CANARY not in stage.everything


class Model(pydantic.BaseModel):
    name: str = "shown"
    password: pydantic.SecretStr = pydantic.SecretStr(CANARY)
    inner: Any = None

    def model_dump(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(CANARY)


@dataclasses.dataclass
class Data:
    name: str = "shown"
    hidden: str = dataclasses.field(default=CANARY, repr=False)


class Attrs:
    """As a class of attrs is, in what matters here."""

    __attrs_attrs__ = (
        types.SimpleNamespace(name="name", repr=True),
        types.SimpleNamespace(name="hidden", repr=False),
    )

    def __init__(self) -> None:
        self.name, self.hidden = "shown", CANARY


@row(
    17,
    Driven.LANGCHAIN,
    pydantic=Model,
    nested=lambda: Model(inner=Model()),
    dataclass=Data,
    attrs=Attrs,
    secret=lambda: pydantic.SecretStr(CANARY),
)
async def fields_are_read_by_name(stage: Stage, value: Any) -> None:
    await stage.passed({"state": value}, metadata={"key": value})
    assert CANARY not in stage.everything
    if type(value) is not pydantic.SecretStr:
        assert "shown" in stage.said["gen_ai.input.messages"]
    assert stage.said["langchain.metadata.key"] == f"<{type(value).__module__}.{type(value).__qualname__}>"


class _Array:
    """As arrays and frames have it: nobody may ask for its truth."""

    dtype, shape = "float32", (3, 1_536)

    def __bool__(self) -> bool:
        raise ValueError("The truth value of an array with more than one element is ambiguous.")

    def __len__(self) -> int:
        raise ValueError(CANARY)

    def __eq__(self, other: object) -> Any:
        return self

    __hash__ = None  # type: ignore[assignment] # as arrays have it


class _Generic:
    def item(self) -> float:
        return 1.5


@row(18, Driven.LANGCHAIN, array=_Array, frame=type("DataFrame", (_Array,), {}), scalar=_Generic)
async def an_array_is_its_type_and_shape(stage: Stage, value: Any) -> None:
    known = types.ModuleType("numpy")
    known.generic, known.ndarray = _Generic, _Array  # type: ignore[attr-defined] # made here
    loaded = sys.modules.get("numpy")
    sys.modules["numpy"] = known
    try:
        chain = RunnableLambda(lambda given: given, name="identity")
        await stage.langchain(chain, {"x": value}, metadata={"key": value, "list": [value]})
    finally:
        del sys.modules["numpy"]
        if loaded is not None:
            sys.modules["numpy"] = loaded
    said = stage.said["langchain.metadata.key"]
    expected = {_Generic: 1.5, _Array: "<ndarray float32 (3, 1536)>"}
    assert said == expected.get(type(value), f"<{type(value).__module__}.DataFrame>")


@row(
    19, Driven.LANGCHAIN,
    generator=VALUES["generator"], iterator=VALUES["iterator"], lock=VALUES["lock"], coroutine=hostile.coroutine,
    a_file=pathlib.Path(__file__).open,
)  # fmt: skip
async def what_can_be_used_up_is_not(stage: Stage, value: Any) -> None:
    await stage.passed({"it": value}, metadata={"key": value})
    await stage.run("tool", value, input=value)
    assert (
        stage.said_of(0)["langchain.metadata.key"] == f"<{type(value).__module__}.{type(value).__qualname__}>"
    )
    if type(value) is types.CoroutineType:
        assert value.cr_frame is not None  # not begun
        value.close()
    elif hasattr(value, "read"):
        assert value.tell() == 0
        value.close()
    elif hasattr(value, "__next__"):
        assert len(list(value)) in (2, 3)


@row(
    20,
    Driven.LANGCHAIN,
    **{name.replace(" ", "_"): VALUES[name] for name in ("user dict", "ordered dict", "view of a dict")},
)
async def mappings_of_all_kinds_pass(stage: Stage, value: Any) -> None:
    await stage.passed(stage.watch(value), metadata={"key": value})
    assert stage.said["langchain.metadata.key"] in (
        '{"a":1}',
        f"<{type(value).__module__}.{type(value).__qualname__}>",
    )


@row(20, Driven.DIRECT)
async def a_dict_that_another_thread_changes_is_recorded_or_named(stage: Stage, _: None) -> None:
    changing: dict[str, Any] = {str(number): number for number in range(50)}
    stop = threading.Event()

    def change() -> None:
        number = 0
        while not stop.is_set():
            changing[f"new {number % 200}"] = number
            changing.pop(f"new {(number - 100) % 200}", None)
            number += 1

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _turn in range(50):
            await stage.run("chain", changing, input=changing, metadata=changing)
            await stage.run("tool", changing, input=changing, metadata={"inner": changing})
    finally:
        stop.set()
        thread.join()
    assert len(stage.spans) == 100


@row(21, Driven.LANGCHAIN)
async def what_the_application_changes_later_was_recorded_before(stage: Stage, _: None) -> None:
    inner, state = ["a"], {"messages": [HumanMessage("before")]}
    metadata = {"key": inner}

    def body(given: Any) -> Any:
        given["messages"][0].content = "after"
        inner.append("b")
        metadata["later"] = ["c"]
        return {"answer": "done"}

    await stage.langchain(RunnableLambda(body, name="chain"), state, metadata=metadata)
    assert stage.said["langchain.metadata.key"] == ("a",)
    assert "langchain.metadata.later" not in stage.said
    # A stream's input is known at its end only: LangChain's start has none.
    assert "before" in stage.said["gen_ai.input.messages"] or stage.streaming
