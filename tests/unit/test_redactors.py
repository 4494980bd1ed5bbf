"""The redactors that users import: by name, and an analyzer's."""

from __future__ import annotations

import builtins
import pickle
import sys
import types
from dataclasses import dataclass
from typing import Any

import pytest

from otel_callbacks import OTelCallbackHandler, redactors
from otel_callbacks.core.redact import WITHHELD, redact
from otel_callbacks.errors import ConfigurationError, MissingExtraError
from otel_callbacks.parsing import REDACTORS
from otel_callbacks.redactors import Presidio, default, named, presidio


@dataclass
class Result:
    start: int
    end: int
    entity_type: str


class Fake:
    """An analyzer that finds what it is told to."""

    def __init__(self, *found: Result) -> None:
        self.found = found
        self.asked: list[dict[str, Any]] = []

    def analyze(self, text: str, language: str, entities: Any = None, score_threshold: Any = None) -> Any:
        self.asked.append(
            {"text": text, "language": language, "entities": entities, "score_threshold": score_threshold}
        )
        return self.found


def test_every_name_has_its_redactor() -> None:
    assert [function.__name__ for function in named(REDACTORS)] == list(REDACTORS)
    assert default() == (redactors.secrets,)
    with pytest.raises(ConfigurationError, match="emails"):
        named(["faces"])


def test_what_the_module_offers_is_there() -> None:
    assert all(hasattr(redactors, name) for name in redactors.__all__)


def test_what_an_analyzer_finds_is_replaced_by_its_kind() -> None:
    analyzer = Fake(Result(0, 3, "PERSON"), Result(1, 2, "X"), Result(13, 17, "LOCATION"))
    redactor = presidio(analyzer, entities=["PERSON"], language="de", score_threshold=0.5)
    assert redactor("Bob lives in Rome.") == "<PERSON> lives in <LOCATION>."
    assert analyzer.asked == [
        {"text": "Bob lives in Rome.", "language": "de", "entities": ["PERSON"], "score_threshold": 0.5}
    ]


def test_an_analyzer_that_fails_costs_the_text() -> None:
    class Failing(Fake):
        def analyze(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError

    assert redact("Bob", [presidio(Failing())]) == WITHHELD


def test_without_presidio_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def none(name: str, *args: Any, **kwargs: Any) -> Any:
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", none)
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(MissingExtraError, match=r"otel-callbacks\[presidio\]"):
        presidio()


def test_with_presidio_its_engine_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = types.ModuleType("presidio_analyzer")
    module.AnalyzerEngine = Fake
    monkeypatch.setitem(sys.modules, "presidio_analyzer", module)
    assert isinstance(presidio().analyzer, Fake)


def test_a_handler_with_redactors_can_be_pickled() -> None:
    handler = OTelCallbackHandler(redactors=[redactors.emails, Presidio(Fake())])
    restored = pickle.loads(pickle.dumps(handler))  # noqa: S301 - our own
    assert restored._policy.redactors[0] is redactors.emails
    assert isinstance(restored._policy.redactors[1], Presidio)
