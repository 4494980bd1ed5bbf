"""What a call of an embedding model says: provider, model, what was asked for, and the size of what came.

Rules for this file: sizes and identifiers only; texts and vectors are content.
"""

from __future__ import annotations

from otel_callbacks import semconv
from otel_callbacks.core import provider, values
from otel_callbacks.core.events import RunStarted
from otel_callbacks.core.reading import first, mapping, sequence
from otel_callbacks.core.values import AttributeValue
from otel_callbacks.semconv import Operation

_MODEL_KEYS = ("model", "model_name", "model_id", "deployment_name")


def describe(
    event: RunStarted, _run: object, attributes: dict[str, AttributeValue]
) -> tuple[Operation, str | None]:
    """Add the request's attributes; return the operation and the model's name."""
    constructor = mapping(event.serialized.get("kwargs"))
    parameters = mapping(event.extra.get("invocation_params"))
    attributes[semconv.PROVIDER_NAME] = provider.stated(event.metadata) or provider.inferred(
        None, event.serialized.get("id")
    )
    model = next((name for key in _MODEL_KEYS if (name := values.name(parameters.get(key)))), None)
    if model:
        model = model.removeprefix("models/")
        attributes[semconv.REQUEST_MODEL] = model
    dimensions = values.integer(parameters.get("dimensions"))
    if dimensions:
        attributes[semconv.EMBEDDINGS_DIMENSIONS] = dimensions
    encoding = values.short(parameters.get("encoding_format"), values.MAX_NAME_LENGTH)
    if encoding:
        attributes[semconv.REQUEST_ENCODING_FORMATS] = (encoding,)
    server = provider.server(values.string(constructor.get("base_url")), None)
    if server is not None:
        attributes[semconv.SERVER_ADDRESS], attributes[semconv.SERVER_PORT] = server
    texts = values.integer(event.extra.get("texts"))
    if texts is not None:
        attributes[semconv.EMBEDDINGS_TEXTS] = texts
    return Operation.EMBEDDINGS, model


def of_answer(answer: object) -> dict[str, AttributeValue]:
    """Return how long the vectors are of an answer: one vector, or a list of them."""
    vector = first(answer)
    length = len(sequence(vector)) if values.number(vector) is None else len(sequence(answer))
    return {semconv.EMBEDDINGS_DIMENSIONS: length} if length else {}
