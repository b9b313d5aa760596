from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from agentkit.audit import AuditLog, Entry, read_events
from agentkit.guards import Boundary, CodeScanDetector, GuardPipeline, build_pipeline
from agentkit.messages import ToolResultPart
from agentkit.model.protocol import FinishDelta, ToolCallDelta
from agentkit.model.scripted import ScriptedModel
from agentkit.planner import Approver, Gate, NobodyPresent, Planner, ToolPolicy, TurnLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from agentkit.guards import Detector
    from agentkit.messages import Message
    from agentkit.planner import TurnEvent, TurnResult
    from agentkit.tools import Tool

ALL_GUARDS = ("hidden_text", "injection", "secrets")


def calls(*proposed: tuple[str, dict[str, Any]]) -> list[Any]:
    """One scripted reply that proposes calls."""
    deltas: list[Any] = [ToolCallDelta(name, arguments) for name, arguments in proposed]
    return [*deltas, FinishDelta("calls")]


def commit(*entries: tuple[str, dict[str, Any]], count: int = 1) -> list[Any]:
    """One scripted reply to the question what the request implies."""
    stated = [{"tool": name, "objects": objects, "count": count} for name, objects in entries]
    return calls(("commit", {"calls": stated}))


@dataclass
class House:
    """A planner over a real log and real guards, with a scripted model."""

    folder: Path
    log: AuditLog
    events: list[TurnEvent] = field(default_factory=list)
    model: ScriptedModel | None = None

    def planner(
        self,
        replies: Sequence[Any],
        *tools: Tool,
        policies: dict[str, ToolPolicy] | None = None,
        limits: TurnLimits = TurnLimits(),
        approver: Approver | None = None,
        detectors: dict[Boundary, Sequence[Detector]] | None = None,
    ) -> Planner:
        self.model = ScriptedModel(replies)
        guards = (
            GuardPipeline({b: detectors.get(b, ()) for b in Boundary}, timeout_s=0.2)
            if detectors is not None
            else build_pipeline(dict.fromkeys(Boundary, ALL_GUARDS), timeout_s=5)
        )
        code_guards = GuardPipeline(
            {b: (CodeScanDetector(),) if b is Boundary.TOOL_ARGUMENTS else () for b in Boundary},
            timeout_s=5,
        )
        return Planner(
            model=self.model,
            tools=tools,
            gate=Gate(tools, policies or {}, guards, code_guards),
            guards=guards,
            log=self.log,
            approver=approver or NobodyPresent(),
            limits=limits,
            observe=self.events.append,
        )

    def run(self, planner: Planner, text: str = "Please help", *before: Message) -> TurnResult:
        async def main() -> TurnResult:
            return await planner.run(before, text, run_id="r", turn=1)

        return anyio.run(main)

    @property
    def results(self) -> list[ToolResultPart]:
        """The tool results that the model was last shown."""
        assert self.model is not None
        return [
            part
            for message in self.model.shown[-1].messages
            for part in message.parts
            if isinstance(part, ToolResultPart)
        ]

    @property
    def entries(self) -> list[Entry]:
        return [entry for entry in read_events(self.folder) if entry.record.run_id == "r"]

    @property
    def kinds(self) -> list[str]:
        return [entry.record.kind.value for entry in self.entries]

    def of_kind(self, kind: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.record.kind.value == kind]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with AuditLog.open(tmp_path / "log") as log:
        yield House(tmp_path / "log", log)


@pytest.fixture
def propose() -> Callable[..., list[Any]]:
    return calls


@pytest.fixture
def imply() -> Callable[..., list[Any]]:
    return commit
