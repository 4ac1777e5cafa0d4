"""LangChain retriever: the documents are moments of your own videos.

Needs `pip install langchain-core` next to vsearch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from vsearch import LibraryError, Moment, Query, QueryError, Term

if TYPE_CHECKING:
    from langchain_core.callbacks import CallbackManagerForRetrieverRun


class MomentRetriever(BaseRetriever):
    """Retriever of moments, best first.

    Attributes:
        library: An open `vsearch.Library`, or the result of `vsearch.connect`.
        k: Maximum number of documents.
        min_confidence: Leave out moments of lower confidence, from 0 to 1.
    """

    library: Any
    k: int = 5
    min_confidence: float = 0.25

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        try:
            result = self.library.search(query, k=self.k)
        except QueryError:  # e.g. a quote that is not closed: take the words as they are
            result = self.library.search(Query((Term("text", query),)), k=self.k)
        return [
            self.to_document(moment)
            for moment in result  # of a query in a language that is not known, it is None
            if moment.confidence is None or moment.confidence >= self.min_confidence
        ]

    def to_document(self, moment: Moment) -> Document:
        """Return a moment as a document; its text is what is said and shown in it."""
        path, span = moment.video.path, moment.span
        return Document(
            id=f"{moment.video.id}@{span.start:.2f}-{span.end:.2f}",
            page_content=self.describe(moment),
            metadata={
                "path": str(path),
                "start": span.start,  # seconds
                "end": span.end,
                "confidence": moment.confidence,  # probability that the moment matches
            },
        )

    def describe(self, moment: Moment) -> str:
        """Return the transcript of a moment, or where it is if it has none."""
        span = moment.span
        title = f"{moment.video.path.name}, {span.start:.0f}–{span.end:.0f} s"
        try:
            transcript = self.library.transcripts.get(moment.video.path)
        except LibraryError:
            return title
        words = [cue.text for cue in transcript.cues if cue.span.overlaps(span)]
        return f"{title}: {' '.join(words)}" if words else title
