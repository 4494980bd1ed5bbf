"""The handler that prints: what a call with ``verbose`` shows.

Rules for this file: standard output and nothing else; content is printed as it is, so this is for a terminal.
"""

# ruff: noqa: ARG002 - the events' signatures, not this file's

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from otel_callbacks.callbacks.base import BaseCallbackHandler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_callbacks.callbacks.types import AgentAction, AgentFinish

# ECMA-48 SGR codes; the names and shades are those that LangChain's users know.
_COLOURS: Final[Mapping[str, str]] = {
    "blue": "36;1",
    "yellow": "33;1",
    "pink": "38;5;200",
    "green": "32;1",
    "red": "31;1",
}
_BOLD: Final = "1"


def _styled(text: str, code: str | None) -> str:
    return text if code is None else f"\033[{code}m{text}\033[0m"


class StdOutCallbackHandler(BaseCallbackHandler):
    """Prints the beginning and end of chains, an agent's thoughts, tools' outputs and text."""

    def __init__(self, color: str | None = None) -> None:
        self.color = color

    def _write(self, text: str, color: str | None = None, end: str = "") -> None:
        colour = color or self.color
        sys.stdout.write(_styled(text, None if colour is None else _COLOURS.get(colour)) + end)
        sys.stdout.flush()

    def on_chain_start(self, serialized: Mapping[str, Any] | None, inputs: Any, **kwargs: Any) -> None:
        """Print the chain's name."""
        known = serialized or {}
        name = kwargs.get("name") or known.get("name") or (known.get("id") or ["<unknown>"])[-1]
        sys.stdout.write("\n\n" + _styled(f"> Entering new {name} chain...", _BOLD) + "\n")

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        """Print that the chain is done."""
        sys.stdout.write("\n" + _styled("> Finished chain.", _BOLD) + "\n")

    def on_agent_action(self, action: AgentAction, color: str | None = None, **kwargs: Any) -> None:
        """Print what the agent thought."""
        self._write(action.log, color)

    def on_agent_finish(self, finish: AgentFinish, color: str | None = None, **kwargs: Any) -> None:
        """Print what the agent concluded."""
        self._write(finish.log, color, "\n")

    def on_tool_end(
        self,
        output: Any,
        color: str | None = None,
        observation_prefix: str | None = None,
        llm_prefix: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Print the tool's output between the prefixes."""
        if observation_prefix is not None:
            self._write(f"\n{observation_prefix}")
        self._write(str(output), color)
        if llm_prefix is not None:
            self._write(f"\n{llm_prefix}")

    def on_text(self, text: str, color: str | None = None, end: str = "", **kwargs: Any) -> None:
        """Print the text."""
        self._write(text, color, end)
