"""``agentkit policy test``: a file of cases against an agent's policies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path  # noqa: TC003 - Typer evaluates it
from typing import TYPE_CHECKING, Annotated

import typer
from jsonschema import Draft202012Validator
from rich.text import Text

from agentkit.cli.options import AsJson  # noqa: TC001 - Typer evaluates it
from agentkit.cli.screen import Screen, state_style
from agentkit.errors import SpecError
from agentkit.labels import Integrity, Label, Source, SourceKind
from agentkit.planner.policy import ArgumentFacts, CallFacts, Setting
from agentkit.spec import load_spec
from agentkit.spec.cases import load_cases
from agentkit.startup import declared_tools, open_policies

if TYPE_CHECKING:
    from agentkit.messages import JsonObject
    from agentkit.planner import Decision
    from agentkit.planner.policy import Policies
    from agentkit.spec import LoadedSpec
    from agentkit.spec.cases import CaseSpec, LoadedCases
    from agentkit.tools import Tool

__all__ = ["try_cases"]

_KINDS = {kind.value: kind for kind in SourceKind}


@dataclass(frozen=True, slots=True)
class _Tried:
    """One case and what the policies said of it."""

    case: CaseSpec
    decision: Decision

    @property
    def passed(self) -> bool:
        wanted = self.case.policies
        right = self.decision.outcome.value == self.case.expect
        return right and (wanted is None or set(wanted) == set(self.decision.policies))

    def to_json(self) -> JsonObject:
        decision = self.decision
        return {
            "name": self.case.name,
            "passed": self.passed,
            "expected": self.case.expect,
            "outcome": decision.outcome.value,
            "policies": [*decision.policies],
            "reason": decision.reason,
        }


def try_cases(
    cases: Annotated[
        Path, typer.Argument(metavar="FILE", help="A YAML file of cases.", readable=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Try cases against the policies alone; leaves with 1 where one comes out otherwise."""
    screen = Screen.here()
    loaded = load_cases(cases)
    spec = load_spec(loaded.spec)
    tools = declared_tools(spec)
    policies = open_policies(spec, tools)
    if policies is None:
        raise SpecError(
            "this agent has no policies to test",
            cure="add a policies section, or name another file at spec",
            place=str(loaded.spec),
        )
    by_name = {tool.name: tool for tool in tools}
    tried = [
        _Tried(case, policies.decide(_facts(loaded, index, by_name, policies, spec)))
        for index, case in enumerate(loaded.cases)
    ]
    failed = [one for one in tried if not one.passed]
    if as_json:
        screen.emit(
            {
                "ok": not failed,
                "policy_digest": policies.digest,
                "cases": [one.to_json() for one in tried],
            }
        )
    else:
        _show(screen, tried, len(failed))
    if failed:
        raise typer.Exit(1)


def _facts(
    loaded: LoadedCases,
    index: int,
    tools: dict[str, Tool],
    policies: Policies,
    spec: LoadedSpec,
) -> CallFacts:
    case = loaded.cases[index]
    tool = tools.get(case.tool)
    if tool is None:
        raise SpecError(
            f"{case.tool} is not an allowed tool",
            cure=f"name one of: {', '.join(sorted(tools))}",
            place=loaded.place(index, "tool"),
        )
    # A case that no call could be would pass for the wrong reason.
    wrong = next(Draft202012Validator(tool.parameters).iter_errors(case.arguments), None)
    if wrong is not None:
        raise SpecError(
            f"{tool.name} takes no such arguments: {wrong.json_path}: {wrong.message}",
            cure="write the arguments as the tool declares them",
            place=loaded.place(index, "arguments"),
        )
    moment = datetime.fromisoformat(case.at).replace(tzinfo=policies.zone)
    setting = Setting(spec.spec.name, case.user, spec.spec.sandbox.tier.value)
    origins = {name: _origin(loaded, index, name) for name in case.arguments}
    return CallFacts(tool, case.arguments, moment, setting, origins, case.suspect)


def _origin(loaded: LoadedCases, index: int, name: str) -> ArgumentFacts:
    case = loaded.cases[index]
    trusted = name not in (case.untrusted or ())
    named = case.sources.get(name) or (("user",) if trusted else ("tool:unnamed",))
    sources = []
    for place, source in enumerate(named):
        kind, _, identifier = source.partition(":")
        if kind not in _KINDS:
            raise SpecError(
                f"{source} is no source",
                cure="write user, operator, model, tool:NAME or document:URI",
                place=loaded.place(index, "sources", name, place),
            )
        sources.append(Source(_KINDS[kind], identifier))
    integrity = Integrity.TRUSTED if trusted else Integrity.UNTRUSTED
    return ArgumentFacts(Label(integrity, sources=tuple(sources)), found=True)


def _show(screen: Screen, tried: list[_Tried], failed: int) -> None:
    screen.table(
        "",
        "case",
        "expected",
        "outcome",
        "policies",
        rows=(
            (
                Text("ok", style="green") if one.passed else Text("FAILED", style="red"),
                one.case.name,
                one.case.expect,
                Text(one.decision.outcome.value, style=state_style(one.decision.outcome.value)),
                ", ".join(one.decision.policies) or one.decision.reason,
            )
            for one in tried
        ),
    )
    screen.row("cases", f"{len(tried)} tried, {failed} came out otherwise")
