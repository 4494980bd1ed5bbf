"""Content policy: what was said in a run, taken down as far as it is wanted, redacted, and limited.

Rules for this file: what is kept is plain (dict, list, str, number, None) and holds nothing of the application's alive. What
is not wanted is not looked at. Redaction comes before any limit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, TypeAlias

from otel_callbacks import semconv
from otel_callbacks.core import messages, parts, values
from otel_callbacks.core.events import RunKind
from otel_callbacks.core.fit import dumps, fitted, fitted_list, size
from otel_callbacks.core.reading import either, first, mapping, sequence
from otel_callbacks.core.runs import Run
from otel_callbacks.core.scrub import Scrub
from otel_callbacks.semconv import Operation


class Where(StrEnum):
    """Where content goes; the values are those of ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT``."""

    NO_CONTENT = "NO_CONTENT"
    SPAN_ONLY = "SPAN_ONLY"
    EVENT_ONLY = "EVENT_ONLY"
    SPAN_AND_EVENT = "SPAN_AND_EVENT"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is said.

    Attributes:
        string: Characters of one text.
        attribute: Bytes of one attribute's JSON. Tempo cuts at 2,048 unless it is told otherwise.
        span: Bytes of all content of one span: sixteen such spans are still a request of 4 MiB.
    """

    string: int = values.DEFAULT_MAX_LENGTH
    attribute: int = 262_144
    span: int = 262_144


@dataclass(frozen=True, slots=True)
class Taken:
    """What events say of a run: each field a structure as in the conventions' schemas, or None where nothing was said.

    Attributes:
        input_messages: ``[{"role", "parts", "name"?}]``.
        output_messages: The same, one for each generation, with ``finish_reason`` where the provider gave one.
        system_instructions: Parts, where they are apart from the messages.
        tool_definitions: ``[{"type", "name"}]``.
    """

    input_messages: list[dict[str, Any]] | None = None
    output_messages: list[dict[str, Any]] | None = None
    system_instructions: list[dict[str, Any]] | None = None
    tool_definitions: list[dict[str, Any]] | None = None


@dataclass(slots=True)
class Held:
    """What a hook will be asked about at the run's end; it is not for events."""

    taken: Taken


Hook: TypeAlias = Callable[[Run, Taken], Taken]
"""Is told what was said in a run that ends, returns what is to be recorded of it."""

_MODELS: Final = (RunKind.CHAT_MODEL, RunKind.LLM)
_SPOKEN: Final = frozenset({Operation.INVOKE_AGENT, Operation.INVOKE_WORKFLOW})
# What goes in may have so much of a span's content, so that there is room for what comes out.
_INPUT_QUARTERS: Final = 3
# Fields of `Taken`, and what they are called where they are said.
ATTRIBUTES: Final = {
    "system_instructions": semconv.SYSTEM_INSTRUCTIONS,
    "tool_definitions": semconv.TOOL_DEFINITIONS,
    "input_messages": semconv.INPUT_MESSAGES,
    "output_messages": semconv.OUTPUT_MESSAGES,
}
FIELDS: Final = {
    **ATTRIBUTES,
    "tool_arguments": semconv.TOOL_CALL_ARGUMENTS,
    "tool_results": semconv.TOOL_CALL_RESULT,
    "retrieval_query": semconv.RETRIEVAL_QUERY,
    "retrieval_documents": semconv.RETRIEVAL_DOCUMENTS,
}
"""All content that there is: the names by which it is allowed, and the attributes that it stands in."""
_MARK_LENGTH: Final = 64


class Capture:
    """The content policy of one handler: where to, how much, and of what; its redactors are the run's."""

    def __init__(
        self,
        where: Where,
        limits: Limits,
        hook: Hook | None = None,
        fields: Collection[str] = tuple(FIELDS),
    ) -> None:
        """*fields*: of `FIELDS`, what may be looked at at all."""
        self.where = where
        self.limits = limits
        self.hook = hook
        self.fields = frozenset(fields)
        # An error quotes arguments as well as answers: it may be whole where all of that may be said.
        self.recorded = where is not Where.NO_CONTENT and self.fields.issuperset(FIELDS)
        self.always = hook is not None
        self._on_spans = where in (Where.SPAN_ONLY, Where.SPAN_AND_EVENT)
        self._in_events = where in (Where.EVENT_ONLY, Where.SPAN_AND_EVENT)

    def fit(self, longest: int | None) -> None:
        """Let no attribute be longer than *longest*, where the spans' provider cuts: that would be inside the JSON."""
        if longest is not None and longest < self.limits.attribute:
            self.limits = replace(self.limits, attribute=longest)

    # -- the protocol ------------------------------------------------------------------------------------------------

    def started(
        self,
        run: Run,
        given: object,
        serialized: object,  # noqa: ARG002 - the protocol has it
        extra: Mapping[str, Any],
    ) -> None:
        """Take down what went in; a second time, where it is known only at the end."""
        if run.kind in _MODELS:
            if self._on_spans or self._in_events or self.hook is not None:
                self._ask(run, given, mapping(extra.get("invocation_params")))
        elif run.kind is RunKind.CHAIN:
            if "input_messages" in self.fields and self._hears(run) and not _is_not_yet(given):
                run.attributes.pop(semconv.INPUT_MESSAGES, None)
                scrub = self._scrub(run)
                self._keep(run, scrub, *messages.said_to(given, scrub), "input_messages")
        elif self._on_spans and run.kind is RunKind.TOOL:
            if "tool_arguments" in self.fields:
                self._write(run, semconv.TOOL_CALL_ARGUMENTS, given, wrapped="input")
        elif self._on_spans and "retrieval_query" in self.fields:
            self._write_text(run, semconv.RETRIEVAL_QUERY, given)

    def ended(self, run: Run, output: object) -> None:
        """Take down what came out, as far as there is anything."""
        if run.kind in _MODELS or run.kind is RunKind.CHAIN:
            if "output_messages" not in self.fields:
                return
            if run.kind is RunKind.CHAIN:
                if self._hears(run):
                    scrub = self._scrub(run)
                    self._keep(run, scrub, *messages.said_by(output, scrub), "output_messages")
            elif self._on_spans or self._in_events or self.hook is not None:
                scrub = self._scrub(run)
                self._keep(run, scrub, messages.generations(output, scrub), 0, "output_messages")
        elif output is not None and self._on_spans:
            if run.kind is not RunKind.TOOL:
                if "retrieval_documents" in self.fields:
                    self._write_documents(run, output)
            elif "tool_results" in self.fields:
                self._write(run, semconv.TOOL_CALL_RESULT, messages.result_of(output), wrapped="result")

    def closed(self, run: Run) -> None:
        """Ask the hook: of a run that is cut short as well, whose output nobody told."""
        if self.hook is not None and run.content is not None:
            self._ask_hook(run, self.hook)

    # -- models and chains ---------------------------------------------------------------------------------------------

    def _hears(self, run: Run) -> bool:
        """Tell the chains whose spans have messages: agents, workflows, and a root, which its steps may yet make one."""
        return (self._on_spans or self.hook is not None) and (
            run.operation in _SPOKEN or run.parent_key is None
        )

    def _ask(self, run: Run, given: object, parameters: Mapping[str, Any]) -> None:
        scrub = self._scrub(run)
        if "tool_definitions" in self.fields:
            definitions = parts.definitions(
                either(parameters.get("tools"), parameters.get("functions")), scrub
            )
            self._keep(run, scrub, definitions or [], 0, "tool_definitions")
        if "system_instructions" in self.fields:
            said = parts.instructions(either(parameters.get("instructions"), parameters.get("system")), scrub)
            self._keep(run, scrub, said or [], 0, "system_instructions")
        if "input_messages" in self.fields:
            asked = first(given) if run.kind is RunKind.CHAT_MODEL else given
            self._keep(run, scrub, *messages.conversation(asked, scrub), "input_messages")

    def _keep(self, run: Run, scrub: Scrub, said: list[dict[str, Any]], left_out: int, field: str) -> None:
        """Limit what was *said*, write it to the span and keep it for events and the hook, as it is wanted."""
        if not said and not left_out:
            return
        omitted = messages.omitted if field.endswith("messages") else _omitted
        kept, text = fitted_list(said, self._room(run, output=field == "output_messages"), omitted, left_out)
        if scrub.cut or left_out or kept != said:
            run.attributes[semconv.CONTENT_TRUNCATED] = True
        if self._on_spans and kept:
            run.attributes[ATTRIBUTES[field]] = text
        if self.hook is not None or (self._in_events and run.kind in _MODELS):
            taken = _taken(run) or Taken()
            self._hold(run, replace(taken, **{field: kept}))

    def _hold(self, run: Run, taken: Taken) -> None:
        run.content = taken if self._in_events and run.kind in _MODELS else Held(taken)

    def _ask_hook(self, run: Run, hook: Hook) -> None:
        """Let the hook have what was said, and record what it made of it."""
        before = _taken(run) or Taken()
        after = hook(run, before)
        if after is not before:
            self._hold(run, after)
            for field, name in ATTRIBUTES.items():
                said = getattr(after, field)
                if self._on_spans and said != getattr(before, field):
                    run.attributes.pop(name, None)
                    if said:
                        run.attributes[name] = fitted_list(said, self.limits.attribute, _omitted)[1]
        if type(run.content) is Held:
            run.content = None

    # -- tools and retrievers ------------------------------------------------------------------------------------------

    def _write(self, run: Run, name: str, given: object, *, wrapped: str) -> None:
        """Write a tool's arguments or result: an object, what is none wrapped in one."""
        if given is None:
            return
        scrub = self._scrub(run)
        blocks = sequence(given)
        said = scrub.whole(given) if not blocks else _blocks(blocks, scrub)
        if type(said) is not dict:
            said = {wrapped: said}
        kept, text = fitted(said, self._room(run, output=name == semconv.TOOL_CALL_RESULT))
        if scrub.cut or kept is not said:
            run.attributes[semconv.CONTENT_TRUNCATED] = True
        if text:
            run.attributes[name] = text

    def _write_text(self, run: Run, name: str, given: object) -> None:
        text = values.string(given)
        if text is not None:
            scrub = self._scrub(run, max(1, self._room(run, output=False) - _MARK_LENGTH))
            run.attributes[name] = scrub.say(text)
            if scrub.cut:
                run.attributes[semconv.CONTENT_TRUNCATED] = True

    def _write_documents(self, run: Run, output: object) -> None:
        scrub = self._scrub(run)
        found = messages.documents(output, scrub)
        # The first documents are the best: those are kept, so they are the last ones of the list that is cut.
        found.reverse()
        left_out = len(sequence(output)) - len(found)
        kept, _ = fitted_list(found, self._room(run, output=True), _omitted, left_out)
        if scrub.cut or kept != found:
            run.attributes[semconv.CONTENT_TRUNCATED] = True
        if kept or not found:
            run.attributes[semconv.RETRIEVAL_DOCUMENTS] = dumps(kept[::-1])

    # -- limits --------------------------------------------------------------------------------------------------------

    def _scrub(self, run: Run, budget: int | None = None) -> Scrub:
        return Scrub(self.limits.span if budget is None else budget, self.limits.string, run.redactors)

    def _room(self, run: Run, *, output: bool) -> int:
        """Return the bytes that the next attribute of a span may have."""
        spent = sum(size(value) for name in FIELDS.values() if type(value := run.attributes.get(name)) is str)
        total = self.limits.span if output else self.limits.span * _INPUT_QUARTERS // 4
        return max(0, min(self.limits.attribute, total - spent))


def _is_not_yet(given: object) -> bool:
    """Tell what LangChain says of a stream's input when the stream starts: ``{"input": ""}``."""
    return type(given) is dict and len(given) == 1 and type(given.get("input")) is str and not given["input"]  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType, reportUnknownVariableType] # of anything


def _taken(run: Run) -> Taken | None:
    content = run.content
    return content.taken if type(content) is Held else content


def _blocks(blocks: Sequence[Any], scrub: Scrub) -> Any:
    """Return a tool's content of blocks as parts; any other list as it is."""
    if all(type(block) is dict and "type" in block for block in blocks[: parts.MAX_PARTS]):
        return parts.parts_of(blocks, scrub)
    return scrub.whole(blocks)


def _omitted(count: int) -> dict[str, Any]:
    return {"type": "omitted", "name": f"…[{count} more]"}
