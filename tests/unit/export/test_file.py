"""The file of OTLP JSON lines: appended, private, and never the application's problem."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export import SpanExportResult

from otel_callbacks.export import file as file_module
from otel_callbacks.export.file import JsonLinesExporter

from .conftest import make_span

SUCCESS, FAILURE = SpanExportResult.SUCCESS, SpanExportResult.FAILURE


def names(path: Path) -> list[str]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        span["name"]
        for line in lines
        for group in line["resourceSpans"]
        for scope in group["scopeSpans"]
        for span in scope["spans"]
    ]


def test_every_batch_is_a_line_that_is_there_at_once(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    exporter = JsonLinesExporter(path)
    assert exporter.export([make_span(name="a"), make_span(2, name="b")]) is SUCCESS
    assert len(path.read_text().splitlines()) == 1
    assert exporter.export([make_span(name="c\nd")]) is SUCCESS
    assert names(path) == ["a", "b", "c\nd"]
    assert exporter.force_flush()


def test_the_file_is_its_owners_alone_and_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    for name in ("a", "b"):
        exporter = JsonLinesExporter(str(path))
        exporter.export([make_span(name=name)])
        exporter.shutdown()
        exporter.shutdown()
    assert names(path) == ["a", "b"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_export_after_the_shutdown_opens_the_file_again(tmp_path: Path) -> None:
    exporter = JsonLinesExporter(tmp_path / "runs.jsonl")
    exporter.shutdown()
    assert exporter.export([make_span(name="late")]) is SUCCESS
    exporter.shutdown()
    assert names(tmp_path / "runs.jsonl") == ["late"]


def test_a_file_that_cannot_be_written_is_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    exporter = JsonLinesExporter(tmp_path / "no" / "such" / "folder")
    assert [exporter.export([make_span()]) for _ in range(3)] == [FAILURE] * 3
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "No such file or directory" in caplog.text
    (tmp_path / "no" / "such").mkdir(parents=True)
    assert exporter.export([make_span()]) is SUCCESS
    exporter.shutdown()


def test_an_exception_of_the_encoder_is_a_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_module, "request_json", lambda _spans: 1 / 0)
    assert JsonLinesExporter(tmp_path / "f").export([make_span()]) is FAILURE
    assert "ZeroDivisionError" in caplog.text


def test_half_a_line_on_a_full_disk_does_not_take_the_next_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs.jsonl"
    exporter = JsonLinesExporter(path)
    write = os.write
    room = [20]

    def short_write(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(descriptor, data[: room[0]])
        room[0] -= written
        return written

    with monkeypatch.context() as full:
        full.setattr(os, "write", short_write)
        assert exporter.export([make_span(name="lost")]) is FAILURE
    assert exporter.export([make_span(name="kept")]) is SUCCESS
    exporter.shutdown()
    torn, whole = path.read_text().splitlines()
    assert len(torn) == 20
    assert json.loads(whole)


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    exporter = JsonLinesExporter(path)
    threads = [
        threading.Thread(target=lambda: [exporter.export([make_span(name="x" * 5000)]) for _ in range(20)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    exporter.shutdown()
    assert names(path) == ["x" * 5000] * 80
