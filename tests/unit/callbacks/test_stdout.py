"""The handlers that print."""

from __future__ import annotations

from typing import Any

import pytest

from otel_callbacks.callbacks import (
    AgentAction,
    AsyncCallbackManager,
    CallbackManager,
    StreamingStdOutCallbackHandler,
)
from otel_callbacks.callbacks.stdout import NarratingHandler


def test_tokens_are_printed_as_they_come(capsys: pytest.CaptureFixture[str]) -> None:
    run = CallbackManager([StreamingStdOutCallbackHandler()]).on_llm_start({}, ["p"])[0]
    printed = []
    for token in ("one ", "", "two"):
        run.on_llm_new_token(token)
        printed.append(capsys.readouterr().out)
    assert printed == ["one ", "", "two"]


async def test_of_a_list_of_content_blocks_the_text_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    runs = await AsyncCallbackManager([StreamingStdOutCallbackHandler()]).on_chat_model_start({}, [[]])
    blocks: list[Any] = [{"type": "text", "text": "a"}, {"type": "image", "url": "u"}, "b"]
    await runs[0].on_llm_new_token(blocks)
    assert capsys.readouterr().out == "ab"


def test_whoever_narrates_elsewhere_says_where() -> None:
    with pytest.raises(NotImplementedError):
        NarratingHandler().on_agent_action(AgentAction("t", "in", "thinking"))
