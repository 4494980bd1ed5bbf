"""What the simulated model answers: a pure function of the request, so the same question has the same answer.

No randomness, no clock, no I/O. All text is labelled with `LABEL`: nobody should take it for a model's opinion.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from otel_callbacks.demo.loose import JsonObject, as_list, as_object, as_text, fingerprint, message_text
from otel_callbacks.demo.record import ToolCall, Usage
from otel_callbacks.demo.schema import Filler
from otel_callbacks.demo.words import content_words, count_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LABEL = "[simulated]"

_PIECE = re.compile(r"\S+\s*")

_SENTENCES = (
    "The short answer is that it depends on the load.",
    "Two of the three sources agree on this.",
    "Nothing else in the notes contradicts it.",
    "A second look gives the same picture.",
    "The numbers are small, but they add up.",
    "That holds for every case that was tried.",
    "The rest is a matter of taste.",
)
_MESSAGE_OVERHEAD = 3  # tokens that a chat template adds around one message, as in OpenAI's cookbook
_REASONING_MAX = 8


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer that a test dictates: what to say, which tools to call with which arguments."""

    text: str = ""
    calls: Sequence[tuple[str, Mapping[str, Any]]] = ()
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says: text or tool calls, why it stopped, and what it cost."""

    text: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str
    usage: Usage
    pieces: tuple[str, ...] = field(default=())
    choices: int = 1

    def times(self, choices: int) -> Answer:
        """Return the same answer given so many times over: every choice costs its own tokens, the prompt is read once."""
        usage = replace(
            self.usage,
            completion_tokens=self.usage.completion_tokens * choices,
            reasoning_tokens=self.usage.reasoning_tokens * choices,
        )
        return replace(self, choices=choices, usage=usage)


def answer(request: JsonObject, response_id: str, draft: Draft | None = None) -> Answer:
    """Return the answer to a chat completion *request*; *response_id* makes the ids of its tool calls unique."""
    seed = fingerprint(request)
    draft = draft or _think(request, seed)
    pieces = tuple(_PIECE.findall(draft.text))
    finish = draft.finish_reason or ("tool_calls" if draft.calls else "stop")
    limit = request.get("max_completion_tokens") or request.get("max_tokens")
    if isinstance(limit, int) and len(pieces) > limit:
        pieces, finish = pieces[:limit], "length"
    calls = tuple(
        ToolCall(f"call_{fingerprint([response_id, index]):016x}", name, json.dumps(arguments))
        for index, (name, arguments) in enumerate(draft.calls)
    )
    text = "".join(pieces)
    return Answer(text, calls, finish, _usage(request, text, calls, seed), pieces)


def _usage(request: JsonObject, text: str, calls: Sequence[ToolCall], seed: int) -> Usage:
    prompt = sum(
        _MESSAGE_OVERHEAD + count_tokens(message_text(as_object(message)))
        for message in as_list(request.get("messages"))
    )
    prompt += sum(count_tokens(json.dumps(tool)) for tool in as_list(request.get("tools")))
    spoken = count_tokens(text) + sum(count_tokens(call.name + " " + call.arguments) for call in calls)
    reasoning = 1 + seed % _REASONING_MAX
    return Usage(prompt, spoken + reasoning, cached_tokens=prompt // 3, reasoning_tokens=reasoning)


def _think(request: JsonObject, seed: int) -> Draft:
    """Call tools if the question asks for them and they have not answered yet, else say something."""
    messages = [as_object(message) for message in as_list(request.get("messages"))]
    asked = max((i for i, message in enumerate(messages) if message.get("role") == "user"), default=-1)
    question = message_text(messages[asked]) if asked >= 0 else ""
    since = messages[asked + 1 :]
    if calls := _tool_calls(request, question, since):
        return Draft(calls=calls)
    response_format = as_object(request.get("response_format"))
    if response_format.get("type") == "json_schema":
        schema = as_object(as_object(response_format.get("json_schema")).get("schema"))
        return Draft(json.dumps(Filler(schema, question, LABEL).fill(schema)))
    if response_format.get("type") == "json_object":
        return Draft(json.dumps({"answer": f"{LABEL} {question}"}))
    results = [message for message in since if message.get("role") == "tool"]
    return Draft(_report(results) if results else _musing(question, seed))


def _tool_calls(
    request: JsonObject, question: str, since: Sequence[JsonObject]
) -> list[tuple[str, Mapping[str, Any]]]:
    """Choose tools by the words that they share with the question; all of them at once unless told otherwise."""
    functions = [as_object(as_object(tool).get("function")) for tool in as_list(request.get("tools"))]
    called = {
        as_text(as_object(as_object(call).get("function")).get("name"))
        for message in since
        for call in as_list(message.get("tool_calls"))
    }
    choice = request.get("tool_choice", "auto")
    if choice == "none" or not functions:
        return []
    if name := as_text(as_object(as_object(choice).get("function")).get("name")):
        chosen = [function for function in functions if function.get("name") == name]
    else:
        fresh = [function for function in functions if function.get("name") not in called]
        chosen = [function for function in fresh if _shared_words(function, question)]
        if called and choice != "required":
            return []
        if not chosen and choice == "required":
            chosen = (fresh or functions)[:1]
    if request.get("parallel_tool_calls") is False:
        chosen = chosen[:1]
    return [(as_text(function.get("name")), _arguments(function, question)) for function in chosen]


def _arguments(function: JsonObject, question: str) -> JsonObject:
    parameters = as_object(function.get("parameters"))
    if not as_list(parameters.get("required")):
        return {}  # everything is optional: a model need not say anything
    return as_object(Filler(parameters, question, f"{LABEL} value").fill(parameters))


def _shared_words(function: JsonObject, question: str) -> frozenset[str]:
    described = f"{as_text(function.get('name'))} {as_text(function.get('description'))}".replace("_", " ")
    return frozenset(content_words(described)) & frozenset(content_words(question))


def _report(results: Sequence[JsonObject]) -> str:
    said = "; ".join(message_text(result).strip() for result in results)
    return f"{LABEL} The tools say: {said}"


def _musing(question: str, seed: int) -> str:
    chooser = random.Random(seed)  # noqa: S311  # repeatable on purpose, nothing secret
    topic = " ".join(re.split(r"[.?!:]", question, maxsplit=1)[0].split()[:8])
    return " ".join([LABEL, f"On “{topic}”:", *chooser.sample(_SENTENCES, k=3)])
