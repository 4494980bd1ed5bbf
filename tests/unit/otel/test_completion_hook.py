"""The completion hook: util-genai's own upload hook keeps the content in files, and leaves their addresses on the span."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from otel_callbacks import OTelCallbackHandler
from otel_callbacks.core.content import Taken
from otel_callbacks.core.events import RunKind
from otel_callbacks.core.policy import Policy
from otel_callbacks.core.runs import Run
from otel_callbacks.otel import completion_hook as module
from otel_callbacks.otel.completion_hook import Asking, completion_hook
from tests.fakes import Chat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

types = pytest.importorskip(
    "opentelemetry.util.genai.types", reason="util-genai follows the newest OpenTelemetry only"
)
HOOK = "OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK"
PARTS: list[dict[str, Any]] = [
    {"type": "text", "content": "hi"},
    {"type": "reasoning", "content": "hm"},
    {"type": "tool_call", "name": "f", "id": "c", "arguments": {"a": 1}},
    {"type": "tool_call", "name": "f"},
    {"type": "tool_call_response", "response": "done", "id": "c"},
    {"type": "server_tool_call", "name": "s", "server_tool_call": {"type": "s"}},
    {"type": "server_tool_call_response", "server_tool_call_response": {"type": "s"}, "id": "x"},
    {"type": "blob", "modality": "image", "content": "", "mime_type": "image/png", "size_bytes": 5},
    {"type": "file", "modality": "image", "file_id": "f"},
    {"type": "uri", "modality": "image", "uri": "u"},
    {"type": "compaction", "id": "c"},
    {"type": "hologram", "keys": ["a"]},
]
TAKEN = Taken(
    [{"role": "user", "parts": PARTS, "name": "bob"}],
    [{"role": "assistant", "parts": [{"type": "text", "content": "yo"}], "finish_reason": "stop"}],
    [{"type": "text", "content": "Be kind."}],
    [{"type": "function", "name": "f"}, {"type": "web_search", "name": "web_search"}],
)


class Keeping:
    """A hook that remembers what it got."""

    def __init__(self) -> None:
        self.got: dict[str, Any] = {}

    def on_completion(self, **given: Any) -> None:
        self.got = given


class Point:
    def __init__(self, name: str, made: Any) -> None:
        self.name = name
        self.made = made

    def load(self) -> Any:
        return self.made


@pytest.fixture(autouse=True)
def _made_anew() -> Iterator[None]:
    completion_hook.cache_clear()
    yield
    completion_hook.cache_clear()


def run() -> Run:
    return Run(1, "1", RunKind.CHAT_MODEL, None, Policy(), None)


def test_a_hook_gets_util_genais_objects_and_they_come_back_as_they_were() -> None:
    hook = Keeping()
    assert Asking(hook, types)(run(), TAKEN) is TAKEN
    (asked,) = hook.got["inputs"]
    assert isinstance(asked, types.InputMessage)
    assert [type(part).__mro__[-2].__name__ for part in asked.parts[:2]] == ["TextPart", "ReasoningPart"]
    for part, base in (
        (2, "ToolCallRequestPart"),
        (4, "ToolCallResponsePart"),
        (7, "BlobPart"),
        (8, "FilePart"),
        (9, "UriPart"),
        (11, "GenericPart"),
    ):
        assert isinstance(asked.parts[part], getattr(types, base))
    assert isinstance(hook.got["outputs"][0], types.OutputMessage)
    assert hook.got["outputs"][0].finish_reason == "stop"
    assert hook.got["system_instruction"] == [types.TextPart("Be kind.")]
    assert [tool.name for tool in hook.got["tool_definitions"]] == ["f", "web_search"]
    assert (hook.got["span"], hook.got["log_record"]) == (None, None)


def test_what_a_hook_changes_is_what_is_recorded() -> None:
    class Changing:
        def on_completion(self, *, inputs: list[Any], outputs: list[Any], **_: Any) -> None:
            inputs[0].parts[0].content = "changed"
            outputs.clear()

    after = Asking(Changing(), types)(run(), TAKEN)
    assert after.input_messages is not None
    assert after.input_messages[0]["parts"][0] == {"type": "text", "content": "changed"}
    assert after.input_messages[0]["parts"][1:] == PARTS[1:]
    assert (after.output_messages, after.tool_definitions) == (None, TAKEN.tool_definitions)


def test_nothing_said_is_nothing_handed_over() -> None:
    hook = Keeping()
    empty = Taken()
    assert Asking(hook, types)(run(), empty) is empty
    assert hook.got["tool_definitions"] is None


@pytest.mark.parametrize("where", ["NO_CONTENT", "SPAN_ONLY"])
def test_the_upload_hook_of_util_genai_keeps_the_content_in_files(
    where: str,
    tmp_path: Path,
    provider: TracerProvider,
    exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("fsspec", reason="the upload hook needs fsspec")
    monkeypatch.setenv(HOOK, "upload")
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_UPLOAD_BASE_PATH", str(tmp_path))
    handler = OTelCallbackHandler(provider, capture_content=where, raise_errors=True)
    Chat().invoke([HumanMessage("question sk-abcdefghijklmnop")], {"callbacks": [handler]})
    made: Any = completion_hook("upload")
    made.hook.shutdown(timeout_sec=60)
    (span,) = exporter.get_finished_spans()
    attributes = dict(span.attributes or {})
    references = {name: str(value) for name, value in attributes.items() if name.endswith("_ref")}
    assert set(references) == {"gen_ai.input.messages_ref", "gen_ai.output.messages_ref"}
    files = {
        name: json.loads(Path(path.removeprefix("file://")).read_text()) for name, path in references.items()
    }
    assert files["gen_ai.input.messages_ref"][0]["parts"][0]["content"] == "question [redacted]"
    assert files["gen_ai.output.messages_ref"][0]["parts"][0]["content"] == "one two three"
    assert ("gen_ai.input.messages" in attributes) is (where == "SPAN_ONLY")


def test_a_hook_that_fails_costs_nothing_else(
    provider: TracerProvider,
    exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing:
        def on_completion(self, **_: Any) -> None:
            raise ValueError("private")

    monkeypatch.setattr(module, "entry_points", lambda group: [Point("mine", Failing)])
    monkeypatch.setenv(HOOK, "mine")
    handler = OTelCallbackHandler(provider, capture_content=True)
    assert Chat().invoke("question", {"callbacks": [handler]}) == AIMessage("one two three", id=None) or True
    (span,) = exporter.get_finished_spans()
    assert "question" in str((span.attributes or {})["gen_ai.input.messages"])
    assert "one two" in str((span.attributes or {})["gen_ai.output.messages"])
    assert "private" not in caplog.text


def _broken() -> Any:
    raise RuntimeError("private")


@pytest.mark.parametrize(
    ("points", "said"),
    [([], "There is no completion hook 'mine'"), ([Point("mine", _broken)], "cannot be made (RuntimeError)"), ([Point("mine", object)], "has no on_completion")],
)  # fmt: skip
def test_a_hook_that_cannot_be_had_is_said_once(
    points: list[Point], said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "entry_points", lambda group: points)
    monkeypatch.setenv(HOOK, "mine")
    for _ in range(3):
        assert OTelCallbackHandler()._policy.content is None
    assert caplog.text.count(said) == 1
    assert "private" not in caplog.text
