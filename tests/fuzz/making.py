"""Values out of bytes: each byte string is one value, nearby strings are similar values, so that a fuzzer can feel its way."""

from __future__ import annotations

from typing import Any, Final

from tests.property import hostile

KEYS: Final = (
    "id", "name", "type", "role", "content", "text", "messages", "generations", "message", "llm_output", "usage_metadata", "input_tokens",
    "response_metadata", "generation_info", "finish_reason", "tool_calls", "args", "arguments", "function", "input", "kwargs", "model",
    "image_url", "url", "source", "data", "mime_type", "base64", "file_id", "token_usage", "lc_agent_name", "thread_id", "ls_provider",
    "langgraph_path", "langgraph_triggers", "tools", "stop", "reasoning", "page_content", "metadata", "score", "update", "status", "password",
)  # fmt: skip
TEXTS: Final = (
    "", "text", "ai", "human", "tool", "image", "image_url", "tool_use", "tool_result", "reasoning", "data:image/png;base64,QUJD", "stop",
    "{", '{"a": [1]}', "a\ud800b", "\0\n\u2028", "x" * 300, "sk-" + "a" * 40, "Bearer " + "b" * 30, "12", "run-1", "last", "-1", "NaN",
)  # fmt: skip
NUMBERS: Final = (0, 1, -1, 12.0, float("nan"), float("inf"), 1 << 63, -(1 << 70), True, 0.5)
ODD: Final = (hostile.hostile, hostile.cyclic_dict, hostile.cyclic_list, hostile.released, lambda: hostile.Point(1, "y"), lambda: hostile.Text("t"), lambda: hostile.Colour.RED, lambda: range(3), object, lambda: ValueError)  # fmt: skip
MAX_DEPTH: Final = 6


class Maker:
    """Reads *data* from its beginning; at its end, everything is None."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self.odd: list[Any] = []
        """What was made whose code nobody may run."""

    def byte(self) -> int:
        """Return the next byte."""
        if self._at >= len(self._data):
            return 0
        self._at += 1
        return self._data[self._at - 1]

    @property
    def is_over(self) -> bool:
        """Whether all is read."""
        return self._at >= len(self._data)

    def rest(self) -> bytes:
        """Return what is left."""
        found = self._data[self._at :]
        self._at = len(self._data)
        return found

    def text(self) -> str:
        """Return a text: a known one, or the next few bytes."""
        chosen = self.byte()
        if chosen < 192:
            return TEXTS[chosen % len(TEXTS)]
        size = chosen - 192
        found = self._data[self._at : self._at + size]
        self._at += size
        return found.decode("utf-8", "surrogateescape")

    def value(self, depth: int = MAX_DEPTH) -> Any:  # noqa: PLR0911 - one for each kind
        """Return anything."""
        kind = self.byte() % 9
        if kind == 0 or self.is_over:
            return None
        if kind == 1:
            return NUMBERS[self.byte() % len(NUMBERS)]
        if kind == 2:
            return self.text()
        if kind == 3:
            return self.text().encode("utf-8", "surrogatepass")
        if kind == 4:
            self.odd.append(ODD[self.byte() % len(ODD)]())
            return self.odd[-1]
        if depth <= 0:
            return []
        if kind == 5:
            return tuple(self.value(depth - 1) for _ in range(self.byte() % 4))
        if kind == 6:
            return [self.value(depth - 1) for _ in range(self.byte() % 5)]
        return {self.key(): self.value(depth - 1) for _ in range(self.byte() % 6)}

    def key(self) -> Any:
        """Return a key: nearly always one that means something."""
        chosen = self.byte()
        return KEYS[chosen % len(KEYS)] if chosen < 240 else (chosen, None, 1.5, b"k", "own")[chosen % 5]
