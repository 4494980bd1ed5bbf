"""Blocks of every provider's form become the conventions' parts; media is said by reference."""

from __future__ import annotations

import base64
from hashlib import sha256
from typing import Any

import pytest

from otel_callbacks.core import digest
from otel_callbacks.core.parts import MAX_PARTS, definitions, instructions, parts_of
from otel_callbacks.core.redact import MASK
from otel_callbacks.core.scrub import Scrub
from tests.planted import alnum
from tests.schemas import check

IMAGE = b"\x89PNG" + b"\0" * 297
PNG = base64.b64encode(IMAGE).decode()
OF_SIZE = {len(data): data for data in (IMAGE, b"12", b"123", b"1234", b"12345")}
URL = "https://host.example/cat.png"


def scrub() -> Scrub:
    return Scrub(100_000, 10_000, ())


def read(*blocks: Any) -> list[dict[str, Any]]:
    parts = parts_of(list(blocks), scrub())
    check("gen_ai.input.messages", [{"role": "user", "parts": parts}])
    return parts


def with_digest(part: dict[str, Any]) -> dict[str, Any]:
    """Return what is said of media whose bytes are at hand."""
    data = OF_SIZE.get(part.get("size_bytes", 0))
    return part if data is None else {**part, "sha256": sha256(data).hexdigest()}


MEDIA: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("openai", {"type": "image_url", "image_url": {"url": URL}}, {"type": "uri", "modality": "image", "uri": URL}),
    ("openai, text", {"type": "image_url", "image_url": URL}, {"type": "uri", "modality": "image", "uri": URL}),
    ("openai, data", {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
     {"type": "blob", "modality": "image", "content": "", "mime_type": "image/png", "size_bytes": 301}),
    ("openai, audio", {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
     {"type": "blob", "modality": "audio", "content": "", "mime_type": "audio/wav", "size_bytes": 301}),
    ("openai, file", {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PNG}"}},
     {"type": "blob", "modality": "document", "content": "", "mime_type": "application/pdf", "size_bytes": 301}),
    ("openai, file id", {"type": "file", "file": {"file_id": "file-1"}}, {"type": "file", "modality": "document", "file_id": "file-1"}),
    ("responses", {"type": "input_image", "image_url": URL}, {"type": "uri", "modality": "image", "uri": URL}),
    ("responses, file", {"type": "input_file", "file_id": "file-1"}, {"type": "file", "modality": "document", "file_id": "file-1"}),
    ("responses, file url", {"type": "input_file", "file_url": URL}, {"type": "uri", "modality": "document", "uri": URL}),
    ("anthropic", {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": PNG}},
     {"type": "blob", "modality": "image", "content": "", "mime_type": "image/jpeg", "size_bytes": 301}),
    ("anthropic, url", {"type": "document", "source": {"type": "url", "url": URL}}, {"type": "uri", "modality": "document", "uri": URL}),
    ("anthropic, file", {"type": "document", "source": {"type": "file", "file_id": "f"}}, {"type": "file", "modality": "document", "file_id": "f"}),
    ("anthropic, text", {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}}, {"type": "text", "content": "words"}),
    ("google", {"type": "media", "mime_type": "video/mp4", "file_uri": "gs://b/v.mp4"},
     {"type": "uri", "modality": "video", "uri": "gs://b/v.mp4", "mime_type": "video/mp4"}),
    ("google, data", {"type": "media", "mime_type": "audio/mp3", "data": b"123"},
     {"type": "blob", "modality": "audio", "content": "", "mime_type": "audio/mp3", "size_bytes": 3}),
    ("google, inline", {"inline_data": {"mime_type": "image/png", "data": b"1234"}},
     {"type": "blob", "modality": "image", "content": "", "mime_type": "image/png", "size_bytes": 4}),
    ("google, file", {"type": "file_data", "file_data": {"file_uri": "gs://b/x.pdf", "mime_type": "application/pdf"}},
     {"type": "uri", "modality": "document", "uri": "gs://b/x.pdf", "mime_type": "application/pdf"}),
    ("bedrock", {"image": {"format": "png", "source": {"bytes": b"12345"}}},
     {"type": "blob", "modality": "image", "content": "", "mime_type": "image/png", "size_bytes": 5}),
    ("bedrock, document", {"document": {"format": "pdf", "name": "n", "source": {"bytes": memoryview(b"12")}}},
     {"type": "blob", "modality": "document", "content": "", "mime_type": "application/pdf", "size_bytes": 2}),
    ("langchain v0", {"type": "image", "source_type": "base64", "mime_type": "image/png", "data": PNG},
     {"type": "blob", "modality": "image", "content": "", "mime_type": "image/png", "size_bytes": 301}),
    ("langchain v0, url", {"type": "audio", "source_type": "url", "url": URL}, {"type": "uri", "modality": "audio", "uri": URL}),
    ("langchain v0, id", {"type": "file", "source_type": "id", "id": "f-1"}, {"type": "file", "modality": "document", "file_id": "f-1"}),
    ("langchain v0, text", {"type": "file", "source_type": "text", "text": "words"}, {"type": "text", "content": "words"}),
    ("langchain v1", {"type": "image", "base64": PNG, "mime_type": "image/webp"},
     {"type": "blob", "modality": "image", "content": "", "mime_type": "image/webp", "size_bytes": 301}),
    ("langchain v1, url", {"type": "video", "url": URL, "mime_type": "video/mp4"}, {"type": "uri", "modality": "video", "uri": URL, "mime_type": "video/mp4"}),
    ("langchain v1, id", {"type": "image", "file_id": "f"}, {"type": "file", "modality": "image", "file_id": "f"}),
    ("langchain v1, text", {"type": "text-plain", "text": "words", "mime_type": "text/plain"}, {"type": "text", "content": "words"}),
    ("langchain v1, pdf", {"type": "file", "base64": PNG, "mime_type": "application/pdf"},
     {"type": "blob", "modality": "document", "content": "", "mime_type": "application/pdf", "size_bytes": 301}),
    ("nested without end", {"type": "image", "source": {"image": {"source": {"image": {"file": {"source": {"image": {"source": {"url": URL}}}}}}}}},
     {"type": "image", "keys": ["source"]}),
    ("nothing", {"type": "image"}, {"type": "image", "keys": []}),
]  # fmt: skip


@pytest.mark.parametrize(("block", "expected"), [row[1:] for row in MEDIA], ids=[row[0] for row in MEDIA])
def test_media_is_said_by_reference(block: dict[str, Any], expected: dict[str, Any]) -> None:
    assert read(block) == [with_digest(expected)]


OTHERS: list[tuple[str, Any, dict[str, Any] | None]] = [
    ("text", "words", {"type": "text", "content": "words"}),
    ("a text block", {"type": "text", "text": "words"}, {"type": "text", "content": "words"}),
    ("a text of bedrock", {"text": "words"}, {"type": "text", "content": "words"}),
    ("output_text", {"type": "output_text", "text": "words"}, {"type": "text", "content": "words"}),
    ("refusal", {"type": "refusal", "refusal": "no"}, {"type": "text", "content": "no"}),
    ("thinking", {"type": "thinking", "thinking": "hm", "signature": "x"}, {"type": "reasoning", "content": "hm"}),
    ("reasoning", {"type": "reasoning", "reasoning": "hm"}, {"type": "reasoning", "content": "hm"}),
    ("reasoning of responses", {"type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}, {"text": "b"}]},
     {"type": "reasoning", "content": "a\nb"}),
    ("reasoning of bedrock", {"type": "reasoning_content", "reasoning_content": {"text": "hm", "signature": "x"}}, {"type": "reasoning", "content": "hm"}),
    ("tool_use", {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}, {"type": "tool_call", "name": "f", "id": "t", "arguments": {"a": 1}}),
    ("function_call", {"type": "function_call", "id": "x", "call_id": "c", "name": "f", "arguments": '{"a": [1]}'},
     {"type": "tool_call", "name": "f", "id": "c", "arguments": {"a": [1]}}),
    ("invalid arguments", {"type": "tool_call", "name": "f", "args": '{"a": '}, {"type": "tool_call", "name": "f", "arguments": '{"a": '}),
    ("a call without a name", {"type": "tool_call", "args": None}, {"type": "tool_call", "name": ""}),
    ("toolUse", {"toolUse": {"toolUseId": "t", "name": "f", "input": {}}}, {"type": "tool_call", "name": "f", "arguments": {}}),
    ("tool_result", {"type": "tool_result", "tool_use_id": "t", "content": "done"}, {"type": "tool_call_response", "response": "done", "id": "t"}),
    ("tool_result of blocks", {"type": "tool_result", "content": [{"type": "text", "text": "done"}]},
     {"type": "tool_call_response", "response": [{"type": "text", "content": "done"}]}),
    ("toolResult", {"toolResult": {"toolUseId": "t", "content": {"a": 1}}}, {"type": "tool_call_response", "response": {"a": 1}, "id": "t"}),
    ("server_tool_use", {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
     {"type": "server_tool_call", "name": "web_search", "server_tool_call": {"type": "web_search", "arguments": {"query": "q"}}, "id": "s"}),
    ("web_search_call", {"type": "web_search_call", "id": "w", "action": {"type": "search"}},
     {"type": "server_tool_call", "name": "web_search", "server_tool_call": {"type": "web_search", "arguments": {"type": "search"}}, "id": "w"}),
    ("code_interpreter_call", {"type": "code_interpreter_call"},
     {"type": "server_tool_call", "name": "code_interpreter", "server_tool_call": {"type": "code_interpreter"}}),
    ("web_search_tool_result", {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"url": "u"}]},
     {"type": "server_tool_call_response", "server_tool_call_response": {"type": "web_search", "output": [{"url": "u"}]}, "id": "s"}),
    ("server_tool_result", {"type": "server_tool_result", "tool_call_id": "s", "output": "x"},
     {"type": "server_tool_call_response", "server_tool_call_response": {"type": "server", "output": "x"}, "id": "s"}),
    ("an empty result", {"type": "server_tool_result"}, {"type": "server_tool_call_response", "server_tool_call_response": {"type": "server"}}),
    ("compaction", {"type": "compaction", "content": "shorter"}, {"type": "compaction", "content": "shorter"}),
    ("compaction without words", {"type": "compaction", "id": "c"}, {"type": "compaction", "id": "c"}),
    ("what is not known", {"type": "hologram", "secret": "canary", "x": 1}, {"type": "hologram", "keys": ["secret", "x"]}),
    ("what has no type", {"cachePoint": {"type": "default"}}, {"type": "unknown", "keys": ["cachePoint"]}),
    ("bytes", b"123", {"type": "blob", "modality": "document", "content": "", "size_bytes": 3}),
    ("nothing", {}, None),
    ("None", None, None),
    ("a number", 5, None),
]  # fmt: skip


@pytest.mark.parametrize(("block", "expected"), [row[1:] for row in OTHERS], ids=[row[0] for row in OTHERS])
def test_blocks_become_parts(block: Any, expected: dict[str, Any] | None) -> None:
    assert read(block) == ([] if expected is None else [with_digest(expected)])


def test_calls_that_the_message_has_beside_its_content_are_not_said_twice() -> None:
    blocks = [{"type": "text", "text": "a"}, {"type": "tool_use", "name": "f", "input": {}}]
    assert [part["type"] for part in parts_of(blocks, scrub(), calls=False)] == ["text"]
    assert parts_of({"type": "text", "text": "alone"}, scrub()) == [{"type": "text", "content": "alone"}]


def test_many_blocks_are_counted() -> None:
    under = scrub()
    parts = parts_of(["x"] * (MAX_PARTS + 5), under)
    assert len(parts) == MAX_PARTS + 1
    assert parts[-1] == {"type": "omitted", "count": 5}
    assert under.cut


def test_when_the_budget_is_spent_nothing_more_is_read() -> None:
    under = Scrub(10, 100, ())
    assert [part["content"][:10] for part in parts_of(["x" * 20, "y", "z"], under)] == ["x" * 10]
    assert under.cut
    assert under.spent


def test_twenty_megabytes_of_an_image_are_not_read() -> None:
    data = "A" * 20_000_000
    (part,) = read({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}})
    assert part["size_bytes"] == 15_000_000
    assert "sha256" not in part
    assert len(str(part)) < 200


def image(url: str) -> dict[str, Any]:
    (part,) = read({"type": "image_url", "image_url": {"url": url}})
    return part


def test_the_same_picture_has_the_same_digest_however_it_is_handed_over() -> None:
    data = bytes(range(256)) * 40 + b"?>?>"  # both alphabets, and padding
    plain, of_urls = base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()
    assert {"+", "/", "="} <= set(plain)
    assert {"-", "_"} <= set(of_urls)
    blocks: list[Any] = [data, bytearray(data), memoryview(data), memoryview(data + data)[::1][: len(data)]]
    blocks += [{"type": "image", "base64": coded} for coded in (plain, of_urls)]
    blocks += [
        {"type": "image_url", "image_url": f"{start};base64,{plain}"} for start in ("data:image/png", "DATA:")
    ]
    for _ in range(2):  # computed, and remembered
        assert {part["sha256"] for part in read(*blocks)} == {sha256(data).hexdigest()}


def test_what_is_no_base64_has_no_digest() -> None:
    for text in (PNG + "!" * 4, PNG[:-1], "ä" * 40, ""):
        assert "sha256" not in image("data:image/png;base64," + text)


def test_a_data_url_that_is_percent_encoded_is_counted_as_it_is() -> None:
    part = image("data:image/svg+xml,%3Csvg%3E%3C/svg%3E")
    assert part == {
        "type": "blob",
        "modality": "image",
        "content": "",
        "mime_type": "image/svg+xml",
        "size_bytes": 11,
    }


def test_digests_are_of_the_first_megabytes_that_are_read_and_the_sizes_of_all() -> None:
    data = b"x" * (digest.MAX_BYTES // 2)
    parts = read(data, {"type": "image", "data": data}, b"one more", {"type": "image", "data": b""})
    assert [part["size_bytes"] for part in parts] == [len(data), len(data), 8, 0]
    assert ["sha256" in part for part in parts] == [True, True, False, False]
    assert "sha256" in read(b"one more")[0]


def test_few_digests_are_remembered_and_nothing_of_the_media() -> None:
    digest._known.clear()
    for number in range(digest.MAX_KNOWN + 10):
        digest.of_bytes(str(number).encode())
    assert 10 <= len(digest._known) <= digest.MAX_KNOWN
    assert {len(found) for found in digest._known.values()} == {64}


def test_a_key_in_a_media_url_is_masked() -> None:
    (part,) = read(
        {"type": "image_url", "image_url": {"url": f"https://u:{alnum(20)}@host/x?sig={alnum(30)}"}}
    )
    assert alnum(20) not in part["uri"]
    assert part["uri"].count(MASK) == 2


def test_a_secret_that_streams_have_left_in_two_texts_is_masked() -> None:
    key = "sk-proj-" + alnum(40)
    parts = read(
        "my key: " + key[:20],
        {"type": "text", "text": key[20:]},
        {"type": "image_url", "image_url": {"url": URL}},
    )
    assert [part["type"] for part in parts] == ["text", "uri"]
    assert key[:20] not in parts[0]["content"]
    assert key[20:] not in parts[0]["content"]
    assert MASK in parts[0]["content"]


DEFINED: list[tuple[str, Any, Any]] = [
    ("openai", [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {}}}], [{"type": "function", "name": "f"}]),
    ("responses", [{"type": "function", "name": "f", "parameters": {}}, {"type": "web_search"}],
     [{"type": "function", "name": "f"}, {"type": "web_search", "name": "web_search"}]),
    ("anthropic", [{"name": "f", "input_schema": {}}, {"type": "web_search_20250305", "name": "web_search"}],
     [{"type": "function", "name": "f"}, {"type": "web_search_20250305", "name": "web_search"}]),
    ("google", [{"function_declarations": [{"name": "f"}, {"name": "g"}]}, {"google_search": {}}],
     [{"type": "function", "name": "f"}, {"type": "function", "name": "g"}, {"type": "function", "name": "google_search"}]),
    ("bedrock", [{"toolSpec": {"name": "f", "inputSchema": {}}}], [{"type": "function", "name": "f"}]),
    ("nothing", [], None),
    ("odd", [None, 5, {}], None),
    ("no list", "tools", None),
]  # fmt: skip


@pytest.mark.parametrize(("tools", "expected"), [row[1:] for row in DEFINED], ids=[row[0] for row in DEFINED])
def test_of_tool_definitions_type_and_name_are_said(tools: Any, expected: Any) -> None:
    found = definitions(tools, Scrub(1_000, 1_000, ()))
    assert found == expected
    if found is not None:
        check("gen_ai.tool.definitions", found)


def test_instructions_are_texts() -> None:
    assert instructions("Be kind.", scrub()) == [{"type": "text", "content": "Be kind."}]
    assert instructions([{"type": "text", "text": "a"}, {"type": "image", "url": URL}], scrub()) == [
        {"type": "text", "content": "a"}
    ]
    assert instructions(None, scrub()) is None
    assert instructions(5, scrub()) is None
    check("gen_ai.system_instructions", instructions("Be kind.", scrub()))
