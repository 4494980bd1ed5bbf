"""Tokens to a web client while the model says them: FastAPI, server-sent events, and a run that ends when the client leaves.

    python examples/stream_to_web.py [port [seconds between tokens]]
    curl -N 'http://127.0.0.1:8000/answer?question=What+is+a+span'

Close the client in the middle: the run is cancelled, the model's connection closed, and the span says "cancelled".
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import suppress

import otel_callbacks
from otel_callbacks.callbacks import AsyncIteratorCallbackHandler, for_langchain
from otel_callbacks.demo import ModelServer, Pace

try:
    import uvicorn
    from fastapi import FastAPI
    from fastapi.responses import StreamingResponse
    from langchain_openai import ChatOpenAI
except ImportError as error:
    sys.exit(f"This example needs {error.name}: pip install fastapi uvicorn langchain-openai")

app = FastAPI()
models = ModelServer()
traces = otel_callbacks.OTelCallbackHandler()


@app.get("/answer")
async def answer(question: str) -> StreamingResponse:
    """Answer *question*, one event for each token."""
    return StreamingResponse(events(question), media_type="text/event-stream")


async def events(question: str) -> AsyncIterator[str]:
    """Run the model, and yield what it says as server-sent events."""
    tokens = AsyncIteratorCallbackHandler()
    model = ChatOpenAI(
        model="simulated-small",
        base_url=models.base_url,
        api_key="none",  # type: ignore[arg-type] # takes text too
        streaming=True,
        stream_usage=True,
    )
    run = asyncio.create_task(model.ainvoke(question, {"callbacks": [traces, for_langchain(tokens)]}))
    try:
        async for token in tokens.aiter():
            yield f"data: {json.dumps(token)}\n\n"
        yield "event: done\ndata: {}\n\n"
    finally:
        # The server closes this generator when the client is gone. After the last token the run is over anyway.
        run.cancel()
        with suppress(asyncio.CancelledError):
            await run


if __name__ == "__main__":
    port, pause_s = [*sys.argv[1:], *("8000", "0.05")[len(sys.argv) - 1 :]][:2]
    models.pace = Pace(chunk_s=float(pause_s))  # the simulated model takes its time
    # The trees go to standard error. Without otlp=False they go to a collector too.
    with models, otel_callbacks.configure(console=True, otlp=False):
        uvicorn.run(app, host="127.0.0.1", port=int(port), ws="none", log_level="warning")
