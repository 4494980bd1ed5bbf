"""The figures of a delivery, and what is said in the log."""

from __future__ import annotations

import logging

import pytest

from otel_callbacks.export.delivery.ledger import Ledger, Tally
from otel_callbacks.export.delivery.reports import Reports
from otel_callbacks.export.delivery.sending import Event, News
from otel_callbacks.export.items import StoreCounts

WAITING = Ledger(accepted=7, on_disk=4, in_memory=3)


@pytest.fixture
def reports(caplog: pytest.LogCaptureFixture) -> Reports:
    caplog.set_level(logging.INFO)
    return Reports("traces")


def test_a_ledger_adds_up_only_if_nothing_is_missing() -> None:
    assert Ledger().balanced
    whole = Ledger(10, 5, 4, 3, {"full": 2, "corrupt": 1}, 2, 2, 1)
    assert whole.balanced
    assert (whole.waiting, whole.lost) == (3, 8)
    assert not Ledger(10, 5, 4, 3, {"full": 2}, 2, 2, 1).balanced


def test_what_was_never_in_the_store_and_what_was_left_in_it_have_their_own_reasons() -> None:
    tally = Tally(delivered=1, refused=2, turned_away={"refused": 3}, left=4)
    ledger = tally.ledger(
        StoreCounts(accepted=14, settled=3, dropped={"closed": 5, "full": 1}, in_memory=5), ended=True
    )
    assert ledger.dropped == {"refused": 5, "closed": 1, "shutdown": 9, "full": 1}
    assert (ledger.accepted, ledger.in_memory) == (17, 0)
    assert ledger.balanced


def test_each_kind_of_line_comes_once_a_minute(reports: Reports, caplog: pytest.LogCaptureFixture) -> None:
    for second in range(0, 130, 10):
        reports.tell(News(Event.UNAVAILABLE, "no answer"), WAITING, float(second))
        reports.tell(News(Event.PARTIAL, "too old.", 2), WAITING, float(second))
        reports.fault("the store", OSError("SECRET"), float(second))
    assert sorted(caplog.messages) == sorted(
        3
        * [
            "Spans cannot be delivered now: no answer. Waiting: 4 on disk, 3 in memory.",
            "The collector did not keep 2 of the spans that it took: too old.",
            "The delivery of spans goes on after a fault in the store: OSError.",
        ]
    )


@pytest.mark.parametrize("event", [Event.MISCONFIGURED, Event.REFUSING])
def test_what_only_a_person_can_help_with_is_said_once_until_it_works_again(
    event: Event, reports: Reports, caplog: pytest.LogCaptureFixture
) -> None:
    for second in range(0, 1_000, 100):
        reports.tell(News(event, "HTTP 401"), WAITING, float(second))
    assert len(caplog.messages) == 1
    assert "HTTP 401" in caplog.text
    reports.tell(News(Event.AGAIN), Ledger(), 1_000.0)
    reports.tell(News(event, "HTTP 401"), WAITING, 1_001.0)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]
    assert caplog.messages[1] == "Spans are delivered again. Waiting: none."


def test_that_it_works_again_is_said_only_if_the_trouble_was(
    reports: Reports, caplog: pytest.LogCaptureFixture
) -> None:
    reports.tell(News(Event.AGAIN), Ledger(), 0.0)
    assert not caplog.messages


@pytest.mark.parametrize("event", [event for event in Event if event is not Event.AGAIN])
def test_no_line_is_long_or_broken_by_what_a_collector_says(
    event: Event, caplog: pytest.LogCaptureFixture
) -> None:
    for message in ("%s %d %(x)s" + "x" * 9_999, ""):
        Reports("metrics").tell(News(event, message, 1), WAITING, 0.0)
    assert len(caplog.messages) == 2
    assert all(len(message) < 500 for message in caplog.messages)
