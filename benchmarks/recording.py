"""What LangChain really sends: the callbacks of one run of ``prompt | model | parser``, taken down by a handler.

Rules for this file: arguments are recorded, never written by hand, so that a new version of LangChain is measured with its own
shapes; the model is the real ``langchain-openai`` client, of the demo's server on loopback.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable

from otel_callbacks.demo.models import Models, Service
from otel_callbacks.demo.server import ModelServer

INPUTS: Final = {"topic": "tides", "question": "What makes the tide?"}
TAGS: Final = ["support"]
METADATA: Final = {"user_id": "u-1", "session_id": "s-1"}
EVENTS_OF_A_CHAIN: Final = (
    "on_chain_start",  # the sequence
    "on_chain_start",  # the prompt
    "on_chain_end",
    "on_chat_model_start",
    "on_llm_end",
    "on_chain_start",  # the parser
    "on_chain_end",
    "on_chain_end",
)
EVENT_PREFIX: Final = "on_"
_TOKEN_EVENT: Final = "on_llm_new_token"  # noqa: S105 - a token of text


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a handler's method, as the dispatcher made it."""

    event: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @property
    def is_start(self) -> bool:
        """Whether the call opens a run."""
        return self.event.endswith("_start")

    @property
    def run_id(self) -> UUID:
        """The run that the call is about."""
        run_id = self.kwargs["run_id"]
        assert type(run_id) is UUID
        return run_id

    def fresh(self, ids: Mapping[UUID | None, UUID | None]) -> Call:
        """Return the call for another run: new ids, and containers of its own as every run has them."""
        kwargs = dict(self.kwargs)
        for key in ("run_id", "parent_run_id"):
            kwargs[key] = ids[kwargs.get(key)]
        for key in ("tags", "metadata"):
            if kwargs.get(key) is not None:
                kwargs[key] = kwargs[key].copy()
        return Call(self.event, self.args, kwargs)


@dataclass(frozen=True, slots=True)
class Recording:
    """Everything that the cases replay.

    Attributes:
        calls: The eight calls of one ``invoke``: start and end of sequence, prompt, chat model and parser.
        token: One ``on_llm_new_token`` in the middle of a stream.
    """

    calls: tuple[Call, ...]
    token: Call

    def fresh_ids(self) -> dict[UUID | None, UUID | None]:
        """Return new run ids for the recorded ones; None stays None."""
        return {None: None, **{call.run_id: uuid4() for call in self.calls if call.is_start}}

    def fresh(self) -> tuple[Call, ...]:
        """Return the calls of another run of the same chain."""
        ids = self.fresh_ids()
        return tuple([call.fresh(ids) for call in self.calls])

    def start_of(self, event: str) -> Call:
        """Return the first start of that *event*, made a root."""
        call = next(call for call in self.calls if call.event == event)
        return Call(call.event, call.args, {**call.kwargs, "parent_run_id": None})


class Recorder(BaseCallbackHandler):
    """Takes down every call that is made of it."""

    run_inline = True

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith(EVENT_PREFIX):
            return super().__getattribute__(name)

        def take_down(*args: Any, **kwargs: Any) -> None:
            self.calls.append(Call(name, args, kwargs))

        return take_down


def chain_of(model: Any) -> Runnable[Any, str]:
    """Return the measured chain around *model*."""
    messages = [("system", "You answer questions about {topic}."), ("human", "{question}")]
    chain: Runnable[Any, str] = ChatPromptTemplate.from_messages(messages) | model | StrOutputParser()
    return chain


def record() -> Recording:
    """Run the chain once by ``invoke`` and once by ``stream``, and return what a handler was told."""
    with ModelServer() as server, Models(Service(server.base_url)) as models:
        chain = chain_of(models.chat(temperature=0.2, max_tokens=256))
        invoked, streamed = Recorder(), Recorder()
        chain.invoke(INPUTS, {"callbacks": [invoked], "tags": TAGS, "metadata": METADATA})
        for _ in chain.stream(INPUTS, {"callbacks": [streamed]}):
            pass
    assert tuple(call.event for call in invoked.calls) == EVENTS_OF_A_CHAIN
    tokens = [call for call in streamed.calls if call.event == _TOKEN_EVENT and call.kwargs.get("token")]
    return Recording(tuple(invoked.calls), tokens[len(tokens) // 2])
