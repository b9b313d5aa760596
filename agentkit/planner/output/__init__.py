"""The output channel: what of an answer goes out to the user's screen, and as what."""

from agentkit.planner.output.channel import (
    Citation,
    Finding,
    LinkRule,
    OutputChannel,
    Released,
)

__all__ = ["Citation", "Finding", "LinkRule", "OutputChannel", "Released"]
