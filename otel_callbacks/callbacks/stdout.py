"""The handlers that print: what a call with ``verbose`` shows, and tokens as they come.

Rules for this file: content is printed as it is, so this is for a terminal. What is told, and how, is LangChain's to the
letter: somebody may read it by program.
"""

# ruff: noqa: ARG002 - the events' signatures, not this file's

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, ClassVar, Final

from otel_callbacks.callbacks.base import BaseCallbackHandler
from otel_callbacks.callbacks.types import content_text

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
_BOLD: Final = "\033[1m"
_BOLD_ITALIC: Final = "\033[1;3m"
_PLAIN: Final = "\033[0m"


def _coloured(text: str, name: str | None) -> str:
    code = _COLOURS.get(name) if name is not None else None
    return text if code is None else f"\033[{code}m{_BOLD_ITALIC}{text}{_PLAIN}"


class NarratingHandler(BaseCallbackHandler):
    """Tells the beginning and end of chains, an agent's thoughts, tools' outputs and text; ``tell`` says to whom."""

    styled: ClassVar[bool] = True
    """Whether headings are bold and tools' outputs in colour."""

    color: str | None = None

    def tell(self, text: str) -> None:
        """Bring *text* to whoever reads."""
        raise NotImplementedError

    def on_chain_start(self, serialized: Mapping[str, Any] | None, inputs: Any, **kwargs: Any) -> None:
        """Tell the chain's name."""
        known = serialized or {}
        name = kwargs.get("name") or known.get("name") or (known.get("id") or ["<unknown>"])[-1]
        self.tell("\n\n" + self._heading(f"> Entering new {name} chain..."))

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        """Tell that the chain is done."""
        self.tell("\n" + self._heading("> Finished chain."))

    def on_agent_action(self, action: AgentAction, color: str | None = None, **kwargs: Any) -> None:
        """Tell what the agent thought."""
        self.tell(_coloured(action.log, color or self.color))

    def on_agent_finish(self, finish: AgentFinish, color: str | None = None, **kwargs: Any) -> None:
        """Tell what the agent concluded."""
        self.tell(_coloured(finish.log, color or self.color) + "\n")

    def on_tool_end(
        self,
        output: Any,
        color: str | None = None,
        observation_prefix: str | None = None,
        llm_prefix: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Tell the tool's output between the prefixes."""
        before = "" if observation_prefix is None else f"\n{observation_prefix}"
        after = "" if llm_prefix is None else f"\n{llm_prefix}"
        self.tell(before + _coloured(str(output), (color or self.color) if self.styled else None) + after)

    def on_text(self, text: str, color: str | None = None, end: str = "", **kwargs: Any) -> None:
        """Tell the text."""
        self.tell(_coloured(text, color or self.color) + end)

    def _heading(self, text: str) -> str:
        return f"{_BOLD}{text}{_PLAIN}\n" if self.styled else f"{text}\n"


class StdOutCallbackHandler(NarratingHandler):
    """Prints the beginning and end of chains, an agent's thoughts, tools' outputs and text."""

    def __init__(self, color: str | None = None) -> None:
        self.color = color

    def tell(self, text: str) -> None:
        """Print *text*."""
        _print(text)


class StreamingStdOutCallbackHandler(BaseCallbackHandler):
    """Prints the tokens of streaming models as they come."""

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        """Print the token's text."""
        _print(content_text(token))


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
