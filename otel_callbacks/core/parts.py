"""The blocks that a message is made of, in every provider's and LangChain's own forms, as the conventions' message parts.

Rules for this file: fields are read, nothing is called; media is said by reference (kind, type, size, digest), its bytes are
never kept; of a block that is not known, its type and its keys are said.
"""
# The types of what is read here are unknown by nature.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, TypeAlias

from otel_callbacks.core import digest, values
from otel_callbacks.core.reading import byte_count, either, field, first, mapping, sequence
from otel_callbacks.core.redact import secrets
from otel_callbacks.core.scrub import Scrub
from otel_callbacks.core.values import string

Part: TypeAlias = dict[str, Any]
MAX_PARTS: Final = 256  # of one message
_MAX_JOINED: Final = (
    65_536  # characters of several texts in which a secret is looked for that goes from one into another
)
_TEXTS: Final = frozenset({"text", "input_text", "output_text"})
_NAMED: Final = ("id", "name", "mime_type", "file_id")
_BYTES: Final = (bytes, bytearray, memoryview)


def parts_of(content: object, scrub: Scrub, *, calls: bool = True) -> list[Part]:
    """Return the parts of a message's content: text, or blocks; without *calls*, blocks that ask for tools are left out."""
    text = string(content)
    if text is not None:
        return [text_part(text, scrub)]
    blocks = (content,) if type(content) is dict else sequence(content)
    read = _joined(blocks[:MAX_PARTS]) if len(blocks) > 1 else blocks
    found = [_known(part, scrub) for block in read if (part := _part(block, scrub, calls=calls)) is not None]
    if len(blocks) > MAX_PARTS:
        scrub.cut = True
        found.append({"type": "omitted", "count": len(blocks) - MAX_PARTS})
    return found


def _joined(blocks: Sequence[Any]) -> Sequence[Any]:
    """Return *blocks*, texts next to each other as one where a secret goes from one into the next, as streams leave it."""
    found: list[Any] = []
    for is_text, group in groupby(blocks, lambda block: _text_of(block) is not None):
        several = list(group)
        texts = [_text_of(block) or "" for block in several] if is_text else []
        whole = "".join(texts)
        if len(texts) > 1 and len(whole) <= _MAX_JOINED and secrets(whole) != "".join(map(secrets, texts)):
            several = [whole]
        found += several
    return found


def _text_of(block: Any) -> str | None:
    given = mapping(block)
    return string(given.get("text")) if string(given.get("type")) in _TEXTS else string(block)


def _known(part: Part, scrub: Scrub) -> Part:
    """Return *part*, the names and ids in it redacted as any text is."""
    for key in _NAMED:
        if key in part and type(part[key]) is str:
            part[key] = scrub.key(part[key])
    return part


def text_part(text: str, scrub: Scrub) -> Part:
    """Return a text as a part."""
    return {"type": "text", "content": scrub.say(text)}


def call_part(call: object, scrub: Scrub) -> Part:
    """Return a model's wish that a tool be called: LangChain's, or one of OpenAI's, Anthropic's and Google's own form."""
    function = field(call, "function")
    source = call if function is None else function
    part: Part = {"type": "tool_call", "name": values.short(field(source, "name"), 256) or ""}
    identifier = values.short(field(call, "id"), 256)
    called = values.short(
        field(call, "call_id"), 256
    )  # OpenAI's responses have both: this one, the tool's answer has
    if called or identifier:
        part["id"] = called or identifier
    for key in ("args", "arguments", "input"):
        arguments = field(source, key)
        if arguments is not None:
            part["arguments"] = scrub.whole(arguments)
            break
    return _known(part, scrub)


def response_part(identifier: object, content: object, scrub: Scrub) -> Part:
    """Return a tool's answer to a call as a part."""
    blocks = sequence(content)
    said = parts_of(blocks, scrub) if blocks else scrub.whole(content)
    part: Part = {"type": "tool_call_response", "response": said}
    call_id = values.short(identifier, 256)
    return _known({**part, "id": call_id} if call_id else part, scrub)


def _part(block: object, scrub: Scrub, *, calls: bool) -> Part | None:
    if scrub.spent:
        scrub.cut = True
        return None
    text = string(block)
    if text is not None:
        return text_part(text, scrub)
    if type(block) in _BYTES:
        return _blob("document", None, block, scrub)
    given = mapping(block)
    kind = string(given.get("type"))
    if kind is None:
        return _untyped(given, scrub)
    if kind in _CALLS:
        return call_part(given, scrub) if calls else None
    read = _READERS.get(kind) or (_server_call if kind.endswith("_call") else None)
    read = read or (_server_response if kind.endswith("_tool_result") else None)
    return _unknown(kind, given, scrub) if read is None else read(given, scrub)


def _untyped(given: Mapping[str, Any], scrub: Scrub) -> Part | None:
    """Answer for Bedrock's blocks, whose only key is their type."""
    for key, read in _BY_KEY.items():
        if key in given:
            return read(given, scrub)
    return _unknown("unknown", given, scrub) if given else None


def _unknown(kind: str, given: Mapping[str, Any], scrub: Scrub) -> Part:
    keys = [text for key in list(given)[:32] if (text := scrub.name(key, 64)) and text != "type"]
    return {"type": scrub.name(kind, 64) or "unknown", "keys": keys}


def _text(given: Mapping[str, Any], scrub: Scrub) -> Part:
    return text_part(string(given.get("text")) or string(given.get("refusal")) or "", scrub)


def _reasoning(given: Mapping[str, Any], scrub: Scrub) -> Part:
    inner = given.get("reasoning_content")
    texts = [
        text
        for source in (given, inner, *sequence(given.get("summary")), *sequence(given.get("content")))
        for key in ("reasoning", "thinking", "text")
        if (text := string(field(source, key))) is not None
    ]
    return {"type": "reasoning", "content": scrub.say("\n".join(texts) or string(inner) or "")}


def _tool_use(given: Mapping[str, Any], scrub: Scrub) -> Part:
    return call_part(mapping(given.get("toolUse")) or given, scrub)


def _tool_result(given: Mapping[str, Any], scrub: Scrub) -> Part:
    result = mapping(given.get("toolResult")) or given
    identifier = either(result.get("tool_use_id"), result.get("toolUseId"), result.get("tool_call_id"))
    return response_part(identifier, result.get("content"), scrub)


def _server_call(given: Mapping[str, Any], scrub: Scrub) -> Part:
    kind = string(given.get("type")) or ""
    name = scrub.name(given.get("name"), 256) or scrub.name(kind.removesuffix("_call"), 256) or ""
    call: Part = {"type": name}
    for key in ("args", "input", "arguments", "action", "queries", "code"):
        if given.get(key) is not None:
            call["arguments"] = scrub.whole(given[key])
            break
    return _with_id({"type": "server_tool_call", "name": name, "server_tool_call": call}, given.get("id"))


def _server_response(given: Mapping[str, Any], scrub: Scrub) -> Part:
    kind = (string(given.get("type")) or "").removesuffix("_result").removesuffix("_tool")
    response: Part = {"type": scrub.name(kind, 256) or ""}
    for key in ("output", "content"):
        if given.get(key) is not None:
            response["output"] = scrub.whole(given[key])
            break
    identifier = either(given.get("tool_call_id"), given.get("tool_use_id"))
    return _with_id({"type": "server_tool_call_response", "server_tool_call_response": response}, identifier)


def _compaction(given: Mapping[str, Any], scrub: Scrub) -> Part:
    text = string(given.get("content"))
    part: Part = (
        {"type": "compaction"} if text is None else {"type": "compaction", "content": scrub.say(text)}
    )
    return _with_id(part, given.get("id"))


def _with_id(part: Part, identifier: object) -> Part:
    known = values.short(identifier, 256)
    return {**part, "id": known} if known else part


# -- media ---------------------------------------------------------------------------------------------------------------

_MODALITIES: Final = ("image", "audio", "video")
_INNER: Final = (
    "image_url", "video_url", "source", "input_audio", "file", "inline_data", "inlineData", "file_data", "fileData",
    "image", "document", "video", "audio",
)  # fmt: skip
_DATA_KEYS: Final = ("base64", "data", "bytes", "file_data")
_URL_KEYS: Final = ("url", "file_uri", "fileUri", "uri", "image_url", "file_url")
_NESTED: Final = 8  # dicts in one block
_TYPE_KEYS: Final = ("mime_type", "media_type", "mimeType")


def _media(given: Mapping[str, Any], scrub: Scrub) -> Part:
    sources = _sources(given)
    media_type = next((found for source in sources for key in _TYPE_KEYS if (found := values.short(source.get(key), 128))), None)  # fmt: skip
    kind = string(given.get("type")) or next(iter(given), "")
    modality = next((name for name in _MODALITIES if name in kind), None)
    for source in sources:
        text = source.get("text")
        if string(text) is not None:  # a document in plain text
            return _text(source, scrub)
        for key in _DATA_KEYS:
            data = source.get(key)
            if type(data) in _BYTES or string(data) is not None:
                if string(source.get("type")) == "text":
                    return text_part(string(data) or "", scrub)
                return _data(data, modality, media_type or _format(source, sources, modality), scrub)
        for key in _URL_KEYS:
            url = string(source.get(key))
            if url is not None and url[:5].lower() == "data:":
                return _data(url, modality, media_type, scrub)
            if url is not None:
                return _reference("uri", "uri", scrub.say(url), modality, media_type)
        identifier = either(source.get("file_id"), source.get("fileId"))
        if identifier is None and string(source.get("source_type")) == "id":
            identifier = source.get("id")
        if string(identifier) is not None:
            return _reference("file", "file_id", values.short(identifier, 256), modality, media_type)
    return _unknown(kind, given, scrub)


def _sources(given: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the block and what is nested in it, the innermost last."""
    found = [given]
    for source in found:
        if len(found) < _NESTED:
            found += [inner for key in _INNER if (inner := mapping(source.get(key)))]
    return found


def _format(source: Mapping[str, Any], sources: list[Mapping[str, Any]], modality: str | None) -> str | None:
    for candidate in (source, *sources):
        form = values.short(candidate.get("format"), 32)
        if form:
            return f"{modality or 'application'}/{form}"
    return None


def _data(data: Any, modality: str | None, media_type: str | None, scrub: Scrub) -> Part:
    if type(data) in _BYTES:
        return _blob(modality or _modality(media_type), media_type, data, scrub)
    text: str = string(data) or ""
    start, coded = 0, True
    if text[:5].lower() == "data:":
        start = text.find(",", 0, 1_024) + 1
        coded = ";base64" in text[:start].lower()
        media_type = media_type or values.short(text[5:start].partition(";")[0].rstrip(","), 128)
    if coded:
        size = (len(text) - start) * 3 // 4 - text[-2:].count("=")
    else:  # percent-encoded
        size = len(text) - start - 2 * text.count("%", start)
    part = _reference("blob", "content", "", modality, media_type, size)
    if coded and scrub.may_digest(size) and (found := digest.of_base64(text, start, size)) is not None:
        part["sha256"] = found
    return part


def _blob(modality: str, media_type: str | None, data: Any, scrub: Scrub) -> Part:
    size = byte_count(data)
    part = _reference("blob", "content", "", modality, media_type, size)
    if size is None or not scrub.may_digest(size):
        return part
    return {**part, "sha256": digest.of_bytes(data)}


def _modality(media_type: str | None) -> str:
    kind = (media_type or "").partition("/")[0]
    return kind if kind in _MODALITIES else "document"


def _reference(
    kind: str,
    key: str,
    value: str | None,
    modality: str | None,
    media_type: str | None,
    size: int | None = None,
) -> Part:
    part: Part = {"type": kind, "modality": modality or _modality(media_type), key: value}
    if media_type:
        part["mime_type"] = media_type
    if size is not None:
        part["size_bytes"] = max(size, 0)  # its content is left out
    return part


_Reader: TypeAlias = Callable[[Mapping[str, Any], Scrub], Part]
_CALLS: Final = frozenset({"tool_use", "tool_call", "tool_call_chunk", "function_call", "invalid_tool_call"})
_READERS: Final[Mapping[str, _Reader]] = {
    **dict.fromkeys(("text", "input_text", "output_text", "refusal"), _text),
    **dict.fromkeys(("thinking", "reasoning", "reasoning_content"), _reasoning),
    "tool_result": _tool_result,
    **dict.fromkeys(("server_tool_use", "server_tool_call", "server_tool_call_chunk"), _server_call),
    "server_tool_result": _server_response,
    "compaction": _compaction,
    **dict.fromkeys(
        (
            "image", "audio", "video", "file", "document", "media", "text-plain", "image_url", "video_url", "input_image",
            "input_audio", "input_file", "inline_data", "file_data",
        ),
        _media,
    ),
}  # fmt: skip
_BY_KEY: Final[Mapping[str, _Reader]] = {
    "text": _text,
    "reasoning_content": _reasoning,
    "toolUse": _tool_use,
    "toolResult": _tool_result,
    **dict.fromkeys(("image", "document", "video", "audio", "inline_data", "inlineData", "file_data", "fileData"), _media),
}  # fmt: skip


def instructions(value: object, scrub: Scrub) -> list[Part] | None:
    """Return system instructions that a request has apart from its messages; None if it has none."""
    if value is None:
        return None
    return [part for part in parts_of(value, scrub) if part["type"] == "text"] or None


def definitions(tools: object, scrub: Scrub) -> list[Part] | None:
    """Return type and name of the tools that a request offers (conventions: no more than that by default)."""
    found: list[Part] = []
    for tool in sequence(tools)[:MAX_PARTS]:
        declared = sequence(field(tool, "function_declarations"))  # Google
        for given in declared or (tool,):
            inner = either(field(given, "function"), field(given, "toolSpec"))
            kind = values.short(field(given, "type"), 128) or "function"
            name = values.short(field(inner if inner is not None else given, "name"), 256)
            if name is None and first((given,)) is not None:
                name = values.short(next(iter(mapping(given)), None), 256) if kind == "function" else kind
            if name:
                found.append({"type": scrub.key(kind), "name": scrub.key(name)})
    return found or None
