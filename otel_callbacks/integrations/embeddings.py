"""Embeddings, for which LangChain has no callbacks: an explicit wrapper, so that nothing is patched.

Rules for this file: what the wrapped object returns or raises is returned or raised; texts are content, and are not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self
from uuid import uuid4

from otel_callbacks.core.events import RunKind
from otel_callbacks.core.reading import field, sequence
from otel_callbacks.core.values import class_path, qualified_name, string
from otel_callbacks.errors import MissingExtraError
from otel_callbacks.handlers import OTelCallbackHandler
from otel_callbacks.otel.current import current_run

try:
    from langchain_core.embeddings import Embeddings
except ImportError as error:
    raise MissingExtraError("traced_embeddings()", "langchain", "langchain-core") from error

# Fields of LangChain's embeddings -> the names that `core.request` and `core.mapping` know them by.
_PARAMETERS: Final[Mapping[str, str]] = {
    "model": "model",
    "model_name": "model_name",
    "model_id": "model_id",
    "deployment": "deployment_name",
    "dimensions": "dimensions",
    "output_dimensionality": "dimensions",
    "encoding_format": "encoding_format",
}
_URLS: Final = ("openai_api_base", "azure_endpoint", "base_url", "endpoint_url")
# Where the package does not tell the provider: by the class.
_PROVIDERS: Final[Mapping[str, str]] = {
    "AzureOpenAIEmbeddings": "azure",
    "AzureAIEmbeddingsModel": "azure_ai",
    "AzureAIOpenAIApiEmbeddingsModel": "azure_ai",
    "BedrockEmbeddings": "amazon_bedrock",
    "FastEmbedEmbeddings": "fastembed",
}


def traced_embeddings(embeddings: Embeddings, handler: OTelCallbackHandler | None = None) -> TracedEmbeddings:
    """Return *embeddings* as embeddings whose every call is a span, and which is the current span inside of it.

    ::

        store = InMemoryVectorStore(otel_callbacks.traced_embeddings(OpenAIEmbeddings()))

    Args:
        embeddings: Asked for every text. Its own attributes can be read through the result.
        handler: Whose provider and settings are used. Default: a new one, on the application's global provider.
    """
    return TracedEmbeddings(embeddings, OTelCallbackHandler() if handler is None else handler)


class TracedEmbeddings(Embeddings):
    """Embeddings that report their calls; `traced_embeddings` makes them."""

    def __init__(self, embeddings: Embeddings, handler: OTelCallbackHandler) -> None:
        self.embeddings = embeddings
        self.handler = handler

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts."""
        with _Call(self.embeddings, self.handler, len(sequence(texts))) as call:
            call.answer = answer = self.embeddings.embed_documents(texts)
        return answer

    def embed_query(self, text: str) -> list[float]:
        """Embed one text."""
        with _Call(self.embeddings, self.handler, 1) as call:
            call.answer = answer = self.embeddings.embed_query(text)
        return answer

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts."""
        with _Call(self.embeddings, self.handler, len(sequence(texts))) as call:
            call.answer = answer = await self.embeddings.aembed_documents(texts)
        return answer

    async def aembed_query(self, text: str) -> list[float]:
        """Embed one text."""
        with _Call(self.embeddings, self.handler, 1) as call:
            call.answer = answer = await self.embeddings.aembed_query(text)
        return answer

    def __getattr__(self, name: str) -> Any:
        # Before __init__ (copying, unpickling) there is nothing to ask.
        if name in ("embeddings", "handler"):
            raise AttributeError(name)
        return getattr(self.embeddings, name)


class _Call:
    """One call as a run: a `with` block around it."""

    def __init__(self, embeddings: Embeddings, handler: OTelCallbackHandler, texts: int) -> None:
        self._embeddings = embeddings
        self._handler = handler
        self._texts = texts
        self._run_id = uuid4()
        self.answer: Any = None

    def __enter__(self) -> Self:
        embeddings, kind = self._embeddings, type(self._embeddings)
        name = qualified_name(kind)
        read = {
            known: value
            for own, known in _PARAMETERS.items()
            if (value := field(embeddings, own)) is not None
        }
        self._handler._start(  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] # as a callback would
            RunKind.EMBEDDINGS,
            None,
            self._run_id,
            current_run(),
            {
                "id": class_path(kind).split("."),
                "kwargs": {
                    "base_url": next((url for key in _URLS if (url := string(field(embeddings, key)))), None)
                },
            },
            None,
            {"ls_provider": _PROVIDERS[name]} if name in _PROVIDERS else None,
            {
                "name": name,
                "texts": self._texts,
                "invocation_params": read,
            },
        )
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        handler = self._handler
        if error is not None:
            handler._fail(RunKind.EMBEDDINGS, self._run_id, None, error)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        else:
            handler._end(RunKind.EMBEDDINGS, self._run_id, None, self.answer)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        self.answer = None
