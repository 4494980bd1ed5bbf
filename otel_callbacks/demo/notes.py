"""A vector store of a few notes, in memory: what the retrieval flow searches.

LangChain's own ``InMemoryVectorStore`` computes with numpy, which nothing else here needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

FOX_NOTES = {
    "habits": "A fox sleeps about ten hours a day and hunts at dusk.",
    "cities": "City foxes sleep under sheds and eat what people throw away.",
    "trains": "The night train to Lyon leaves at ten.",
    "bread": "Sourdough rises for twelve hours before it is baked.",
}


@dataclass(frozen=True, slots=True)
class _Note:
    document: Document
    vector: list[float]


class Notes(VectorStore):
    """Documents with their vectors; the search looks at every one of them."""

    def __init__(self, embedding: Embeddings) -> None:
        self._embedding = embedding
        self._notes: list[_Note] = []

    @property
    def embeddings(self) -> Embeddings:
        """The model that places texts."""
        return self._embedding

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[Any, Any]] | None = None,
        **_options: Any,
    ) -> Self:
        """Return a store of *texts*, each with its metadata."""
        store = cls(embedding)
        vectors = embedding.embed_documents(texts)
        for text, vector, metadata in zip(texts, vectors, metadatas or [{} for _ in texts], strict=True):
            store._notes.append(_Note(Document(text, metadata=metadata), vector))
        return store

    def similarity_search(self, query: str, k: int = 4, **_options: Any) -> list[Document]:
        """Return the *k* documents nearest to *query*, the nearest first."""
        at = self._embedding.embed_query(query)
        ranked = sorted(self._notes, key=lambda note: -_closeness(at, note.vector))
        return [note.document for note in ranked[:k]]


def _closeness(one: list[float], other: list[float]) -> float:
    """The dot product; of unit vectors, which embedding models return, it is the cosine."""
    return sum(a * b for a, b in zip(one, other, strict=True))
