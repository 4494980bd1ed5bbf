"""One engine per provider, whatever kind of object the provider is."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NoOpTracerProvider

from otel_callbacks import OTelCallbackHandler, bound
from otel_callbacks.otel import engines
from tests.unit.test_handlers import everything


@dataclass
class Plain(NoOpTracerProvider):
    """A provider as dataclasses make them: compared by value, and so not hashable."""

    settings: dict[str, Any] = field(default_factory=dict)


class Slotted:
    """A provider that nothing can refer to weakly."""

    __slots__ = ()

    def get_tracer(self, *_: Any, **__: Any) -> Any:
        return NoOpTracerProvider().get_tracer("name")


@pytest.mark.parametrize("make", [Plain, Slotted, TracerProvider])
def test_a_provider_of_any_kind_has_one_engine(make: Any) -> None:
    provider, another = make(), make()
    assert engines.engine_of(provider) is engines.engine_of(provider)
    assert engines.engine_of(provider) is not engines.engine_of(another)
    everything(OTelCallbackHandler(provider, raise_errors=True), "0" * 31 + "1")
    assert engines.end_open_runs(provider) == 0


@pytest.mark.parametrize("make", [Plain, partial(TracerProvider, shutdown_on_exit=False)])
def test_an_engine_dies_with_its_provider(make: Any) -> None:
    provider = make()
    engine = weakref.ref(engines.engine_of(provider))
    identity = id(provider)
    assert identity in engines._engines
    del provider
    gc.collect()
    assert engine() is None
    assert identity not in engines._engines


def test_a_provider_that_raises_costs_its_spans_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Any:
        raise RuntimeError("private")

    monkeypatch.setattr(bound, "global_provider", broken)
    monkeypatch.setattr(bound, "_shield", type(bound._shield)())
    handler = OTelCallbackHandler()
    everything(handler, "0" * 31 + "1")
    assert (handler.open_runs, handler.trace_id("0" * 31 + "1")) == (0, None)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "private" not in caplog.text
    with pytest.raises(RuntimeError):
        everything(OTelCallbackHandler(raise_errors=True), "0" * 31 + "1")
