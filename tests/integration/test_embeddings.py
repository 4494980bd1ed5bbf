"""`traced_embeddings`: every call is a span, and what happens inside of it is below that span."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_openai import AzureOpenAIEmbeddings, OpenAIEmbeddings
from pydantic import SecretStr

from otel_callbacks import OTelCallbackHandler, traced_embeddings
from tests.scene import CALLER, Scene, attributes, outcome

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Marking(Embeddings):
    """Vectors of four numbers; marks its body, fails or hangs when it is asked to."""

    model = "small"
    extra = "of its own"

    def __init__(self, mark: Any = lambda _: None) -> None:
        self.mark = mark

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.mark("in embeddings")
        if "fail" in texts:
            raise ValueError("the embeddings were asked to fail")
        return [[0.5] * 4 for _ in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        await asyncio.sleep(0)
        if "hang" in texts:
            await asyncio.Event().wait()
        return self.embed_documents(texts)

    async def aembed_query(self, text: str) -> list[float]:
        return (await self.aembed_documents([text]))[0]


async def call(embeddings: Embeddings, method: str, given: Any) -> Any:
    answer = getattr(embeddings, method)(given)
    return await answer if method.startswith("a") else answer


@pytest.mark.parametrize("method", ["embed_documents", "embed_query", "aembed_documents", "aembed_query"])
async def test_each_way_to_call_is_the_same_span(scene: Scene, method: str) -> None:
    query = method.endswith("query")
    with scene.caller():
        answer = await call(
            traced_embeddings(Marking(scene.mark), scene.handler), method, "a" if query else ["a", "b"]
        )
    assert answer == ([0.5] * 4 if query else [[0.5] * 4] * 2)
    assert scene.tree == {CALLER: {"embeddings small": {"in embeddings": {}}}}
    span = scene.named("embeddings small")
    said = attributes(span)
    del said["langchain.run.id"]
    assert span.kind.name == "CLIENT"
    assert said == {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": "unknown",
        "gen_ai.request.model": "small",
        "gen_ai.embeddings.dimension.count": 4,
        "langchain.embeddings.text_count": 1 if query else 2,
        "langchain.run.kind": "embeddings",
        "langchain.run.name": "Marking",
    }


@pytest.mark.parametrize("method", ["embed_documents", "aembed_documents"])
async def test_an_error_is_the_applications_and_on_the_span(scene: Scene, method: str) -> None:
    embeddings = traced_embeddings(Marking(), scene.handler)
    with scene.alone(), pytest.raises(ValueError, match="asked to fail"):
        await call(embeddings, method, ["fail"])
    span = scene.named("embeddings small")
    assert outcome(span) == (None, None, "ERROR")
    assert attributes(span)["error.type"] == "ValueError"


async def test_a_call_that_is_cancelled_ends_as_cancelled(scene: Scene) -> None:
    embeddings = traced_embeddings(Marking(), scene.handler)
    with scene.alone():
        task = asyncio.create_task(embeddings.aembed_documents(["hang"]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert outcome(scene.named("embeddings small"))[::2] == ("cancelled", "UNSET")


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_the_calls_of_a_vector_store_are_inside_the_retrieval(scene: Scene, asynchronous: bool) -> None:
    class Store(BaseRetriever):
        def _get_relevant_documents(self, query: str, **_: Any) -> Any:
            embeddings.embed_query(query)
            return []

        async def _aget_relevant_documents(self, query: str, **_: Any) -> Any:
            await embeddings.aembed_query(query)
            return []

    embeddings = traced_embeddings(Marking(scene.mark), scene.handler)
    embeddings.embed_documents(["a", "b"])
    retriever = Store() | RunnableLambda(len, name="count")
    config: Any = {**scene.config, "metadata": {"user_id": "u"}, "run_name": "search"}
    with scene.caller():
        found = await retriever.ainvoke("a", config) if asynchronous else retriever.invoke("a", config)
    assert found == 0
    assert scene.tree == {
        "embeddings small": {"in embeddings": {}},
        CALLER: {
            "invoke_workflow search": {
                "retrieval": {"embeddings small": {"in embeddings": {}}},
                "count": {},
            }
        },
    }
    assert [attributes(span).get("user.id") for span in scene.all_named("embeddings small")] == [None, "u"]
    retrieval = scene.named("retrieval")
    assert (
        attributes(scene.all_named("embeddings small")[1])["langchain.run.parent_id"]
        == attributes(retrieval)["langchain.run.id"]
    )


def test_a_span_of_the_applications_own_comes_between(scene: Scene) -> None:
    embeddings = traced_embeddings(Marking(), scene.handler)

    def body(_: Any) -> Any:
        with scene.provider.get_tracer("application").start_as_current_span("own"):
            return embeddings.embed_query("x")

    with scene.alone():
        RunnableLambda(body, name="root").invoke(1, scene.config)
    assert scene.tree == {"root": {"own": {"embeddings small": {}}}}


def test_without_texts_there_is_nothing_of_them_and_no_vectors_have_no_length(scene: Scene) -> None:
    traced_embeddings(Marking(), scene.handler).embed_documents([])
    said = attributes(scene.named("embeddings small"))
    assert said["langchain.embeddings.text_count"] == 0
    assert "gen_ai.embeddings.dimension.count" not in said


def test_texts_and_vectors_are_never_said(scene: Scene) -> None:
    traced_embeddings(Marking(), scene.handler).embed_documents(["CANARY text"])
    assert "CANARY" not in scene.named("embeddings small").to_json()
    assert "0.5" not in scene.named("embeddings small").to_json()


@pytest.mark.parametrize(
    ("embeddings", "expected"),
    [
        (
            OpenAIEmbeddings(
                model="text-embedding-3-small",
                dimensions=64,
                base_url="http://127.0.0.1:9/v1",
                api_key=SecretStr("k"),
            ),
            {
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "text-embedding-3-small",
                "gen_ai.embeddings.dimension.count": 64,
                "server.address": "127.0.0.1",
                "server.port": 9,
            },
        ),
        (
            AzureOpenAIEmbeddings(
                model="ada",
                azure_endpoint="https://mine.azure.example",
                api_key=SecretStr("k"),
                api_version="1",
            ),
            {
                "gen_ai.provider.name": "azure.ai.openai",
                "gen_ai.request.model": "ada",
                "server.address": "mine.azure.example",
                "server.port": 443,
            },
        ),
    ],
)
def test_provider_model_and_server_are_read_off_the_wrapped_object(
    scene: Scene, embeddings: Any, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(embeddings), "embed_query", lambda *_: [0.0] * 64)
    traced_embeddings(embeddings, scene.handler).embed_query("x")
    (span,) = scene.spans
    said = {name: attributes(span).get(name) for name in expected}
    assert said == expected
    assert span.name == f"embeddings {expected['gen_ai.request.model']}"


def test_it_is_an_embeddings_object_and_shows_what_it_wraps() -> None:
    wrapped = traced_embeddings(Marking())
    assert isinstance(wrapped, Embeddings)
    assert wrapped.extra == "of its own"
    with pytest.raises(AttributeError):
        _ = wrapped.absent
    inner = Marking()
    del inner.mark
    copy = pickle.loads(pickle.dumps(traced_embeddings(inner)))  # noqa: S301 - our own
    assert copy.model == "small"


def test_without_a_handler_it_uses_the_global_provider(
    provider: TracerProvider, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced_embeddings(Marking()).embed_query("nobody has set a provider")
    monkeypatch.setattr("otel_callbacks.bound.global_provider", lambda: provider)
    traced_embeddings(Marking()).embed_query("x")
    assert [span.name for span in exporter.get_finished_spans()] == ["embeddings small"]


def test_a_mapper_sees_its_runs_as_it_sees_others(provider: TracerProvider) -> None:
    seen: list[Any] = []
    handler = OTelCallbackHandler(provider, mappers=[lambda run, _: seen.append((run.kind, run.operation))])
    traced_embeddings(Marking(), handler).embed_query("x")
    assert seen == [("embeddings", "embeddings")]


def test_without_langchain_core_the_message_says_what_to_install() -> None:
    code = "import sys; sys.modules['langchain_core.embeddings'] = None; import otel_callbacks; otel_callbacks.traced_embeddings"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert done.stderr.splitlines()[-1] == (
        "otel_callbacks.errors.MissingExtraError: traced_embeddings() needs langchain-core. "
        "Install it with: pip install 'otel-callbacks[langchain]'"
    )
