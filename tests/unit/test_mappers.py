"""Mappers: what they are told, what they may do, and how those of other packages are found by name."""

from __future__ import annotations

import dataclasses
import pickle
import uuid
from importlib.metadata import EntryPoint, EntryPoints
from typing import TYPE_CHECKING, Any

import pytest

import otel_callbacks
from otel_callbacks import OTelCallbackHandler, plugins
from otel_callbacks.errors import ConfigurationError
from otel_callbacks.export import setup

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from otel_callbacks import RunView

not_callable = "a text"


def stamp(run: RunView, attributes: dict[str, Any]) -> None:
    """A mapper as a package would provide it."""
    attributes["stamped"] = f"{run.kind} {run.name}"


def stamp_again(_run: RunView, attributes: dict[str, Any]) -> None:
    attributes["stamped"] += " twice"


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What packages provide, as far as these tests are concerned."""
    provided = {
        "stamp": [f"{__name__}:stamp"],
        "again": [f"{__name__}:stamp_again"],
        "text": [f"{__name__}:not_callable"],
        "lost": ["no.such.module:mapper"],
        "two": ["a:b", "c:d"],
    }
    entries = [
        EntryPoint(name, value, plugins.GROUP) for name, values in provided.items() for value in values
    ]

    def entry_points(**wanted: Any) -> EntryPoints:
        return EntryPoints(entries).select(**wanted)

    monkeypatch.setattr(plugins, "entry_points", entry_points)


def run(handler: OTelCallbackHandler, parent: uuid.UUID | None = None) -> uuid.UUID:
    run_id = uuid.uuid4()
    handler.on_tool_start({"name": "search"}, "x", run_id=run_id, parent_run_id=parent)
    handler.on_tool_end("y", run_id=run_id)
    return run_id


def said(exporter: InMemorySpanExporter) -> dict[str, Any]:
    (span,) = exporter.get_finished_spans()
    return dict(span.attributes or {})


def test_a_mapper_is_told_what_a_run_is_and_changes_what_its_span_says(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    views: list[RunView] = []

    def mapper(run: RunView, attributes: dict[str, Any]) -> None:
        views.append(run)
        assert run.attributes is attributes
        attributes["own"] = [1, 2]
        del attributes["langchain.run.kind"]

    parent = uuid.uuid4()
    run_id = run(OTelCallbackHandler(provider, mappers=[mapper], raise_errors=True), parent)
    (view,) = views
    (span,) = exporter.get_finished_spans()
    assert (view.kind, view.name, view.operation) == ("tool", "search", "execute_tool")
    assert (view.id, view.parent_id, view.started_ns) == (str(run_id), str(parent), span.start_time)
    assert said(exporter)["own"] == [1, 2]
    assert "langchain.run.kind" not in said(exporter)


def test_the_view_is_small_and_cannot_be_changed(provider: TracerProvider) -> None:
    views: list[RunView] = []
    run(OTelCallbackHandler(provider, mappers=[lambda run, _: views.append(run)]))
    names = [field.name for field in dataclasses.fields(otel_callbacks.RunView)]
    assert names == ["kind", "id", "parent_id", "name", "operation", "started_ns", "attributes"]
    assert views[0].parent_id is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        views[0].name = "other"  # type: ignore[misc] # what is tested


def test_mappers_of_packages_are_chosen_by_name_and_come_before_the_handlers_own(
    provider: TracerProvider, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_CALLBACKS_MAPPERS", "stamp, again")

    def own(_: Any, attributes: dict[str, Any]) -> None:
        attributes["stamped"] += " and once more"

    run(OTelCallbackHandler(provider, mappers=[own], raise_errors=True))
    assert said(exporter)["stamped"] == "tool search twice and once more"


def test_nothing_is_loaded_that_was_not_named(
    provider: TracerProvider, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "entry_points", None)
    run(OTelCallbackHandler(provider, raise_errors=True))
    assert "stamped" not in said(exporter)


def test_a_copy_of_a_handler_in_another_process_calls_each_mapper_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_CALLBACKS_MAPPERS", "stamp")
    monkeypatch.setattr(plugins, "mapper", lambda _: len)  # something that pickles
    handler = OTelCallbackHandler()
    expected: Any = (len,)
    assert handler._policy.mappers == expected
    assert pickle.loads(pickle.dumps(handler))._policy.mappers == expected  # noqa: S301 - our own


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ("absent", "no installed package provides a mapper 'absent'.*Known.*again, lost, stamp, text, two"),
        ("stamp,lost", r"'lost' \(no.such.module:mapper\) cannot be imported: ModuleNotFoundError"),
        ("text", "'text' .* is not callable"),
        ("two", "several packages provide a mapper 'two': a:b, c:d"),
    ],
)
def test_a_mapper_that_cannot_be_had_stops_configure_and_is_a_logged_line_in_a_handler(
    names: str,
    complaint: str,
    provider: TracerProvider,
    exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        setup.configure(env={"OTEL_CALLBACKS_MAPPERS": names, "OTEL_TRACES_EXPORTER": "none"})
    monkeypatch.setenv("OTEL_CALLBACKS_MAPPERS", names)
    run(OTelCallbackHandler(provider, raise_errors=True))
    (record,) = caplog.records
    assert "The handler goes without it." in record.getMessage()
    assert ("stamped" in said(exporter)) is names.startswith("stamp")
