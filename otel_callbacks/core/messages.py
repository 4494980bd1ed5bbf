"""What was said, as the conventions' messages: read from LangChain's messages and prompts, from ours, and from dicts.

Rules for this file: fields are read, nothing is called; a list is read from its end, because when the budget is spent it is
the oldest that is left out; nothing of the application's is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from otel_callbacks.core import values
from otel_callbacks.core.parts import call_part, parts_of, response_part, text_part
from otel_callbacks.core.reading import either, field, first, mapping, sequence
from otel_callbacks.core.response import FINISH_KEYS
from otel_callbacks.core.scrub import Scrub, of_class
from otel_callbacks.core.values import string

Message: TypeAlias = dict[str, Any]

MAX_MESSAGES: Final = 1_024  # looked at, of one conversation
_ROLES: Final = {
    "human": "user",
    "user": "user",
    "HumanMessageChunk": "user",
    "ai": "assistant",
    "assistant": "assistant",
    "AIMessageChunk": "assistant",
    "system": "system",
    "developer": "developer",
    "SystemMessageChunk": "system",
    "tool": "tool",
    "ToolMessageChunk": "tool",
    "function": "tool",
    "FunctionMessageChunk": "tool",
    "chat": "",
    "ChatMessageChunk": "",
}
_STOP: Final = "stop"
_FINISH_KEYS: Final = (*FINISH_KEYS, "status")
# Providers' words for the conventions'; what is in neither is said as it is.
_FINISH: Final = {
    "end_turn": "stop",
    "eos": "stop",
    "complete": "stop",
    "completed": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "incomplete": "length",
    "tool_calls": "tool_call",
    "tool_use": "tool_call",
    "function_call": "tool_call",
    "safety": "content_filter",
    "refusal": "content_filter",
    "guardrail_intervened": "content_filter",
}
# Keys of a chain's input and output under which it has what was said, in the order in which they are looked for.
_SAID: Final = ("messages", "input", "question", "query", "prompt", "text", "human_input")
_ANSWERED: Final = ("messages", "output", "answer", "result", "response", "text", "generation")


def omitted(count: int) -> Message:
    """Return the message that stands for so many that are left out."""
    return {"role": "omitted", "parts": [{"type": "text", "content": f"…[{count} older messages omitted]"}]}


def conversation(messages: object, scrub: Scrub) -> tuple[list[Message], int]:
    """Return the messages, and how many of the oldest are left out because there is no budget for them."""
    given = sequence(messages)
    found: list[Message] = []
    for message in reversed(given[-MAX_MESSAGES:]):
        if scrub.spent:
            break
        read = message_of(message, scrub)
        found.append(read if read is not None else {"role": "unknown", "parts": []})
    return found[::-1], len(given) - len(found)


def message_of(value: object, scrub: Scrub) -> Message | None:
    """Return one message of whatever form; None for what is no message."""
    text = string(value)
    if text is not None:
        return {"role": "user", "parts": [text_part(text, scrub)]}
    pair = sequence(value)
    if pair:
        role = string(pair[0])
        return _message(role, pair[1], value, scrub) if len(pair) == 2 and role is not None else None  # noqa: PLR2004
    kind = role_of(value)
    return _message(kind, field(value, "content"), value, scrub) if kind is not None else None


def role_of(value: object) -> str | None:
    """Return the role of a message object or dict, in its own word; None for what is no message."""
    kind = string(field(value, "type"))
    if kind in _ROLES:
        return kind if _ROLES[kind] else string(field(value, "role")) or kind
    role = string(field(value, "role"))
    known = role in _ROLES and type(value) is dict
    return role if known or (role is not None and field(value, "content") is not None) else None


def _message(role: str, content: object, source: object, scrub: Scrub) -> Message:
    name = scrub.name(field(source, "name"), 128)
    role = _ROLES.get(role) or scrub.name(role, 64) or "unknown"
    call_id = field(source, "tool_call_id")
    message: Message = {"role": role}
    if role == "tool" and (call_id is not None or not sequence(source)):
        message["parts"] = [response_part(call_id, content, scrub)]
    else:
        extra = mapping(field(source, "additional_kwargs"))
        calls = (*sequence(field(source, "tool_calls")), *sequence(field(source, "invalid_tool_calls")))
        if not calls and extra:
            legacy = extra.get("function_call")
            calls = (*sequence(extra.get("tool_calls")), *((legacy,) if legacy is not None else ()))
        reasoning = string(either(extra.get("reasoning_content"), field(source, "reasoning_content")))
        message["parts"] = [
            *([{"type": "reasoning", "content": scrub.say(reasoning)}] if reasoning is not None else ()),
            *parts_of(content, scrub, calls=not calls),
            *(call_part(call, scrub) for call in calls[:MAX_MESSAGES] if not scrub.spent),
        ]
    if name:
        message["name"] = name
    return message


def generations(result: object, scrub: Scrub) -> list[Message]:
    """Return the answers of an ``LLMResult``, LangChain's or ours."""
    found: list[Message] = []
    for generation in sequence(first(field(result, "generations")))[:64]:
        message = field(generation, "message")
        read = message_of(message, scrub) if message is not None else None
        if read is None:
            text = string(field(generation, "text"))
            read = {"role": "assistant", "parts": [text_part(text, scrub)] if text is not None else []}
        reason = _finish_reason(generation, message)
        if reason:
            found.append({**read, "finish_reason": scrub.key(reason)})
        elif read["parts"]:  # LangChain tells of a call that failed as of one that answered nothing
            found.append(read)
    return found


def _finish_reason(generation: object, message: object) -> str | None:
    for source in (field(generation, "generation_info"), field(message, "response_metadata")):
        given = mapping(source)
        for key in _FINISH_KEYS:
            reason = values.short(given.get(key), 64)
            if reason:
                return _FINISH.get(reason.lower(), reason.lower())
    return None


def said_to(inputs: object, scrub: Scrub) -> tuple[list[Message], int]:
    """Return what a chain was given as messages: its own, else its text, else all of it as one user's message."""
    return _of_chain(inputs, _SAID, "user", scrub)


def said_by(outputs: object, scrub: Scrub) -> tuple[list[Message], int]:
    """Return what a chain answered: of a conversation, which has all that went before, the last message that is the model's.

    Each has a finish reason, the model's own or "stop", because the chain has ended by itself: without one, backends that
    read by the schema in which it was required (Phoenix 20) show no answer.
    """
    given = _under(outputs, _ANSWERED)
    conversation_of = sequence(given)
    reason = None
    if conversation_of and _are_messages(conversation_of):
        answers = [item for item in conversation_of[-MAX_MESSAGES:] if _is_models(item)]
        answer = answers[-1] if answers else conversation_of[-1]
        last = message_of(answer, scrub)
        found, left_out = [last] if last is not None else [], 0
        reason = _finish_reason(None, answer)
    else:
        found, left_out = _of_chain(outputs, _ANSWERED, "assistant", scrub)
    for message in found:
        if message["role"] == "assistant":
            message["finish_reason"] = reason or _STOP
    return found, left_out


def _of_chain(value: object, keys: Sequence[str], role: str, scrub: Scrub) -> tuple[list[Message], int]:
    if value is None:
        return [], 0
    found = _under(value, keys)
    several = sequence(found)
    if several and _are_messages(several):
        return conversation(several, scrub)
    if role_of(found) is not None:
        message = message_of(found, scrub)
        return ([message] if message is not None else []), 0
    if type(found) is list and not several:
        return [], 0
    text = string(found)
    if text is None:
        said = scrub.plain(found, values.MAX_DEPTH)
        text = said if type(said) is str else values.to_json(said, 1 << 62)
        return [{"role": role, "parts": [{"type": "text", "content": text}]}], 0
    return [{"role": role, "parts": [text_part(text, scrub)]}], 0


def _under(value: object, keys: Sequence[str]) -> object:
    """Return what a chain's dict or state has of messages or text: under one of the known *keys*, or under its only one."""
    given: Mapping[str, Any] = mapping(value)
    if not given and of_class(type(value), "__pydantic_fields__") is not None and role_of(value) is None:
        messages = field(value, "messages")
        return messages if sequence(messages) else value
    for key in keys:
        found = given.get(key)
        if found is not None and (
            key == "messages" or string(found) is not None or role_of(found) is not None
        ):
            return found
    if len(given) == 1:
        only = next(iter(given.values()))
        return only if string(only) is not None or role_of(only) is not None else value
    return value


def _are_messages(items: Sequence[Any]) -> bool:
    """Tell a list of messages by its last one."""
    last = items[-1]
    pair = sequence(last)
    return role_of(last) is not None or (len(pair) == 2 and string(pair[0]) in _ROLES)  # noqa: PLR2004


def _is_models(item: object) -> bool:
    return _ROLES.get(role_of(item) or "") == "assistant"


def result_of(output: object) -> object:
    """Return what a tool gave back: a message's content, the message of a command, or the object itself."""
    if field(output, "tool_call_id") is not None:
        return field(output, "content")
    update = field(output, "update") if type(output).__name__ == "Command" else None
    for message in sequence(field(update, "messages"))[:MAX_MESSAGES]:
        if field(message, "tool_call_id") is not None:
            return field(message, "content")
    return output


def documents(found: object, scrub: Scrub) -> list[dict[str, Any]]:
    """Return retrieved documents: id and score where they have one, and what is in them."""
    read: list[dict[str, Any]] = []
    for document in sequence(found)[: values.MAX_ITEMS]:
        if scrub.spent:
            break
        one: dict[str, Any] = {}
        metadata = mapping(field(document, "metadata"))
        identifier = values.short(field(document, "id"), 256) or values.short(metadata.get("id"), 256)
        if identifier:
            one["id"] = scrub.say(identifier)
        for key in ("score", "relevance_score"):
            score = values.number(metadata.get(key))
            if score is not None:
                one["score"] = score
                break
        text = string(field(document, "page_content"))
        if text is not None:
            one["content"] = scrub.say(text)
        read.append(one)
    return read
