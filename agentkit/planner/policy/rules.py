"""The YAML shorthand: rules of a few words, each compiled to Cedar policies that can be read.

A rule names tools or effects, says ``deny`` or ``ask``, and holds where *all* of its conditions
do. Conditions that shut something out (``outside``, ``unlike``) also hold where the argument is
absent: what is not there is not on the list.

What is not covered: ``like`` compares letter by letter, so a deny list of spellings can be
passed by another spelling; shut out by ``unlike`` and ``outside`` wherever there is a list of what
is allowed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from agentkit.planner.policy.comparison import Comparison, UnfitComparison, comparison_text
from agentkit.planner.policy.schema import effect_group
from agentkit.planner.policy.statements import Statement
from agentkit.planner.policy.types import parameter_types, quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agentkit.tools.declaration import Effect, Tool

__all__ = ["Conditions", "Rule", "RuleFault", "compile_rule"]

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class RuleFault(ValueError):
    """A rule that names what is not there. ``at``: the path below the rule ``rule_id``."""

    def __init__(
        self, message: str, fix: str, at: tuple[str | int, ...], rule_id: str = ""
    ) -> None:
        super().__init__(message)
        self.rule_id = rule_id
        self.message = message
        self.fix = fix
        self.at = at


@dataclass(frozen=True, slots=True)
class Conditions:
    """When a rule holds; what is left out holds always.

    ``hours``: minutes of the day, from (included) and to (excluded), over midnight where from is
    the later. ``untrusted``, ``sources``: any of them.
    """

    arguments: Mapping[str, Comparison] = field(default_factory=lambda: MappingProxyType({}))
    untrusted: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    hours: tuple[int, int] | None = None
    outside_hours: tuple[int, int] | None = None
    days: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    users_except: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    suspect: bool | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. ``tools`` empty and ``effects`` empty: every tool. ``place``: ``file:line``."""

    rule_id: str
    outcome: Literal["deny", "ask"]
    tools: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()
    because: str = ""
    when: Conditions = Conditions()
    place: str = ""


def compile_rule(rule: Rule, tools: Sequence[Tool]) -> tuple[Statement, ...]:
    """Return the rule as Cedar; several policies of one id where tools' parameters differ.

    Raises ``RuleFault`` for a tool, parameter or comparison that is not there.
    """
    try:
        return tuple(_compiled(rule, tools))
    except RuleFault as fault:
        fault.rule_id = rule.rule_id
        raise


def _compiled(rule: Rule, tools: Sequence[Tool]) -> Iterator[Statement]:
    by_name = {tool.name: tool for tool in tools}
    for index, name in enumerate(rule.tools):
        if name not in by_name:
            raise RuleFault(
                f"{name!r} is not an allowed tool",
                f"name one of: {', '.join(sorted(by_name)) or 'none is allowed'}",
                (rule.outcome, index),
            )
    anything = not rule.tools and not rule.effects
    chosen = [
        tool for tool in tools if anything or tool.name in rule.tools or tool.effect in rule.effects
    ]
    if not chosen:
        raise RuleFault(
            "no allowed tool falls under this rule", "name allowed tools", (rule.outcome,)
        )
    if not rule.when.arguments and not rule.when.untrusted:
        yield _statement(rule, _scope(rule), None)
        return
    for tool in chosen:
        yield _statement(rule, f"action == Action::{quote(tool.name)}", tool)


def _scope(rule: Rule) -> str:
    groups = [*rule.tools, *map(effect_group, rule.effects)]
    if not groups:
        return "action"
    return f"action in [{', '.join(f'Action::{quote(group)}' for group in groups)}]"


def _statement(rule: Rule, scope: str, tool: Tool | None) -> Statement:
    head = [f"@id({quote(rule.rule_id)})"]
    if rule.because:
        head.append(f"@because({quote(rule.because)})")
    if rule.outcome == "ask":
        head.append(f"@ask({quote(rule.because)})")
    clauses = [*_plain(rule.when), *(_typed(rule.when, tool) if tool else ())]
    when = " &&\n  ".join(clauses)
    body = f"forbid (principal, {scope}, resource)"
    body += f"\nwhen {{\n  {when}\n}};" if clauses else ";"
    return Statement("\n".join([*head, body]), rule.place)


def _plain(when: Conditions) -> Iterator[str]:
    """Yield the conditions that are the same for every tool."""
    if when.sources:
        yield f"context.sources.containsAny({_list(when.sources)})"
    if when.hours:
        yield _inside(when.hours)
    if when.outside_hours:
        yield f"!({_inside(when.outside_hours)})"
    if when.days:
        numbers = ", ".join(str(_DAYS.index(day) + 1) for day in when.days)
        yield f"[{numbers}].contains(context.time.weekday)"
    if when.users:
        yield _among("User", when.users)
    if when.users_except:
        yield f"!({_among('User', when.users_except)})"
    if when.groups:
        yield _among("Group", when.groups)
    if when.tiers:
        yield f"{_list(when.tiers)}.contains(context.tier)"
    if when.suspect is not None:
        yield "context.suspect" if when.suspect else "!context.suspect"


def _typed(when: Conditions, tool: Tool) -> Iterator[str]:
    """Yield the conditions over the tool's parameters."""
    properties = tool.parameters.get("properties")
    known = sorted(properties) if isinstance(properties, dict) else []
    fields = parameter_types(tool.parameters).fields
    for index, name in enumerate(when.untrusted):
        if name not in known:
            raise _unknown(tool, name, known, ("when", "untrusted", index))
    if when.untrusted:
        yield f"context.untrusted.containsAny({_list(when.untrusted)})"
    for name, test in when.arguments.items():
        at = ("when", "arguments", name)
        if name not in known:
            raise _unknown(tool, name, known, at)
        if name not in fields:
            raise RuleFault(
                f"{name} of {tool.name} has several types or none, so no rule can compare it",
                "give the parameter one type, or use tools.*.arguments (a JSON Schema)",
                at,
            )
        kind, always = fields[name]
        try:
            yield comparison_text(name, test, kind, always=always)
        except UnfitComparison as fault:
            raise RuleFault(f"{name} of {tool.name}: {fault}", fault.fix, at) from None


def _unknown(tool: Tool, name: str, known: Sequence[str], at: tuple[str | int, ...]) -> RuleFault:
    return RuleFault(
        f"{tool.name} has no parameter {name!r}", f"name one of: {', '.join(known) or 'none'}", at
    )


def _inside(hours: tuple[int, int]) -> str:
    begin, end = hours
    minute = "context.time.minute"
    both = "&&" if begin < end else "||"
    return f"({minute} >= {begin} {both} {minute} < {end})"


def _among(entity: str, names: Sequence[str]) -> str:
    return f"principal in [{', '.join(f'{entity}::{quote(name)}' for name in names)}]"


def _list(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(quote, texts))}]"
