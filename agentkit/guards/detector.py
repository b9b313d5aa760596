"""What a detector is: a name, a canary it must not allow, and a judgement of one text.

A detector looks at one text that crosses one boundary and answers with a ``Verdict``. It may
raise: the pipeline turns every failure into a ``block``. It never changes anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar, runtime_checkable

import anyio.to_thread

from agentkit.guards.verdict import Boundary

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkit.guards.verdict import Verdict

__all__ = ["Detector", "GuardContext", "SpeakerRole", "Turn", "run_scan"]

SpeakerRole = Literal["user", "assistant", "tool"]
Turn = tuple[Literal["user", "assistant"], str]

_Result = TypeVar("_Result")

# A thread hop costs about 0.1 ms, a linear scan of this many characters about 1 ms: below it the
# hop is the larger part of the cost and the event loop does not notice the scan.
_INLINE_CHARACTERS = 4096


@dataclass(frozen=True, slots=True)
class GuardContext:
    """Where a text crosses, and who said it.

    ``role``: whose text is judged. ``conversation``: the turns before it, oldest first, without
    the judged text itself; only model-based detectors read it.
    """

    boundary: Boundary
    role: SpeakerRole
    conversation: tuple[Turn, ...] = ()

    @classmethod
    def of(cls, boundary: Boundary, conversation: tuple[Turn, ...] = ()) -> GuardContext:
        """Return the context of a boundary with the role that speaks there."""
        return cls(boundary, _SPEAKERS[boundary], conversation)


_SPEAKERS: dict[Boundary, SpeakerRole] = {
    Boundary.USER_INPUT: "user",
    Boundary.TOOL_ARGUMENTS: "assistant",
    Boundary.TOOL_RESULT: "tool",
    Boundary.MODEL_OUTPUT: "assistant",
}


@runtime_checkable
class Detector(Protocol):
    """One way to find bad content.

    ``name`` stands in ``agent.yaml``, in verdicts and in the audit log. ``canary`` is a text that
    the detector must not allow at any boundary; the startup gate feeds it before anything runs.
    """

    @property
    def name(self) -> str:
        """The detector's name, unique within a boundary."""

    @property
    def canary(self) -> str:
        """A text that this detector must not allow."""

    async def judge(self, text: str, context: GuardContext) -> Verdict:
        """Judge one text. Whatever is raised here becomes a ``block``."""


async def run_scan(
    scan: Callable[[str, GuardContext], _Result], text: str, context: GuardContext
) -> _Result:
    """Run a CPU-bound scan: at once where the text is short, else in a thread.

    The thread is abandoned when the waiting task is cancelled (a timeout), so scans must be linear
    in the text's length: an abandoned one still runs to its end.
    """
    if len(text) <= _INLINE_CHARACTERS:
        return scan(text, context)
    return await anyio.to_thread.run_sync(scan, text, context, abandon_on_cancel=True)
