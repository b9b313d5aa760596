"""Where the values of a proposed call came from."""

from agentkit.planner.provenance.index import ConversationIndex
from agentkit.planner.provenance.passages import Passage
from agentkit.planner.provenance.trace import (
    Origin,
    Tracer,
    conversation_label,
    leaves,
    schema_names,
    trace,
)

__all__ = [
    "ConversationIndex",
    "Origin",
    "Passage",
    "Tracer",
    "conversation_label",
    "leaves",
    "schema_names",
    "trace",
]
