"""LangChain's and LangGraph's own runnables, models and tools with our managers in place of theirs: nothing changes.

In a process of its own, because the exchange has to come before LangGraph is imported.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

SCRIPT = """
import asyncio, json, sys
import langchain_core.callbacks.manager as theirs
import langchain_core.language_models, langchain_core.retrievers, langchain_core.runnables, langchain_core.tools
import otel_callbacks.callbacks as ours

exchanged = 0
if sys.argv[1] == "ours":
    names = [name for name in ours.__all__ if "Manager" in name and "Mixin" not in name]
    originals = {name: getattr(theirs, name) for name in names}
    for module in [m for name, m in sys.modules.items() if name.startswith("langchain_core")]:
        for name, original in originals.items():
            if vars(module).get(name) is original:
                setattr(module, name, getattr(ours, name))
                exchanged += 1

from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_core.tools import tool

class Log(ours.BaseCallbackHandler):
    run_inline = True
    def __init__(self):
        self.log, self.names = [], {}
    def on_chain_start(self, s, i, *, run_id, parent_run_id=None, name=None, tags=(), metadata=None, **kw):
        self.names[run_id] = name
        self.log.append(["chain", name, tags, self.names.get(parent_run_id), sorted(metadata)])
    def on_chain_end(self, o, *, run_id, **kw):
        self.log.append(["end", self.names[run_id]])
    def on_chat_model_start(self, s, m, *, parent_run_id, **kw):
        self.log.append(["model", self.names.get(parent_run_id)])
    def on_llm_new_token(self, token, **kw):
        self.log.append(["token", token])
    def on_llm_end(self, r, **kw):
        self.log.append(["answer", r.generations[0][0].text])
    def on_tool_start(self, s, i, *, run_id, parent_run_id, tool_call_id, **kw):
        self.log.append(["tool", s["name"], tool_call_id, self.names.get(parent_run_id)])
    def on_tool_end(self, o, **kw):
        self.log.append(["result", o.content])

class Model(GenericFakeChatModel):
    def bind_tools(self, *args, **kwargs):
        return self

@tool
def add(a: int) -> int:
    "Add one."
    return a + 1

def agent():
    call = {"name": "add", "args": {"a": 1}, "id": "1", "type": "tool_call"}
    return create_agent(Model(messages=iter([AIMessage("I add", tool_calls=[call]), AIMessage("it is 2")])), [add])

def chain():
    return RunnableLambda(lambda x: x) | RunnableParallel(m=Model(messages=iter([AIMessage("a b")])))

question = {"messages": [("user", "q")]}
logs = []

def config():
    logs.append(Log())
    return {"callbacks": [logs[-1]], "tags": ["x"], "metadata": {"k": 1}}

async def main():
    await agent().ainvoke(question, config())
    async for _ in agent().astream(question, config(), stream_mode="messages"):
        pass
    await chain().ainvoke("q", config())
    print(json.dumps([e["event"] async for e in chain().astream_events("q", config(), version="v2")]))

agent().invoke(question, config())
list(agent().stream(question, config(), stream_mode="messages"))
chain().invoke("q", config())
list(chain().stream("q", config()))
asyncio.run(main())
print(json.dumps([log.log for log in logs]))
print(exchanged > 5)
"""


def told(by: str) -> list[Any]:
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", SCRIPT, by], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [
        json.loads(line.lower() if line in {"True", "False"} else line) for line in done.stdout.splitlines()
    ]


def test_langchain_and_langgraph_run_on_our_managers_as_on_their_own() -> None:
    *theirs, untouched = told("theirs")
    *ours, exchanged = told("ours")
    assert (untouched, exchanged) == (False, True)
    assert all(log for log in theirs[1])
    assert ours == theirs
