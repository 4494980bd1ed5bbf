"""Values that satisfy a JSON schema: how the simulated model fills in arguments and structured answers.

What the question offers is used first (names, numbers, a member of an enumeration); otherwise the value is made up
from the seed. Knows what Pydantic writes for tools: local ``$ref``, ``anyOf``, ``enum``, ``const``, ``default``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from otel_callbacks.demo.loose import JsonObject, as_list, as_object, as_text

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DEPTH = 8
"""A schema may refer to itself; deeper than this a value is null."""

_NAME = re.compile(r"(?<![.?!]\s)(?<!^)\b[A-Z][\w-]*")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


class Filler:
    """Fills in one schema from one question; each name and number of the question is used once, in order."""

    def __init__(self, root: JsonObject, question: str, label: str) -> None:
        self._root = root
        self._question = question
        self._label = label
        self._names = _NAME.findall(question)
        self._numbers = [float(number) for number in _NUMBER.findall(question)]

    def fill(self, schema: JsonObject, depth: int = 0) -> Any:
        """Return a value for *schema*; an object gets its required members, or all if it requires none."""
        schema = self._resolve(schema)
        if depth > MAX_DEPTH:
            return None
        if "const" in schema:
            return schema["const"]
        if options := as_list(schema.get("enum")):
            return next((option for option in options if str(option) in self._question), options[0])
        if options := as_list(schema.get("anyOf")) or as_list(schema.get("oneOf")):
            return self.fill(as_object(options[0]), depth + 1)
        return self._by_type(schema, depth)

    def _resolve(self, schema: JsonObject) -> JsonObject:
        """Follow a local reference such as ``#/$defs/City``."""
        reference = as_text(schema.get("$ref"))
        if not reference.startswith("#/"):
            return schema
        found = self._root
        for step in reference[2:].split("/"):
            found = as_object(found.get(step))
        return found

    def _by_type(self, schema: JsonObject, depth: int) -> Any:
        makers: dict[str, Callable[[JsonObject, int], Any]] = {
            "object": self._object,
            "array": lambda schema, depth: [self.fill(as_object(schema.get("items")), depth + 1)],
            "integer": lambda schema, depth: int(self._number(schema, depth)),
            "number": self._number,
            "boolean": lambda _schema, _depth: True,
            "null": lambda _schema, _depth: None,
        }
        kind = as_text(schema.get("type")) or ("object" if "properties" in schema else "string")
        return makers[kind](schema, depth) if kind in makers else self._name()

    def _object(self, schema: JsonObject, depth: int) -> JsonObject:
        properties = as_object(schema.get("properties"))
        wanted = as_list(schema.get("required")) or list(properties)
        return {name: self.fill(as_object(properties.get(name)), depth + 1) for name in wanted}

    def _name(self) -> str:
        return self._names.pop(0) if self._names else self._label

    def _number(self, schema: JsonObject, _depth: int) -> float:
        if self._numbers:
            return self._numbers.pop(0)
        least = schema.get("minimum", 1)
        return float(least) if isinstance(least, int | float) else 1.0
