"""The conventions' JSON schemas of content, and a validator for as much of JSON Schema as they use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

_DATA: Final = Path(__file__).parent / "contract" / "genai_semconv_messages.json"
SCHEMAS: Final[dict[str, Any]] = json.loads(_DATA.read_text())["message_schemas"]
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "object": (dict,),
    "array": (list,),
    "number": (int, float),
    "null": (type(None),),
}
_KNOWN: Final = {
    "$defs", "$ref", "additionalProperties", "anyOf", "const", "default", "deprecated", "description", "enum", "format", "items",
    "properties", "required", "title", "type",
}  # fmt: skip


def errors(value: object, schema: dict[str, Any], root: dict[str, Any], at: str = "$") -> list[str]:
    """Return what is wrong with *value*."""
    assert set(schema) <= _KNOWN, set(schema) - _KNOWN
    reference = schema.get("$ref")
    if reference is not None:
        if not reference.startswith("#/$defs/"):  # a JSON Schema itself
            return [] if isinstance(value, dict) else [f"{at}: no schema"]
        return errors(value, root["$defs"][reference.removeprefix("#/$defs/")], root, at)
    found: list[str] = []
    if "anyOf" in schema and all(errors(value, option, root, at) for option in schema["anyOf"]):
        found.append(f"{at}: none of {len(schema['anyOf'])} is met by {value!r}")
    if "const" in schema and value != schema["const"]:
        found.append(f"{at}: {value!r} is not {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{at}: {value!r} is not in {schema['enum']}")
    kind = schema.get("type")
    if kind is not None and (not isinstance(value, _TYPES[kind]) or isinstance(value, bool)):
        return [*found, f"{at}: {value!r} is no {kind}"]
    if isinstance(value, dict):
        found += [f"{at}: no {name}" for name in schema.get("required", ()) if name not in value]
        for name, inner in schema.get("properties", {}).items():
            if name in value:
                found += errors(value[name], inner, root, f"{at}.{name}")
    if isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            found += errors(item, schema["items"], root, f"{at}[{number}]")
    return found


_OF_PART: Final = {
    "text": "TextPart", "reasoning": "ReasoningPart", "tool_call": "ToolCallRequestPart", "blob": "BlobPart", "file": "FilePart",
    "uri": "UriPart", "tool_call_response": "ToolCallResponsePart", "server_tool_call": "ServerToolCallPart",
    "server_tool_call_response": "ServerToolCallResponsePart", "compaction": "CompactionPart",
}  # fmt: skip


def check(attribute: str, value: object) -> None:
    """Fail unless *value* is as the schema of the content *attribute* has it; a part also as that of its own type."""
    name = attribute.replace("gen_ai.", "gen-ai-").replace(".", "-").replace("_", "-") + ".json"
    schema = SCHEMAS[name]
    assert errors(value, schema, schema) == []
    if name in {"gen-ai-input-messages.json", "gen-ai-output-messages.json"}:
        assert isinstance(value, list)
        for message in value:
            for part in message["parts"]:
                if part["type"] in _OF_PART:
                    assert errors(part, schema["$defs"][_OF_PART[part["type"]]], schema) == []


def read(attribute: str, said: object) -> Any:
    """Return what a span's *attribute* says, checked."""
    assert isinstance(said, str)
    value = json.loads(said, parse_constant=lambda name: (_ for _ in ()).throw(ValueError(name)))
    check(attribute, value)
    return value
