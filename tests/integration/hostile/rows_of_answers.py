"""Rows 1 to 5: what models answer, at its worst."""

from __future__ import annotations

import json
import math
import tracemalloc
import uuid
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import LLMResult

from otel_callbacks import semconv
from tests.integration.hostile.stage import Driven, Says, Stage, row
from tests.property import hostile
from tests.property.hostile import CANARY

# -- 1 to 5: what models answer --------------------------------------------------------------------------------------------


class Holds:
    """An object with what it is given."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


class Raising:
    """Has every field, and raises when asked for one."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(CANARY)


@row(
    1, Driven.MANAGERS,
    none=lambda: None,
    text=lambda: "text",
    no_lists=lambda: LLMResult(generations=[]),
    an_empty_list=lambda: LLMResult(generations=[[]]),
    none_in_a_list=lambda: Holds(generations=[[None]], llm_output=None),
    no_generations=lambda: Holds(generations=None),
)  # fmt: skip
async def a_result_without_content_ends_well(stage: Stage, result: Any) -> None:
    await stage.managed("chat_model", [[HumanMessage("q")]], stage.watch(result))
    assert stage.only.status.status_code.name == "UNSET"
    assert not [key for key in stage.said if key.startswith(("gen_ai.usage", "gen_ai.response.id", "error"))]


@row(2, Driven.MANAGERS, none=lambda: None, text=lambda: "text", list=lambda: ["x"], raising=Raising)
async def a_part_that_is_none_is_passed_over(stage: Stage, part: Any) -> None:
    message = {"response_metadata": part, "usage_metadata": part, "content": "said"}
    result = {"generations": [[{"message": message, "generation_info": part}]], "llm_output": part}
    await stage.managed("chat_model", [[HumanMessage("q")]], stage.watch(result))
    assert "gen_ai.response.model" not in stage.said
    raising: Any = {"generations": [[{"message": part}]], "llm_output": {"id": "r"}}
    await stage.managed("chat_model", [[HumanMessage("q")]], stage.watch(raising))
    assert (stage.spans[1].attributes or {})["gen_ai.response.id"] == "r"


class _Int64(int):
    """As numpy's scalars are, in what matters here: an int of another class."""


@row(
    3, Driven.LANGCHAIN,
    none=lambda: (None, None), text=lambda: ("12", 12), whole_double=lambda: (12.0, 12), nan=lambda: (math.nan, None),
    negative=lambda: (-5, None), true=lambda: (True, None), huge=lambda: (2**70, None), subclass=lambda: (_Int64(12), 12),
    infinite=lambda: (math.inf, None), digits=lambda: ("9" * 5_000, None), hostile=lambda: (hostile.hostile(), None),
)  # fmt: skip
async def a_token_count_is_whole_or_left_out(stage: Stage, given: Any) -> None:
    count, recorded = given
    message = AIMessage("said")
    message.usage_metadata = {"input_tokens": count, "output_tokens": 1, "total_tokens": 1}
    stage.watch(message.usage_metadata)  # not the message: LangChain gives it an id
    await stage.langchain(Says(message=message), "q")
    found = stage.said.get("gen_ai.usage.input_tokens")
    assert found == recorded
    assert found is None or type(found) is int
    points = stage.signals.points(semconv.TOKEN_USAGE.name)
    totals = {point.attributes["gen_ai.token.type"]: point.total for point in points}
    assert totals == {"output": 1} | ({} if recorded is None else {"input": recorded})


def _blocks() -> list[Any]:
    return [
        None, "text", {"type": "unheard of", "x": CANARY, "y": None}, {"type": None, "a": CANARY},
        [[["nested"]]], {"type": "text", "text": None}, b"\xff" * 100, {"type": "text", "text": "kept"}, 5,
    ]  # fmt: skip


@row(
    4,
    Driven.MANAGERS,
    blocks=_blocks,
    none=lambda: None,
    bytes=lambda: b"\xff" * 100,
    number=lambda: 5,
    cyclic=hostile.cyclic_list,
    released=hostile.released,
)
async def a_block_that_is_not_known_is_its_type_and_keys(stage: Stage, content: Any) -> None:
    message = Holds(type="ai", content=stage.watch(content))
    result = {"generations": [[{"message": message}]]}
    await stage.managed("chat_model", [[Holds(type="human", content=content)]], result)
    assert CANARY not in stage.everything
    if type(content) is list and None in content:
        parts = json.loads(stage.said["gen_ai.output.messages"])[0]["parts"]
        assert {"type": "unheard of", "keys": ["x", "y"]} in parts
        assert {"type": "text", "content": "kept"} in parts


@cache
def _megabytes() -> str:
    return "QUJD" * 5_000_000


_MEDIA: Final[dict[str, Callable[[str], Any]]] = {
    "image_url": lambda data: {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
    "anthropic": lambda data: {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": data},
    },
    "google": lambda data: {"type": "media", "mime_type": "image/png", "data": data},
    "audio": lambda data: {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
    "pdf": lambda data: {"type": "file", "base64": data, "mime_type": "application/pdf"},
}


@row(
    5, Driven.LANGCHAIN, **{name: (lambda block=block: block(_megabytes())) for name, block in _MEDIA.items()}
)
async def media_are_said_by_their_size(stage: Stage, block: Any) -> None:
    question = HumanMessage([{"type": "text", "text": "what is it?"}, block])
    await stage.langchain(Says(message=AIMessage("a picture")), [question])
    said = stage.said["gen_ai.input.messages"]
    assert "QUJD" not in said
    assert json.loads(said)[0]["parts"][1]["size_bytes"] == 15_000_000


@row(5, Driven.DIRECT)
async def media_are_not_copied(stage: Stage, _: None) -> None:
    block = _MEDIA["google"](_megabytes())
    question = HumanMessage([block])
    await stage.start("chat_model", uuid.uuid4())  # what is loaded at the first run
    run_id = uuid.uuid4()
    tracemalloc.start()
    try:
        await stage.start("chat_model", run_id, input=[[question]])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    for span in list(stage.handler._bound._table.open.values()) if stage.handler._bound else []:
        await stage.end("chat_model", span.id)
    assert peak < 2_000_000
