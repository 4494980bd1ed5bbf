"""The conventions' completion hook: content handed, at a run's end, to what keeps it elsewhere, with the span for a reference.

The protocol, its classes and the group of entry points are util-genai's (1.3), so that its ``upload`` hook, and others that
are written for it, work here. They get the content redacted and limited, media by reference.

Rules for this file: util-genai is imported when a hook is asked for by name, and never else; a hook that cannot be had is
said once in the log, and the application runs without it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass, make_dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final, Protocol

from otel_callbacks.core.content import Taken
from otel_callbacks.core.runs import Run
from otel_callbacks.core.shield import class_name

GROUP: Final = "opentelemetry_genai_completion_hook"
_TYPES: Final = "opentelemetry.util.genai.types"
# A part's type: the class of util-genai, and those of its fields that must be given though we have nothing to say.
_PARTS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "text": ("TextPart", ()),
    "reasoning": ("ReasoningPart", ()),
    "tool_call": ("ToolCallRequestPart", ("arguments", "id")),
    "tool_call_response": ("ToolCallResponsePart", ("id",)),
    "server_tool_call": ("ServerToolCallPart", ()),
    "server_tool_call_response": ("ServerToolCallResponsePart", ()),
    "blob": ("BlobPart", ("mime_type",)),
    "file": ("FilePart", ("mime_type",)),
    "uri": ("UriPart", ("mime_type",)),
    "compaction": ("CompactionPart", ()),
}

logger = logging.getLogger("otel_callbacks")


class CompletionHook(Protocol):
    """What an entry point of `GROUP` makes."""

    def on_completion(
        self,
        *,
        inputs: list[Any],
        outputs: list[Any],
        system_instruction: list[Any],
        tool_definitions: list[Any] | None = None,
        span: Any = None,
        log_record: Any = None,
    ) -> None:
        """Keep the content; what it changes in the lists is what is recorded."""
        ...


@dataclass(frozen=True, slots=True)
class Asking:
    """Asks one hook, in util-genai's words."""

    hook: CompletionHook
    types: Any

    def __call__(self, run: Run, taken: Taken) -> Taken:
        """Hand over what was said in *run*, and return it as the hook leaves it."""
        inputs = [self._message("InputMessage", message) for message in taken.input_messages or ()]
        outputs = [self._message("OutputMessage", message) for message in taken.output_messages or ()]
        system = [self._part(part) for part in taken.system_instructions or ()]
        tools = [self._tool(tool) for tool in taken.tool_definitions or ()]
        span = getattr(run.span, "inner", None)
        self.hook.on_completion(
            inputs=inputs,
            outputs=outputs,
            system_instruction=system,
            tool_definitions=tools or None,
            span=span,
            log_record=None,
        )
        after = Taken(_plain(inputs), _plain(outputs), _plain(system), _plain(tools))
        return taken if after == taken else after

    def _message(self, kind: str, message: Mapping[str, Any]) -> Any:
        parts = [self._part(part) for part in message["parts"]]
        made = getattr(self.types, kind)(role=message["role"], parts=parts)
        for field in ("name", "finish_reason"):
            if field in message:
                setattr(made, field, message[field])
        return made

    def _part(self, part: Mapping[str, Any]) -> Any:
        kind = str(part["type"])
        name, needed = _PARTS.get(kind, ("GenericPart", ()))
        base = getattr(self.types, name)
        fields = {**dict.fromkeys(needed), **part}
        made = base.__new__(_with_fields(base, tuple(fields)))
        for field, value in fields.items():
            setattr(made, field, value)
        for field in base.__dataclass_fields__.values():
            if field.name not in fields:
                setattr(made, field.name, None)
        return made

    def _tool(self, tool: Mapping[str, Any]) -> Any:
        if tool["type"] == "function":
            return self.types.FunctionToolDefinition(name=tool["name"], description=None, parameters=None)
        return self.types.GenericToolDefinition(name=tool["name"], type=tool["type"])


@cache
def _with_fields(base: type, fields: tuple[str, ...]) -> type:
    """Return *base*, or a dataclass below it that has the rest of the *fields* as well: the size of media, for example."""
    declared: Mapping[str, Any] = base.__dict__["__dataclass_fields__"]
    more = [(field, Any, None) for field in fields if field not in declared]
    return make_dataclass(base.__name__, more, bases=(base,)) if more else base


def _plain(objects: Sequence[Any]) -> list[dict[str, Any]] | None:
    """Return dataclasses as the structures of the conventions: without what is absent."""
    return [_without_absent(asdict(item)) for item in objects if is_dataclass(item)] or None  # type: ignore[arg-type] # an instance


def _without_absent(said: dict[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in said.items() if value is not None}
    if "parts" in found:
        parts: list[dict[str, Any]] = found["parts"]
        found["parts"] = [_without_absent(part) for part in parts]
    return found


@cache
def completion_hook(name: str) -> Asking | None:
    """Return the hook of that name, made once in a process; None, with a warning, if there is none or it cannot be made."""
    found = [point for point in entry_points(group=GROUP) if point.name == name]
    if not found:
        logger.warning("There is no completion hook %.80r; content is handed to none.", name)
        return None
    try:
        types: Any = import_module(_TYPES)
        hook: Any = found[0].load()()
    except Exception as error:  # noqa: BLE001 - somebody else's code: without it, the application runs as it would
        logger.warning("The completion hook %.80r cannot be made (%s).", name, class_name(error))
        return None
    if not callable(getattr(hook, "on_completion", None)):
        logger.warning("The completion hook %.80r has no on_completion.", name)
        return None
    return Asking(hook, types)
