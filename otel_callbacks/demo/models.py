"""Where the flows get their models: real ``langchain-openai`` clients, of our own server or of a real service."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import openai
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import SecretStr

from otel_callbacks.demo.faults import RATE_LIMITED, SEPARATOR
from otel_callbacks.demo.replies import MODELS

if TYPE_CHECKING:
    from types import TracebackType


@dataclass(frozen=True, slots=True)
class Service:
    """An OpenAI-compatible service. A *simulated* one is ours: it takes any key and stages faults."""

    base_url: str
    model: str = MODELS[0]
    embedding_model: str = MODELS[1]
    api_key: str = field(default="none", repr=False)
    simulated: bool = True


class Models(AbstractContextManager["Models"]):
    """Makes the clients of one service; leaving closes their connections."""

    def __init__(self, service: Service) -> None:
        self.service = service
        # A proxy must not see what is meant for loopback; to reach a real service it may be needed.
        self._http = openai.DefaultHttpxClient(trust_env=not service.simulated)

    def chat(self, **settings: Any) -> ChatOpenAI:
        """Return a chat model. Streams carry their token counts, which ``ChatOpenAI`` leaves out for a *base_url*."""
        return ChatOpenAI(**self._client(self.service.model), stream_usage=True, **settings)

    def busy_chat(self) -> ChatOpenAI:
        """Return a chat model that our server refuses once for every question; the client leaves it to the caller.

        Of a real service, where nothing is staged, it is an ordinary chat model.
        """
        if not self.service.simulated:
            return self.chat()
        model = self.service.model + SEPARATOR + RATE_LIMITED.name
        return ChatOpenAI(**self._client(model), stream_usage=True, max_retries=0)

    def embeddings(self) -> OpenAIEmbeddings:
        """Return an embedding model that sends text, not tokens: counting those would fetch tables from the network."""
        return OpenAIEmbeddings(
            **self._client(self.service.embedding_model), check_embedding_ctx_length=False
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def _client(self, model: str) -> dict[str, Any]:
        proxy: dict[str, Any] = {"openai_proxy": None} if self.service.simulated else {}
        return {
            "model": model,
            "base_url": self.service.base_url,
            "api_key": SecretStr(self.service.api_key),
            "http_client": self._http,
            **proxy,
        }
