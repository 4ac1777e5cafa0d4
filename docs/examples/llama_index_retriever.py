"""LlamaIndex retriever: the nodes are moments of your own videos.

Needs `pip install llama-index-core` next to vsearch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from vsearch import Library, LibraryError, Moment, Query, QueryError, Term

if TYPE_CHECKING:
    from llama_index.core.callbacks import CallbackManager


class MomentRetriever(BaseRetriever):
    """Retriever of moments, best first; the score of a node is the confidence of its moment."""

    def __init__(
        self,
        library: Library,
        *,
        k: int = 5,
        min_confidence: float = 0.25,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        """Retrieve from an open library, or from the result of `vsearch.connect`.

        Args:
            library: The library.
            k: Maximum number of nodes.
            min_confidence: Leave out moments of lower confidence, from 0 to 1.
            callback_manager: As of the base class.
        """
        self.library, self.k, self.min_confidence = library, k, min_confidence
        super().__init__(callback_manager=callback_manager)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        query = query_bundle.query_str
        try:
            result = self.library.search(query, k=self.k)
        except QueryError:  # e.g. a quote that is not closed: take the words as they are
            result = self.library.search(Query((Term("text", query),)), k=self.k)
        return [
            self.to_node(moment)
            for moment in result  # of a query in a language that is not known, it is None
            if moment.confidence is None or moment.confidence >= self.min_confidence
        ]

    def to_node(self, moment: Moment) -> NodeWithScore:
        """Return a moment as a node; its text is what is said and shown in it."""
        span = moment.span
        metadata = {
            "path": str(moment.video.path),
            "start": span.start,  # seconds
            "end": span.end,
            "confidence": moment.confidence,  # probability that the moment matches
        }
        node_id = f"{moment.video.id}@{span.start:.2f}-{span.end:.2f}"
        node = TextNode(id_=node_id, text=self.describe(moment), metadata=metadata)
        return NodeWithScore(node=node, score=moment.confidence)

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
