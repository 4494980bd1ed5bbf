"""What a model call cost, by the price list of genai-prices: a mapper, so that a user's own mappers can correct it.

Rules for this file: the library is optional, imported when prices are first wanted, and never updates itself over the network.
A price is that of one call, because long calls have tiers of their own; where it is unknown, nothing is said.
"""
# The library's types are not there where it is not installed.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from otel_callbacks import semconv
from otel_callbacks.core.values import AttributeValue
from otel_callbacks.semconv import Operation

if TYPE_CHECKING:
    from otel_callbacks.core.view import Mapper, RunView

LIBRARY: Final = "genai-prices"
_NANOSECONDS: Final = 1_000_000_000
# Our provider names where the library does not know them.
_PROVIDERS: Final = {
    "x_ai": "x-ai",
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "aws.bedrock": "aws",
    "moonshot_ai": "moonshotai",
}
# What the library calls the counts; the totals include the rest.
_USAGE: Final = {
    semconv.USAGE_INPUT_TOKENS: "input_tokens",
    semconv.USAGE_OUTPUT_TOKENS: "output_tokens",
    semconv.USAGE_CACHE_READ: "cache_read_tokens",
    semconv.USAGE_CACHE_WRITE: "cache_write_tokens",
}
_PRICED: Final = frozenset({Operation.CHAT.value, Operation.TEXT_COMPLETION.value})

_Price: TypeAlias = Callable[[str, str, Mapping[str, int], datetime], float | None]

_logger = logging.getLogger(__name__)


def before(mappers: Sequence[Mapper]) -> tuple[Mapper, ...]:
    """Return *mappers* with the prices before them, if the library is there."""
    if _library() is None or add in mappers:
        return tuple(mappers)
    return (add, *mappers)


def add(run: RunView, attributes: dict[str, AttributeValue]) -> None:
    """Add the price of a model call, in US dollars, and by which price list that is."""
    library = _library()
    if library is None or attributes.get(semconv.OPERATION_NAME) not in _PRICED:
        return
    price, source = library
    usage = {
        key: tokens for name, key in _USAGE.items() if type(tokens := attributes.get(name)) is int and tokens
    }
    provider = attributes.get(semconv.PROVIDER_NAME)
    if not usage or type(provider) is not str:
        return
    started = datetime.fromtimestamp(run.started_ns / _NANOSECONDS, UTC)
    # The response's is the exact one; the request's may be an alias that the list knows.
    for name in (semconv.RESPONSE_MODEL, semconv.REQUEST_MODEL):
        model = attributes.get(name)
        cost = price(provider, model, usage, started) if type(model) is str else None
        if cost is not None:
            attributes[semconv.COST] = cost
            attributes[semconv.COST_SOURCE] = source
            return


@cache
def _library() -> tuple[_Price, str] | None:
    """Return how to price a call, and the name and version of the price list; None, with a warning, if it is missing."""
    try:
        import genai_prices  # noqa: PLC0415 - optional
    except ImportError:
        _logger.warning(
            "OTEL_CALLBACKS_COST is on, but %s is not installed: no prices. pip install 'otel-callbacks[prices]'",
            LIBRARY,
        )
        return None

    def price(provider: str, model: str, usage: Mapping[str, int], started: datetime) -> float | None:
        given: Any = genai_prices.Usage(**usage)
        try:
            found = genai_prices.calc_price(
                given,
                model,
                provider_id=_PROVIDERS.get(provider, provider),
                genai_request_timestamp=started,
            )
        except (LookupError, ValueError):  # an unknown model; counts that contradict each other
            return None
        return float(found.total_price)

    return price, f"{LIBRARY} {version(LIBRARY)}"
