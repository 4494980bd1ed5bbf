"""Twenty thousand runs, every way to begin and to fail to end: what they leave behind is nothing. ``python -m tests.soak`` is a million."""

from __future__ import annotations

import pytest

from tests.soak.soak import soak


@pytest.mark.logs
def test_runs_leave_nothing_behind_and_each_ends_as_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    # What is remembered of the past has bounds, which a million runs fill: smaller ones, so that few do.
    monkeypatch.setattr("otel_callbacks.core.redact.MAX_KNOWN", 64)
    monkeypatch.setattr("otel_callbacks.core.engine.MAX_EARLY_ENDS", 64)
    soaked = soak(20_000, samples=7, recent=64)
    assert soaked.ended == soaked.planned
    assert soaked.started == soaked.ended.total() >= 20_000
    assert soaked.open_runs == 0
    assert soaked.faults == {}
    assert soaked.growth(lambda sample: sample.files) == 0
    assert soaked.growth(lambda sample: sample.threads) == 0
    assert soaked.growth(lambda sample: sample.objects) == 0
    assert soaked.growth(lambda sample: sample.traced_bytes) < 100_000  # 8 bytes a run
