"""Recording what each provider's LangChain package tells its callbacks: the real package, its real parser, a loopback server.

    uv venv /some/where && uv pip install langchain-openai langchain-anthropic ...   (`providers.py` names the packages)
    /some/where/bin/python -m tests.recordings.record_providers [provider ...]

Every provider's scenarios are played in four ways (``invoke``, ``stream`` and their asynchronous twins); what the callbacks
receive goes to ``<provider>.json``, with the package's version. The test suite needs none of the packages. What differs from
one run to the next (run ids, the server's port) is replaced by a constant, so recording again shows real changes only.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from langchain_core.callbacks import BaseCallbackHandler

from tests.recordings import wires
from tests.recordings.providers import PROVIDERS, Provider
from tests.recordings.wires import Answered, Asked

FOLDER: Final = Path(__file__).parent
PORT: Final = 8443  # what every recording says instead of the port that was free
WAYS: Final = ("invoke", "stream", "ainvoke", "astream")
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ADDRESS: Final = re.compile(r"0x[0-9a-f]{8,}")
_NIL: Final = "00000000-0000-4000-8000-000000000000"
# Ids that come from the wires stay.
_SENT: Final = frozenset(_UUID.findall("".join(path.read_text() for path in FOLDER.glob("wires/*.py"))))
_TOOL: Final = {
    "title": wires.TOOL,
    "description": "The weather in a city.",
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Where."}},
    "required": ["city"],
}


class Server(ThreadingHTTPServer):
    """Answers every request as *reply* says, in the scenario that is being played."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply: Callable[[Asked], Answered] | None = None
        self.scenario = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: Any = self.server
        answered = server.reply(Asked(server.scenario, self.path, json.loads(self._body() or b"{}")))
        self.send_response_only(answered.status)  # no date, no name of this server
        self.send_header("content-type", answered.content_type)
        for name, value in answered.headers.items():
            self.send_header(name, value)
        if len(answered.parts) == 1:
            self.send_header("content-length", str(len(answered.parts[0])))
        self.end_headers()
        for part in answered.parts:
            self.wfile.write(part)
            self.wfile.flush()

    def _body(self) -> bytes:
        length = self.headers.get("content-length")
        if length is not None:
            return self.rfile.read(int(length))
        body = b""
        while size := int(self.rfile.readline(), 16):  # chunked
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Recorder(BaseCallbackHandler):
    """Takes down one model run."""

    run_inline = True

    def __init__(self) -> None:
        self.said: dict[str, Any] = {}

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self._start("chat_model", serialized, kwargs)

    def on_llm_start(self, serialized: Any, prompts: Any, **kwargs: Any) -> None:
        self._start("llm", serialized, kwargs)

    def _start(self, kind: str, serialized: Any, kwargs: Mapping[str, Any]) -> None:
        taken = ("invocation_params", "options", "metadata", "tags", "name")
        given = {name: plain(kwargs[name]) for name in taken if name in kwargs}
        self.said = {"kind": kind, "serialized": plain(serialized), "start": given, "tokens": 0}

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.said["tokens"] += 1

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.said["result"] = _result(response)

    def on_llm_error(self, error: Any, **kwargs: Any) -> None:
        cls = type(error)
        about = {
            name: plain(value)
            for name in ("status_code", "code", "type", "body", "response")
            if type(value := getattr(error, name, None)) in (int, str, dict)
        }
        self.said["error"] = {"class": f"{cls.__module__}.{cls.__qualname__}", "message": str(error), **about}
        if kwargs.get("response") is not None:
            self.said["result"] = _result(kwargs["response"])


def _result(result: Any) -> dict[str, Any]:
    generations = [[_generation(item) for item in given] for given in result.generations]
    return {"generations": generations, "llm_output": plain(result.llm_output)}


def _generation(generation: Any) -> dict[str, Any]:
    said = {"class": type(generation).__name__, "generation_info": plain(generation.generation_info)}
    message = getattr(generation, "message", None)
    if message is None:
        return {**said, "text": generation.text}
    return {**said, "message": {"class": type(message).__name__, **plain(message.model_dump())}}


def plain(value: Any) -> Any:
    """Return *value* as JSON can say it; an object of no plain type is its class's name."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return f"<{type(value).__module__}.{type(value).__qualname__}>"


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def _filled(value: Any, url: str) -> Any:
    """Put the server's URL, and credentials that nobody made, where *value* asks for them."""
    if isinstance(value, Mapping):
        return {key: _filled(item, url) for key, item in value.items()}
    if value == "{credentials}":
        return _load("google.oauth2.credentials:Credentials")("not-a-token")
    return value.replace("{url}", url) if isinstance(value, str) else value


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    yield
    os.environ.clear()
    os.environ.update(before)


def _play(provider: Provider, server: Server, scenario: str, way: str) -> dict[str, Any]:
    """Return what the callbacks received of one call."""
    server.reply, server.scenario = provider.reply, scenario
    recorder = Recorder()
    make = dict(provider.make)
    if scenario == wires.CHOICES:
        make["n"] = 2
    model = _load(provider.cls)(**_filled(make, server.url))
    if provider.wrap:
        model = _load(provider.wrap)(llm=model)
    if scenario == wires.TOOLS:
        model = model.bind_tools([_TOOL])
    config = {"callbacks": [recorder]}

    async def stream() -> None:
        async for _ in model.astream("capital?", config, **provider.call):
            pass

    try:
        match way:
            case "invoke":
                model.invoke("capital?", config, **provider.call)
            case "stream":
                for _ in model.stream("capital?", config, **provider.call):
                    pass
            case "ainvoke":
                asyncio.run(model.ainvoke("capital?", config, **provider.call))
            case _:
                asyncio.run(stream())
    except Exception as error:
        if "error" not in recorder.said or scenario not in wires.STATUS:
            raise RuntimeError(f"{provider.cls} in {scenario}, {way}") from error
    return recorder.said


def _constant(said: Any, server: Server) -> Any:
    """Replace what is different in every run: the port, ids that the packages make, addresses of objects."""
    text = json.dumps(said).replace(f"127.0.0.1:{server.server_port}", f"127.0.0.1:{PORT}")
    text = _UUID.sub(lambda found: found[0] if found[0] in _SENT else _NIL, text)
    return json.loads(_ADDRESS.sub("0x0", text))


def record(name: str, server: Server) -> dict[str, Any]:
    """Return the recording of one provider: every scenario, and the ways of calling that gave the same."""
    provider = PROVIDERS[name]
    runs: list[dict[str, Any]] = []
    with _environment(_filled(provider.env, server.url)):
        for scenario in provider.scenarios:
            for way in WAYS if provider.asynchronous else WAYS[:2]:
                if scenario == wires.CHOICES and way.endswith("stream"):
                    continue  # LangChain merges the choices of a stream into one message
                said = _constant(_play(provider, server, scenario, way), server)
                same = next(
                    (run for run in runs if run["scenario"] == scenario and run["said"] == said), None
                )
                if same is not None:
                    same["ways"].append(way)
                else:
                    runs.append({"scenario": scenario, "ways": [way], "said": said})
    versions = {
        package: importlib.metadata.version(package) for package in ("langchain-core", provider.package)
    }
    return {"provider": name, "class": provider.wrap or provider.cls, "versions": versions, "runs": runs}


def main(names: list[str]) -> None:
    """Record the providers of these *names*, or all."""
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in names or PROVIDERS:
        recording = record(name, server)
        text = json.dumps(recording, indent=1, ensure_ascii=False, sort_keys=True)
        (FOLDER / f"{name}.json").write_text(text + "\n")
        sys.stdout.write(f"{name}: {len(recording['runs'])} runs\n")
    server.shutdown()


if __name__ == "__main__":
    main(sys.argv[1:])
