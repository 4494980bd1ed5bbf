"""A person who has no trace id finds the demo's traces by searching: in Jaeger by service, in Tempo by TraceQL."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.readers import read_jaeger
from tests.e2e.sources import SOURCES, Source
from tests.e2e.web import get, until

if TYPE_CHECKING:
    from tests.e2e.backends import Running
    from tests.e2e.demo import DemoRun

OPERATION = "gen_ai.operation.name"
DOCUMENTED = Path(__file__).parents[2] / "grafana" / "README.md"
QUERIES = re.findall(r"```traceql\n(.*?)\n```", DOCUMENTED.read_text(), re.DOTALL)


def test_jaeger_lists_the_demo_as_a_service(demo: DemoRun, backends: Running) -> None:
    def services() -> list[str]:
        found: list[str] = (
            get(backends.url("JAEGER_QUERY_PORT") + "/api/v3/services").json().get("services", [])
        )
        return found

    until(lambda: _service(demo) in services() or None, f"service {_service(demo)!r}")


def test_jaeger_finds_every_trace_by_its_service(demo: DemoRun, backends: Running) -> None:
    until(
        lambda: set(demo.traces) <= _jaeger_traces(demo, backends) or None, "search result with every trace"
    )


def test_jaeger_finds_the_traces_with_a_chat_and_no_others(demo: DemoRun, backends: Running) -> None:
    chats = demo.traces_with(OPERATION, "chat")
    assert chats

    def found() -> bool | None:
        return _jaeger_traces_with(demo, backends, OPERATION, "chat") & set(demo.traces) == chats or None

    until(found, f"search result of exactly {chats}")


def test_tempo_finds_the_traces_with_a_chat_and_no_others(demo: DemoRun, backends: Running) -> None:
    chats = demo.traces_with(OPERATION, "chat")
    assert chats
    query = f'{{ span.{OPERATION} = "chat" }}'
    until(lambda: _tempo_search(query, backends) & set(demo.traces) == chats or None, f"result of {query}")


def test_tempo_finds_agents_by_the_tool_that_failed_below_them(demo: DemoRun, backends: Running) -> None:
    """A query about the tree: it finds nothing where parents are wrong."""
    query = f'{{ span.{OPERATION} = "invoke_agent" }} >> {{ span.{OPERATION} = "execute_tool" && status = error }}'
    until(lambda: _tempo_search(query, backends) & set(demo.traces) or None, f"result of {query}")


@pytest.mark.parametrize("query", QUERIES)
def test_tempo_answers_every_query_that_the_documentation_gives(
    query: str, demo: DemoRun, backends: Running
) -> None:
    until(lambda: _tempo_search(query, backends) & set(demo.traces) or None, f"result of {query}")


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_a_trace_that_was_never_sent_is_not_found(source: Source, backends: Running) -> None:
    """Otherwise finding would prove nothing."""
    assert source.read(backends, "00000000000000000000000000000bad") == []


def test_a_search_for_what_was_never_sent_finds_nothing(demo: DemoRun, backends: Running) -> None:
    assert _jaeger_traces_with(demo, backends, OPERATION, "no such operation") == set()
    assert _tempo_search(f'{{ span.{OPERATION} = "no such operation" }}', backends) == set()


def _service(demo: DemoRun) -> str:
    (name,) = {
        str(value) for span in demo.spans for key, (_, value) in span.resource if key == "service.name"
    }
    return name


def _jaeger_traces(demo: DemoRun, backends: Running) -> set[str]:
    """The service's traces, by the API that answers in OTLP."""
    now = datetime.now(UTC)
    answer = get(
        backends.url("JAEGER_QUERY_PORT") + "/api/v3/traces",
        {
            "query.service_name": _service(demo),
            "query.start_time_min": (now - timedelta(hours=1)).isoformat(),
            "query.start_time_max": (now + timedelta(minutes=1)).isoformat(),
            # 2.13 answers 500 without the first; newer versions call it the second.
            "query.num_traces": 1000,
            "query.search_depth": 1000,
            "query.raw_traces": "true",  # see sources.py about remarks
        },
    )
    assert answer.status in {200, 404}, answer
    return {span.trace_id for span in read_jaeger(answer.json())} if answer.status == 200 else set()


def _jaeger_traces_with(demo: DemoRun, backends: Running, key: str, value: str) -> set[str]:
    """The service's traces with that attribute, by the API of Jaeger's page: the other ignores attributes in 2.13."""
    answer = get(
        backends.url("JAEGER_QUERY_PORT") + "/api/traces",
        {"service": _service(demo), "tags": json.dumps({key: value}), "limit": 1000, "raw": "true"},
    )
    assert answer.status == 200, answer
    return {trace["traceID"] for trace in answer.json()["data"]}


def _tempo_search(query: str, backends: Running) -> set[str]:
    now_s = int(time.time())
    answer = get(
        backends.url("TEMPO_HTTP_PORT") + "/api/search",
        {"q": query, "start": now_s - 3600, "end": now_s + 60, "limit": 1000},
    )
    assert answer.status == 200, answer
    # Tempo leaves out the leading zeros of an id here.
    return {trace["traceID"].zfill(32) for trace in answer.json()["traces"]}
