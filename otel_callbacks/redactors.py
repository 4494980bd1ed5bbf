"""Redactors to hand to a handler: ``OTelCallbackHandler(redactors=[emails, credit_cards, presidio()])``.

A redactor is any function from a string to a string. Secrets are always taken out, also without being named. One that raises,
or returns something else, costs the string: nothing passes unredacted.

Rules for this file: what is here can be pickled with the handler that has it; nothing is imported before it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any, Final, Protocol, cast

from otel_callbacks import parsing
from otel_callbacks.core.personal import credit_cards, emails, ibans, phone_numbers
from otel_callbacks.core.redact import Redactor, secrets
from otel_callbacks.errors import ConfigurationError, MissingExtraError

__all__ = [
    "Analyzer",
    "Presidio",
    "Redactor",
    "credit_cards",
    "default",
    "emails",
    "ibans",
    "named",
    "phone_numbers",
    "presidio",
    "secrets",
]

BY_NAME: Final[dict[str, Redactor]] = dict(
    zip(parsing.REDACTORS, (secrets, emails, credit_cards, phone_numbers, ibans), strict=True)
)


def default() -> tuple[Redactor, ...]:
    """Return the redactors that are applied whatever a handler is given."""
    return (secrets,)


def named(names: Iterable[str]) -> tuple[Redactor, ...]:
    """Return redactors by the names that ``OTEL_CALLBACKS_REDACTORS`` takes.

    Raises: ConfigurationError: there is none of that name.
    """
    found: list[Redactor] = []
    for name in names:
        if name not in BY_NAME:
            raise ConfigurationError(f"There is no redactor {name[:80]!r}. There are: {', '.join(BY_NAME)}.")
        found.append(BY_NAME[name])
    return tuple(found)


class Analyzer(Protocol):
    """What finds personal data: Presidio's ``AnalyzerEngine``, or anything with its method."""

    def analyze(self, text: str, language: str, entities: Any = None, score_threshold: Any = None) -> Any:
        """Return results with ``start``, ``end`` and ``entity_type``."""
        ...


class Presidio:
    """A redactor that asks an analyzer; what it finds is replaced by the kind of entity, ``<PERSON>``."""

    def __init__(
        self,
        analyzer: Analyzer,
        *,
        entities: Sequence[str] | None = None,
        language: str = "en",
        score_threshold: float | None = None,
    ) -> None:
        self.analyzer = analyzer
        self.entities = None if entities is None else list(entities)
        self.language = language
        self.score_threshold = score_threshold

    def __call__(self, text: str) -> str:
        """Return *text* without what the analyzer found; where two findings overlap, the first one names both."""
        results = self.analyzer.analyze(
            text=text, language=self.language, entities=self.entities, score_threshold=self.score_threshold
        )
        found = sorted((int(result.start), int(result.end), str(result.entity_type)) for result in results)
        pieces: list[str] = []
        done = 0
        for start, end, kind in found:
            if start >= done:
                pieces += (text[done:start], f"<{kind}>")
            done = max(done, end)
        return "".join((*pieces, text[done:]))


def presidio(
    analyzer: Analyzer | None = None,
    *,
    entities: Sequence[str] | None = None,
    language: str = "en",
    score_threshold: float | None = None,
) -> Presidio:
    """Return a redactor that asks Presidio for persons, places and other personal data.

    Presidio is slow beside regular expressions (milliseconds for a sentence), and is called in the callback, so it is for
    applications in which that does not matter.

    Args:
        analyzer: Presidio's ``AnalyzerEngine`` or a client of its server; by default an ``AnalyzerEngine`` is made.
        entities: What to look for (``PERSON``, ``LOCATION`` ...); by default all that the analyzer knows.
        language: Of the texts.
        score_threshold: The least confidence, 0 to 1.

    Raises: MissingExtraError: there is no *analyzer* and presidio-analyzer is not installed.
    """
    if analyzer is None:
        try:
            module: Any = import_module("presidio_analyzer")
        except ImportError as error:
            raise MissingExtraError("presidio()", "presidio", "presidio-analyzer") from error
        analyzer = cast("Analyzer", module.AnalyzerEngine())
    return Presidio(analyzer, entities=entities, language=language, score_threshold=score_threshold)
