"""The demo as a user runs it: a process of its own, its output, its file, and what the model server saw of it."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import json_format  # type: ignore[import-untyped]  # ships no types
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from otel_callbacks.demo import CUT, LABEL, RATE_LIMITED, Exchange, ModelServer
from otel_callbacks.demo.server import Step

if TYPE_CHECKING:
    from pathlib import Path

# Put before every other import of the process: what connects or resolves beyond loopback is written down and refused.
GUARD = """
import sys

LOOPBACK = ("127.", "::1", "localhost")

def guard(event, arguments):
    host = None
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    if host is not None and not str(host).startswith(LOOPBACK):
        with open({log!r}, "a") as log:
            log.write(f"{{event}} {{host}}\\n")
        raise OSError(f"no network in this test: {{host}}")

sys.addaudithook(guard)
with open({log!r}, "a") as log:
    log.write("guarded\\n")
"""

REQUESTS_SEEN = find_spec("opentelemetry.instrumentation") is not None
"""The oldest OpenTelemetry that we support is older than the instrumentation that the demo likes to have."""

needs_requests = pytest.mark.skipif(
    not REQUESTS_SEEN, reason="opentelemetry-instrumentation-httpx is not installed"
)

# Before 1.2.5 LangGraph let a caller's metadata replace the agent's own, which is how an agent is told from a graph.
AGENT_KNOWN = tuple(map(int, version("langgraph").split(".")[:3])) >= (1, 2, 5)
AGENT = "invoke_agent travel-agent" if AGENT_KNOWN else "invoke_workflow agent-demo"

TREES: list[Any] = [
    (
        AGENT,
        [
            ("model", [("chat simulated-small", [("POST", [])])]),
            ("tools", [("execute_tool get_weather", [])]),
            ("tools", [("execute_tool exchange_rate", [])]),
            ("model", [("chat simulated-small", [("POST", [])])]),
        ],
    ),
    (
        "invoke_workflow graph-demo",
        [
            ("cons", [("chat simulated-small", [("POST", [])])]),
            ("pros", [("chat simulated-small", [("POST", [])])]),
            ("verdict", [("chat simulated-small", [("POST", [])])]),
        ],
    ),
    (
        "load notes and answer",
        [
            ("POST", []),
            (
                "invoke_workflow retrieval-demo",
                [
                    (
                        "RunnableParallel<notes,question>",
                        [
                            ("RunnablePassthrough", []),
                            ("RunnableSequence", [("retrieval", [("POST", [])]), ("joined", [])]),
                        ],
                    ),
                    ("ChatPromptTemplate", []),
                    ("chat simulated-small", [("POST", [])]),
                    ("StrOutputParser", []),
                ],
            ),
        ],
    ),
    (
        "invoke_workflow stream-demo",
        [("ChatPromptTemplate", []), ("StrOutputParser", []), ("chat simulated-small", [("POST", [])])],
    ),
    (
        "retry-demo",
        [
            ("chat simulated-small:rate-limited", [("POST", [])]),
            ("chat simulated-small:rate-limited", [("POST", [])]),
        ],
    ),
]


@dataclass
class Demo:
    """One run of the demo."""

    code: int
    out: str
    err: str
    spans: list[dict[str, Any]] = field(default_factory=list)
    network: list[str] = field(default_factory=list)

    def span(self, identity: str) -> dict[str, Any]:
        return next(span for span in self.spans if span["spanId"] == identity)


def value_of(value: dict[str, Any]) -> Any:
    ((kind, inner),) = value.items()
    if kind == "arrayValue":
        return [value_of(each) for each in inner.get("values", [])]
    return int(inner) if kind == "intValue" else inner


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    return {each["key"]: value_of(each["value"]) for each in span.get("attributes", [])}


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def spans_of(path: Path) -> list[dict[str, Any]]:
    return [
        span
        for request in lines_of(path)
        for resource in request["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def run_demo(folder: Path, *arguments: str, before: str = "", **variables: str) -> Demo:
    """Run the demo in *folder* with nothing of OpenTelemetry's or OpenAI's in its environment but *variables*."""
    guard, log = folder / "guard", folder / "network.log"
    guard.mkdir(exist_ok=True)
    (guard / "sitecustomize.py").write_text(GUARD.format(log=str(log)), "utf-8")
    clean = {
        name: value
        for name, value in os.environ.items()
        if not re.match(r"(?i)OTEL_|OPENAI_|LANGSMITH_|LANGCHAIN_|NO_COLOR|FORCE_COLOR|.*_proxy$", name)
    }
    script = (
        f"import sys\n{before}\nfrom otel_callbacks.cli import main\nsys.exit(main(['demo', *sys.argv[1:]]))"
    )
    done = subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-W", "error", "-c", script, *arguments],
        cwd=folder,
        env=clean | {"PYTHONPATH": str(guard), "PYTHONIOENCODING": "utf-8"} | variables,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )
    network = log.read_text("utf-8").split("\n")
    assert network[0] == "guarded"
    return Demo(
        done.returncode,
        done.stdout,
        done.stderr,
        spans_of(folder / "otel-callbacks-demo.jsonl"),
        [line for line in network if line not in {"guarded", ""}],
    )


def tree_below(spans: list[dict[str, Any]], parent: str) -> list[Any]:
    children = [span for span in spans if span.get("parentSpanId", "") == parent]
    return sorted((span["name"], tree_below(spans, span["spanId"])) for span in children)


def in_order(tree: Any) -> Any:
    """Return *tree* with siblings sorted: which of two parallel branches comes first is nobody's promise."""
    return (tree[0], sorted(in_order(child) for child in tree[1] if REQUESTS_SEEN or child[0] != "POST"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def demo(folder: Path) -> Demo:
    """The demo as most people run it, in an environment that asks for LangSmith, after an earlier demo."""
    (folder / "otel-callbacks-demo.jsonl").write_text('{"resourceSpans": []}\n', "utf-8")
    langsmith = {"TRACING": "true", "API_KEY": "key", "ENDPOINT": "http://192.0.2.1"}
    return run_demo(folder, **{f"LANGSMITH_{name}": value for name, value in langsmith.items()})


@dataclass
class Witnessed:
    """A run of the demo against a server whose record the test can read, and that record."""

    demo: Demo
    exchanges: list[Exchange]

    def call_of(self, exchange: Exchange) -> dict[str, Any]:
        """The span below which the request was made."""
        return self.demo.span(self.demo.span(str(exchange.parent_span_id))["parentSpanId"])

    @property
    def answered(self) -> list[Exchange]:
        return [exchange for exchange in self.exchanges if exchange.response_id]


def witness(folder: Path, *steps: Step) -> Witnessed:
    with ModelServer() as server:
        server.script(*steps)
        models = ("--model", "simulated-small", "--embedding-model", "simulated-embedding")
        demo = run_demo(folder, "--base-url", server.base_url, *models, OPENAI_API_KEY="a-key")
        return Witnessed(demo, server.exchanges)


@pytest.fixture(scope="module")
def witnessed(tmp_path_factory: pytest.TempPathFactory) -> Witnessed:
    """A run whose first request is refused once, so that the client itself has to try again."""
    return witness(tmp_path_factory.mktemp("witnessed"), RATE_LIMITED)


def test_it_succeeds_and_has_nothing_to_complain_about(demo: Demo) -> None:
    assert (demo.code, demo.err) == (0, "")


def test_it_reaches_for_no_network_although_langsmith_is_asked_for(demo: Demo) -> None:
    assert demo.network == []


def test_the_spans_of_every_flow_are_nested_as_the_runs_were(demo: Demo) -> None:
    assert sorted(tree_below(demo.spans, "")) == sorted(in_order(tree) for tree in TREES)
    assert len({span["traceId"] for span in demo.spans}) == len(TREES)


def test_the_parallel_branches_overlap_in_time(demo: Demo) -> None:
    pros, cons, verdict = (
        next(span for span in demo.spans if span["name"] == name) for name in ("pros", "cons", "verdict")
    )
    starts, ends = (
        [int(span[key]) for span in (pros, cons)] for key in ("startTimeUnixNano", "endTimeUnixNano")
    )
    assert max(starts) < min(ends)
    assert max(ends) <= int(verdict["startTimeUnixNano"])


def test_the_tool_that_fails_and_the_call_that_is_refused_are_errors_and_nothing_else_is(demo: Demo) -> None:
    failed = [span for span in demo.spans if span.get("status", {}).get("code") == 2]
    assert sorted(span["name"] for span in failed) == [
        *(["POST"] if REQUESTS_SEEN else []),
        "chat simulated-small:rate-limited",
        "execute_tool exchange_rate",
    ]


def test_tags_and_metadata_are_attributes_of_the_root_run(demo: Demo) -> None:
    for span in (span for span in demo.spans if attributes(span).get("langchain.run.id")):
        found = attributes(span)
        assert found["langchain.metadata.user_id"] == "demo-user"
    stream = attributes(next(span for span in demo.spans if span["name"] == "invoke_workflow stream-demo"))
    assert stream["langchain.tags"] == ["demo", "stream"]
    assert stream["langchain.metadata.thread_id"] == stream["gen_ai.conversation.id"] == "demo-stream"


def test_the_streamed_call_knows_its_first_chunk(demo: Demo) -> None:
    known = [span for span in demo.spans if "gen_ai.response.time_to_first_chunk" in attributes(span)]
    assert [demo.span(span["parentSpanId"])["name"] for span in known] == ["invoke_workflow stream-demo"]


def test_the_output_shows_each_tree_below_its_heading_and_where_the_trace_went(demo: Demo) -> None:
    places = [demo.out.index(text) for text in (
        "1/5 agent", AGENT, "ConnectionError", "2/5 graph", "verdict", "3/5 retrieval",
        "load notes and answer", "4/5 stream", "stream-demo", "5/5 retry", "rate limit (429)", "otel-callbacks-demo.jsonl",
    )]  # fmt: skip
    assert places == sorted(places)
    assert demo.out.count(f"answer: {LABEL}") == len(TREES)


def test_output_that_is_not_a_terminal_has_no_colour(demo: Demo) -> None:
    assert "\x1b" not in demo.out


def test_the_file_is_otlp_json_lines(demo: Demo, folder: Path) -> None:
    path = folder / "otel-callbacks-demo.jsonl"
    spans = 0
    for line in lines_of(path):
        for resource in line["resourceSpans"]:
            for span in (span for scope in resource["scopeSpans"] for span in scope["spans"]):
                for key in {"traceId", "spanId", "parentSpanId"} & span.keys():
                    # OTLP's JSON has hex where protobuf's own has base64.
                    span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()
        parsed = json_format.ParseDict(line, TracesData())
        (name,) = (
            each.value.string_value
            for each in parsed.resource_spans[0].resource.attributes
            if each.key == "service.name"
        )
        assert name == "otel-callbacks-demo"
        spans += sum(len(scope.spans) for scope in parsed.resource_spans[0].scope_spans)
    assert spans == len(demo.spans) > 30


def test_a_second_demo_replaces_the_first_one_s_file(demo: Demo, folder: Path) -> None:
    assert demo.code == 0
    assert all(line["resourceSpans"] for line in lines_of(folder / "otel-callbacks-demo.jsonl"))


@needs_requests
def test_spans_say_what_the_server_sent(witnessed: Witnessed) -> None:
    assert (witnessed.demo.code, witnessed.demo.err) == (0, "")
    assert len(witnessed.answered) == 8
    for exchange in witnessed.answered:
        found = attributes(witnessed.call_of(exchange))
        assert exchange.usage is not None
        assert found["gen_ai.usage.input_tokens"] == exchange.usage.prompt_tokens
        assert found["gen_ai.usage.output_tokens"] == exchange.usage.completion_tokens
        assert found["gen_ai.request.model"] == exchange.model
        assert found["gen_ai.response.model"] == exchange.response_model
        # LangChain's client does not say the id of a streamed answer.
        assert found.get("gen_ai.response.id") == (None if exchange.streamed else exchange.response_id)
        reason = exchange.finish_reason
        assert found["gen_ai.response.finish_reasons"] in (
            [reason],
            ["tool_call"] if reason == "tool_calls" else [],
        )


def test_the_tools_that_ran_are_those_that_the_server_called_for(witnessed: Witnessed) -> None:
    calls = [call for exchange in witnessed.answered for call in exchange.tool_calls]
    spans = {attributes(span).get("gen_ai.tool.call.id"): span["name"] for span in witnessed.demo.spans}
    assert [spans[call.id] for call in calls] == [f"execute_tool {call.name}" for call in calls]
    assert len(calls) == 2


@needs_requests
def test_every_request_carried_the_trace_of_the_run_that_made_it(witnessed: Witnessed) -> None:
    assert len(witnessed.exchanges) == 11
    for exchange in witnessed.exchanges:
        assert witnessed.demo.span(str(exchange.parent_span_id))["traceId"] == exchange.trace_id
        of_model = exchange.path.endswith("completions")
        named = {"chat simulated-small"} if of_model else {"retrieval", "load notes and answer"}
        assert witnessed.call_of(exchange)["name"] in named


@needs_requests
def test_what_the_client_itself_tries_again_is_two_requests_of_one_call(witnessed: Witnessed) -> None:
    refused, answered = witnessed.exchanges[:2]
    assert (refused.status, answered.status) == (429, 200)
    assert witnessed.call_of(refused) == witnessed.call_of(answered)
    assert "code" not in witnessed.call_of(refused).get("status", {})


def test_a_real_model_is_announced_and_its_key_goes_nowhere_else(witnessed: Witnessed) -> None:
    assert "A real model answers" in witnessed.demo.out
    assert {exchange.headers["authorization"] for exchange in witnessed.exchanges} == {"Bearer a-key"}
    assert "a-key" not in witnessed.demo.out + json.dumps(witnessed.demo.spans)


def test_a_flow_that_fails_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    demo = witness(tmp_path, CUT, CUT, CUT).demo  # as often as the client tries
    assert (demo.code, demo.err) == (1, "")
    assert demo.out.count("no answer: ") == 1
    assert demo.out.count(f"answer: {LABEL}") == len(TREES) - 1


@pytest.fixture(scope="module")
def unheard(tmp_path_factory: pytest.TempPathFactory) -> tuple[Demo, Path, str]:
    """A run that exports to where nobody listens, the file that it was told to write, and where that is."""
    folder = tmp_path_factory.mktemp("unheard")
    with ModelServer() as closed:
        nobody = closed.base_url
    variables = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": nobody.replace("//", "//user:pass@")}
    hasty = "from otel_callbacks.demo import run\nrun.FLUSH_S = 0.2"
    demo = run_demo(
        folder, "--file", "mine.jsonl", before=hasty, OTEL_EXPORTER_OTLP_TIMEOUT="200", **variables
    )
    return demo, folder / "mine.jsonl", nobody


def test_an_endpoint_that_nobody_listens_on_is_said_and_is_no_success(
    unheard: tuple[Demo, Path, str],
) -> None:
    demo, _, nobody = unheard
    assert demo.code == 1
    assert f"Could not send everything to {nobody}" in demo.out
    assert "user:pass" not in demo.out + demo.err


def test_with_an_endpoint_the_traces_are_named_and_only_the_file_asked_for_is_written(
    unheard: tuple[Demo, Path, str],
) -> None:
    demo, mine, _ = unheard
    named = set(re.findall(r"^  \w+ +([0-9a-f]{32})$", demo.out, re.MULTILINE))
    assert named == {span["traceId"] for span in spans_of(mine)}
    assert len(named) == len(TREES)
    assert [path.name for path in mine.parent.glob("*.jsonl")] == ["mine.jsonl"]


@pytest.mark.parametrize("missing", ["langgraph", "langchain_openai"])
def test_a_missing_extra_is_one_line_with_the_command_that_installs_it(tmp_path: Path, missing: str) -> None:
    demo = run_demo(tmp_path, before=f"sys.modules[{missing!r}] = None")
    assert (demo.code, demo.out) == (1, "")
    name = missing.replace("_", "-")
    assert (
        demo.err
        == f"otel-callbacks: the demo needs {name}. Install it with: pip install 'otel-callbacks[demo]'\n"
    )


def test_without_the_http_instrumentation_the_tree_has_no_requests(tmp_path: Path) -> None:
    demo = run_demo(tmp_path, before="sys.modules['opentelemetry.instrumentation.httpx'] = None")
    assert demo.code == 0
    assert "pip install opentelemetry-instrumentation-httpx" in demo.out
    assert {span["name"] for span in demo.spans} & {"POST"} == set()
    assert len(demo.spans) > 25


@pytest.mark.parametrize(
    ("arguments", "variables", "complaint"),
    [
        (["--file", "no/such/folder/t.jsonl"], {}, "no/such/folder"),
        ([], {"OTEL_SDK_DISABLED": "true"}, "OTEL_SDK_DISABLED"),
        ([], {"OTEL_EXPORTER_OTLP_ENDPOINT": "nonsense://x"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ],
)
def test_what_the_user_can_mend_is_one_line(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], complaint: str
) -> None:
    demo = run_demo(tmp_path, *arguments, **variables)
    assert (demo.code, demo.out) == (1, "")
    assert demo.err.startswith("otel-callbacks: ")
    assert demo.err.count("\n") == 1
    assert complaint in demo.err
