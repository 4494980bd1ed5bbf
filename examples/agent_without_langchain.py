"""An agent without LangChain: functions, decorators, one handler; the tree of its runs is printed at the end.

    python examples/agent_without_langchain.py ["your question"]

The model is the demo's server, asked over HTTP as any OpenAI-compatible one would be. Nothing but this package is needed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from http.client import HTTPResponse
from typing import Any
from urllib.request import Request, urlopen

import otel_callbacks
from otel_callbacks.callbacks import (
    AIMessage,
    BaseMessage,
    CallbackManager,
    Document,
    HumanMessage,
    ToolMessage,
    chat_model,
    retriever,
    tool,
)
from otel_callbacks.demo import ModelServer

MODEL = "simulated-small"
QUESTION = "What is the weather in Oslo, and what is the population there?"
NOTES = ["Oslo is the capital of Norway.", "Bergen has more rain than Oslo.", "Spans are nested."]
server = ModelServer()


@tool
def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"rain in {city}"


@tool
def population(city: str) -> int:
    """Tell the population of a city."""
    raise LookupError(f"nobody has counted {city}")


TOOLS = {"weather": weather, "population": population}


@retriever("notes")
def search(question: str) -> list[Document]:
    """Return the notes that share a word with *question*."""
    words = {word.strip("?,.") for word in question.split()}
    return [Document(note) for note in NOTES if words & set(note.split())]


@chat_model(MODEL, provider="openai", temperature=0)
def decide(messages: list[BaseMessage]) -> AIMessage:
    """Ask the model what is to be done."""
    answer = json.load(ask(messages, tools=list(map(described, TOOLS))))
    message, usage = answer["choices"][0]["message"], answer["usage"]
    return AIMessage(
        message["content"] or "",
        tool_calls=[
            {
                "name": call["function"]["name"],
                "args": json.loads(call["function"]["arguments"]),
                "id": call["id"],
                "type": "tool_call",
            }
            for call in message.get("tool_calls") or ()
        ],
        usage_metadata={
            "input_tokens": usage["prompt_tokens"],
            "output_tokens": usage["completion_tokens"],
            "total_tokens": usage["total_tokens"],
        },
        response_metadata={"model_name": answer["model"]},
        id=answer["id"],
    )


@chat_model(MODEL, provider="openai")
def answer(messages: list[BaseMessage]) -> Iterator[str]:
    """Let the model speak: every item is a token, and the run lasts until the last one is read."""
    for line in ask(messages, stream=True):
        if line.startswith(b"data: {"):
            for choice in json.loads(line.removeprefix(b"data: "))["choices"]:
                if text := choice["delta"].get("content"):
                    yield text


def agent(question: str, manager: CallbackManager) -> None:
    """Answer *question* in one run, printing the words as they come."""
    with manager.chain("agent", question, metadata={"thread_id": "example"}) as run:
        notes = search(question)
        messages: list[BaseMessage] = [
            HumanMessage(" ".join([question, *(note.page_content for note in notes)]))
        ]
        decision = decide(messages)
        messages.append(decision)
        # Threads know what is around them if they are given a copy of the context.
        with ThreadPoolExecutor() as pool:
            results = [pool.submit(copy_context().run, use, call) for call in decision.tool_calls]
        messages += [result.result() for result in results]
        said = ""
        for token in answer(messages):
            print(token, end="", flush=True)
            said += token
        print()
        run.end(said)


def use(call: Any) -> ToolMessage:
    """Call a tool; what goes wrong in it is for the model to read."""
    try:
        return ToolMessage(str(TOOLS[call["name"]](**call["args"])), tool_call_id=call["id"])
    except LookupError as error:
        return ToolMessage(str(error), tool_call_id=call["id"], status="error")


def ask(messages: list[BaseMessage], **parameters: Any) -> HTTPResponse:
    """Send a chat completion's request."""
    body = {"model": MODEL, "messages": list(map(as_openai, messages)), **parameters}
    url = f"{server.base_url}/chat/completions"
    response: HTTPResponse = urlopen(  # noqa: S310 - our own server's address
        Request(url, json.dumps(body).encode(), {"content-type": "application/json"})  # noqa: S310 - likewise
    )
    return response


def as_openai(message: BaseMessage) -> dict[str, Any]:
    """Return *message* as the API wants it."""
    match message:
        case ToolMessage():
            return {"role": "tool", "content": message.content, "tool_call_id": message.tool_call_id}
        case AIMessage():
            calls = [
                {
                    "id": call["id"],
                    "type": "function",
                    "function": {"name": call["name"], "arguments": json.dumps(call["args"])},
                }
                for call in message.tool_calls
            ]
            return {"role": "assistant", "content": message.content, "tool_calls": calls}
        case _:
            return {"role": "user", "content": message.content}


def described(name: str) -> dict[str, Any]:
    """Return a tool as the model is told of it."""
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    function = {"name": name, "description": TOOLS[name].__doc__, "parameters": parameters}
    return {"type": "function", "function": function}


if __name__ == "__main__":
    # The tree goes to standard error. Without otlp=False it goes to a collector too.
    with server, otel_callbacks.configure(console=True, otlp=False):
        manager = CallbackManager.configure([otel_callbacks.OTelCallbackHandler()])
        agent(" ".join(sys.argv[1:]) or QUESTION, manager)
