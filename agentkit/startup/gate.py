"""The gate before the first turn.

What is covered, in this order: the audit log can be written; the licence of every model permits
this deployment (the first audit record, before anything is downloaded); the state of runs and
approvals opens, where the specification names one; custom tools load; the sandbox tier that the
specification names really runs code; constraints and policies fit the tools; the store of budgets
opens; every guard recognises its canary at every boundary; the model loads. Whatever fails is
recorded and refuses to start.

What is not covered: what changes on the machine after startup.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import anyio.to_thread

from agentkit.audit import AuditEvent, AuditLog, EventKind
from agentkit.errors import (
    AgentkitError,
    AuditError,
    GuardError,
    SandboxError,
    StartupRefused,
    StateError,
)
from agentkit.guards import Boundary, CodeScanDetector, GuardPipeline, build_pipeline
from agentkit.planner import StateFile
from agentkit.sandbox import Tier, open_sandbox
from agentkit.spec import RemoteModel
from agentkit.startup.constraints import check_constraints
from agentkit.startup.licence import decide_licences
from agentkit.startup.models import open_guard_model, open_model
from agentkit.startup.policies import open_policies
from agentkit.startup.report import StartupCheck, StartupReport
from agentkit.startup.spending import open_spending
from agentkit.tools import execution_recorder, load_tool, python_tool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AsyncExitStack

    from agentkit.licensing import LicenceDecision
    from agentkit.messages import JsonObject
    from agentkit.model import ChatModel
    from agentkit.planner.policy import Policies
    from agentkit.planner.spending import Spending
    from agentkit.progress import Progress
    from agentkit.sandbox import EgressEvent, Sandbox
    from agentkit.spec import LoadedSpec
    from agentkit.startup.pool import ModelPool
    from agentkit.startup.report import StartupObserver
    from agentkit.tools import Tool

__all__ = ["Rooms", "start"]

_CLAUSE = "agentkit startup rules, docs/startup.md"


@dataclass(frozen=True, slots=True)
class Rooms:
    """Everything that passed, ready for turns."""

    log: AuditLog
    model: ChatModel
    tools: tuple[Tool, ...]
    guards: GuardPipeline
    code_guards: GuardPipeline
    policies: Policies | None
    spending: Spending
    report: StartupReport
    state: StateFile


async def start(
    loaded: LoadedSpec,
    run_id: str,
    stack: AsyncExitStack,
    *,
    progress: Progress,
    observe: StartupObserver,
    models: ModelPool | None = None,
) -> Rooms:
    """Make all checks and open all rooms; ``stack`` closes them in reverse order.

    ``models``: where the model comes from that other agents use too.

    Raises ``StartupRefused``, ``ToolError`` or ``ModelError``; the refusal is recorded first,
    unless it is the audit log itself that cannot be written.
    """
    log = await _open_log(loaded)
    stack.callback(log.close)
    try:
        return await _Startup(loaded, run_id, stack, log, progress, observe, models).run()
    except AgentkitError as error:
        body: JsonObject = {"class": type(error).__name__, "exit_code": error.exit_code}
        if isinstance(error, StartupRefused):
            body |= {"rule": error.rule, "clause": error.clause}
        await log.record(
            AuditEvent(
                kind=EventKind.REFUSAL,
                run_id=run_id,
                body=body,
                sensitive={"message": error.message},
            )
        )
        raise


async def _open_log(loaded: LoadedSpec) -> AuditLog:
    path = loaded.resolve(loaded.spec.audit.path)
    try:
        return await anyio.to_thread.run_sync(AuditLog.open, path)
    except AuditError as error:
        raise StartupRefused(
            f"the audit log cannot be written: {error.message}",
            rule="startup.audit",
            clause=_CLAUSE,
            cure=error.cure or "name a folder that this user may write at audit.path",
            place=error.place or str(path),
            exit_code=error.exit_code,
        ) from error


@dataclass(slots=True)
class _Draft:
    """One check while it is made: what to show, and what else to record."""

    detail: str = ""
    body: JsonObject = field(default_factory=dict)


@dataclass(slots=True)
class _Startup:
    """The state of one start."""

    loaded: LoadedSpec
    run_id: str
    stack: AsyncExitStack
    log: AuditLog
    progress: Progress
    observe: StartupObserver
    models: ModelPool | None
    checks: list[StartupCheck] = field(default_factory=list)

    async def run(self) -> Rooms:
        decisions = await self._decide_licences()
        async with self._check("audit") as draft:
            draft.detail = f"{self.log.path}, {self.log.size} records, key {self.log.public_key}"
        state = await self._open_state()
        async with self._check("tools") as draft:
            tools = self._load_tools()
            names = [*(["python"] if "python" in self.loaded.spec.tools else []), *tools]
            draft.detail = ", ".join(names) or "none: the assistant can only talk"
        async with self._check("sandbox") as draft:
            sandboxed = await self._open_sandbox(draft)
        check_constraints(self.loaded, (*sandboxed, *tools.values()))
        policies = await self._open_policies((*sandboxed, *tools.values()))
        spending = await self._open_spending((*sandboxed, *tools.values()))
        async with self._check("guards") as draft:
            guards, code_guards = await self._open_guards(draft)
        async with self._check("model") as draft:
            model = await self._open_model()
            info = model.info
            name = f"{info.model_id} {info.revision}".strip()
            draft.detail = f"{name}, {info.architecture}, {info.backend}"
            if info.adapters:
                draft.detail += f", adapters merged: {'; '.join(info.adapters)}"
                draft.body = {"adapters": [*info.adapters]}
        spec = self.loaded.spec
        report = StartupReport(spec.name, self.loaded.sha256, tuple(self.checks), decisions)
        allowed = (*sandboxed, *tools.values())
        return Rooms(
            self.log, model, allowed, guards, code_guards, policies, spending, report, state
        )

    async def _open_model(self) -> ChatModel:
        """Return this agent's own model, or the one it shares; servers are never shared."""
        if self.models is not None and not isinstance(self.loaded.spec.model, RemoteModel):
            return await self.models.get(self.loaded, self.progress)
        model = await open_model(self.loaded, self.progress)
        self.stack.push_async_callback(model.aclose)
        return model

    async def _decide_licences(self) -> tuple[LicenceDecision, ...]:
        """Decide, record, and only then refuse: the decision is the first record either way."""
        async with self._check("licence") as draft:
            decisions = decide_licences(self.loaded.spec, datetime.now(UTC).date())
            draft.detail = "; ".join(_decision_line(decision) for decision in decisions)
            draft.body = {
                "spec_sha256": self.loaded.sha256,
                "decisions": [decision.to_json() for decision in decisions],
            }
        for decision in decisions:
            refusal = decision.refusal()
            if refusal is not None:
                raise refusal
        return decisions

    async def _open_state(self) -> StateFile:
        """Return the state that outlives the process, or one in memory where none is named."""
        spec = self.loaded.spec
        if spec.state is None:
            state = StateFile.in_memory()
            self.stack.callback(state.close)
            return state
        folder = self.loaded.resolve(spec.state.path)
        async with self._check("state") as draft:
            try:
                state = await anyio.to_thread.run_sync(StateFile.open, folder)
            except StateError as error:
                raise StartupRefused(
                    error.message,
                    rule="startup.state",
                    clause=_CLAUSE,
                    cure=error.cure,
                    place=self.loaded.place("state", "path"),
                    exit_code=error.exit_code,
                ) from error
            self.stack.callback(state.close)
            approvers = spec.approvals.approvers
            keys = [approver.key for approver in approvers]
            draft.detail = f"{state.place}, " + (
                f"{len(keys)} approvers' keys" if keys else "approvals unsigned by configuration"
            )
            draft.body = {"approvers": [*keys], "wait": spec.approvals.wait}
        return state

    def _load_tools(self) -> dict[str, Tool]:
        folder = self.loaded.resolve(".")
        return {
            name: load_tool(
                stated.function,
                folder,
                name=name,
                place=self.loaded.place("tools", name, "function"),
            )
            for name, stated in self.loaded.spec.tools.items()
            if stated.function is not None
        }

    async def _open_sandbox(self, draft: _Draft) -> tuple[Tool, ...]:
        """Return the tools that run code, over a session of the tier the specification names."""
        spec = self.loaded.spec
        if "python" not in spec.tools:
            draft.detail = "not started: no tool runs code"
            return ()
        try:
            sandbox = self._sandbox()
            draft.detail = f"{sandbox.tier}: {await sandbox.check()}"
            stated = spec.sandbox.egress
            egress = None if stated is None else stated.policy(self._record_egress)
            session = await self.stack.enter_async_context(
                sandbox.session(spec.sandbox.limits, egress=egress)
            )
        except SandboxError as error:
            raise StartupRefused(
                f"the sandbox tier {spec.sandbox.tier} cannot run here: {error.message}",
                rule="startup.sandbox",
                clause=_CLAUSE,
                cure=error.cure,
                place=self.loaded.place("sandbox", "tier"),
                exit_code=error.exit_code,
            ) from error
        programs = spec.tools["python"].programs
        record = execution_recorder(self.log, self.run_id, spec.sandbox.tier)
        return (python_tool(session, record=record, programs=programs),)

    async def _record_egress(self, event: EgressEvent) -> None:
        """Record one request of code to a server; it is connected only after this."""
        await self.log.record(
            AuditEvent(kind=EventKind.EGRESS, run_id=self.run_id, body=asdict(event))
        )

    def _sandbox(self) -> Sandbox:
        stated = self.loaded.spec.sandbox
        if stated.tier is Tier.WASM:
            # Its first use builds the guest, which takes half a minute.
            return open_sandbox(Tier.WASM, packages=stated.packages, progress=self.progress)
        return open_sandbox(stated.tier, packages=stated.packages, runtime=stated.runtime)

    async def _open_policies(self, tools: tuple[Tool, ...]) -> Policies | None:
        if self.loaded.spec.policies is None:
            return None
        async with self._check("policies") as draft:
            policies = open_policies(self.loaded, tools)
            if policies is not None:
                draft.detail = f"{len(policies.ids)} policies, sha256 {policies.digest}"
                draft.body = {"policies": [*policies.ids], "policy_digest": policies.digest}
        return policies

    async def _open_spending(self, tools: tuple[Tool, ...]) -> Spending:
        stated = self.loaded.spec.budgets
        if stated is None:
            return open_spending(self.loaded, tools)
        async with self._check("budgets") as draft:
            spending = await anyio.to_thread.run_sync(open_spending, self.loaded, tools)
            self.stack.callback(spending.store.close)
            draft.detail = f"{len(spending.limits)} limits in {self.loaded.resolve(stated.store)}"
        return spending

    async def _open_guards(self, draft: _Draft) -> tuple[GuardPipeline, GuardPipeline]:
        """Return the pipelines for content and for code, both seen to find their canaries."""
        stated = self.loaded.spec.guards
        names = {boundary: tuple(getattr(stated, boundary.value)) for boundary in Boundary}
        build = partial(build_pipeline, timeout_s=stated.timeout_s)
        if stated.llama_guard is not None:
            model = open_guard_model(stated.llama_guard)
            self.stack.push_async_callback(model.aclose)
            for boundary in (Boundary.USER_INPUT, Boundary.MODEL_OUTPUT):
                names[boundary] = (*names[boundary], "llama_guard")
            build = partial(
                build,
                llama_guard=model,
                llama_guard_version=stated.llama_guard.version,
                llama_guard_style=(
                    "conversation" if stated.llama_guard.template == "server" else "body"
                ),
            )
        guards = build(names)
        code_guards = GuardPipeline(
            {
                boundary: (CodeScanDetector(),) if boundary is Boundary.TOOL_ARGUMENTS else ()
                for boundary in Boundary
            },
            timeout_s=stated.timeout_s,
        )
        for result in (*await guards.check_canaries(), *await code_guards.check_canaries()):
            if not result.passed:
                raise StartupRefused(
                    f"the guard {result.detector} let its canary pass at {result.boundary}: "
                    f"{result.verdict.reason or result.verdict.action}",
                    rule="startup.guards",
                    clause=_CLAUSE,
                    cure="repair the guard, or take it out of that boundary's list",
                    place=self.loaded.place("guards", result.boundary.value),
                    exit_code=GuardError.exit_code,
                )
        count = sum(len(detectors) for detectors in names.values())
        draft.detail = (
            f"{count} detectors at {len(names)} boundaries and the code scan, canaries found"
        )
        draft.body = {"detectors": {boundary.value: [*names[boundary]] for boundary in Boundary}}
        return guards, code_guards

    @asynccontextmanager
    async def _check(self, name: str) -> AsyncIterator[_Draft]:
        """Time one check, record it, show it; a check that raises is not recorded as passed."""
        draft, begun = _Draft(), time.perf_counter()
        yield draft
        check = StartupCheck(name, draft.detail, time.perf_counter() - begun)
        await self.log.record(
            AuditEvent(
                kind=EventKind.STARTUP, run_id=self.run_id, body={**check.to_json(), **draft.body}
            )
        )
        self.checks.append(check)
        self.observe(check)


def _decision_line(decision: LicenceDecision) -> str:
    licence = decision.licence.licence_id if decision.licence else "no known terms"
    return f"{decision.outcome}: {decision.model.model_id} under {licence}"
