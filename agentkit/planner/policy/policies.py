"""All policies of one agent: loaded once, asked for each call.

The operator's policies stand *behind* the built-in checks and can only narrow what these allow:
a ``permit`` of Cedar's takes no question and no denial of another check away.

- A ``forbid`` that holds denies; one with ``@ask("why")`` asks, where the call is permitted but for
  the questions. Denials win.
- Where the operator wrote no ``permit``, all that is not forbidden is permitted. With the first
  ``permit`` of theirs Cedar's own rule holds: what no policy permits is denied. A call that only
  ``@ask`` permits permit is asked.
- Any error while evaluating any policy denies.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from agentkit.errors import SpecError
from agentkit.planner.decision import Decision, Evidence, Outcome
from agentkit.planner.policy.engine import BASE, Engine, PolicyUndecided, parse_statement
from agentkit.planner.policy.rules import compile_rule
from agentkit.planner.policy.schema import schema_text
from agentkit.planner.policy.statements import Statement, cut

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import tzinfo

    from agentkit.planner.policy.engine import Parsed, Verdict
    from agentkit.planner.policy.facts import CallFacts
    from agentkit.planner.policy.rules import Rule
    from agentkit.tools.declaration import Tool

__all__ = ["Policies", "PolicySource", "load_policies"]

RULE = "policy"


@dataclass(frozen=True, slots=True)
class PolicySource:
    """What the operator wrote.

    ``cedar``: file name → text. ``groups``: group → users. ``timezone``: an IANA name, the local
    time of hours and days.
    """

    rules: tuple[Rule, ...] = ()
    cedar: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Policies:
    """The loaded policies.

    ``text``: all of them as Cedar; ``written``: each by its id; ``digest``: sha256 over text,
    schema, groups and timezone, hex.
    """

    text: str
    schema: str
    digest: str
    written: tuple[tuple[str, str], ...]
    zone: tzinfo
    _engine: Engine = field(repr=False)

    @property
    def ids(self) -> tuple[str, ...]:
        """The policies' ids, each once, in order."""
        return tuple(dict.fromkeys(name for name, _ in self.written))

    def decide(self, facts: CallFacts) -> Decision:
        """Return the policies' word over one call; what cannot be decided is denied."""
        try:
            verdict = self._engine.ask(facts)
        except PolicyUndecided as undecided:
            return _undecided(str(undecided))
        return _decision(verdict, facts)


def load_policies(source: PolicySource, tools: Sequence[Tool]) -> Policies:
    """Compile, parse and validate. Raises ``SpecError`` with file and line, and ``RuleFault``."""
    statements = [
        *(one for rule in source.rules for one in compile_rule(rule, tools)),
        *(one for name, text in source.cedar.items() for one in cut(text, name)),
    ]
    parsed = [parse_statement(statement) for statement in statements]
    _refuse_doubles(parsed)
    if not any(policy.effect == "permit" for policy in parsed):
        parsed.append(parse_statement(Statement(BASE, "agentkit")))
    schema = schema_text(tools)
    engine = Engine(parsed, tools, source.groups)
    text = "\n\n".join(policy.text for policy in parsed) + "\n"
    members = "".join(f"{name}={sorted(users)}\n" for name, users in sorted(source.groups.items()))
    everything = f"{text}\0{schema}\0{members}\0{source.timezone}"
    return Policies(
        text,
        schema,
        hashlib.sha256(everything.encode()).hexdigest(),
        tuple((policy.policy_id, policy.text) for policy in parsed),
        ZoneInfo(source.timezone),
        engine,
    )


def _refuse_doubles(parsed: Sequence[Parsed]) -> None:
    places: dict[str, str] = {}
    for policy in parsed:
        # One rule may be several policies of one place; two places may not share an id.
        first = places.setdefault(policy.policy_id, policy.place)
        if first != policy.place:
            raise SpecError(
                f"the policy id {policy.policy_id!r} is used twice, first at {first}",
                cure="give each policy an id of its own; decisions are told apart by it",
                place=policy.place,
            )


def _undecided(why: str) -> Decision:
    return Decision(
        Outcome.DENY,
        RULE,
        f"the policies could not be decided: {why}",
        "have the operator correct the policy, see `agentkit policy test`",
    )


def _decision(verdict: Verdict, facts: CallFacts) -> Decision:
    policies = verdict.policies
    hard = [policy for policy in policies if not policy.ask]
    name = facts.tool.name
    if verdict.permitted:
        chosen, outcome = (hard, Outcome.ALLOW) if hard else (policies, Outcome.ASK)
        word = "permitted by" if hard else "permitted only with a person's word by"
    elif not policies:
        return Decision(
            Outcome.DENY,
            RULE,
            f"no policy permits this call of {name}",
            "have the operator write a permit for it",
        )
    else:
        chosen, outcome = (hard, Outcome.DENY) if hard else (policies, Outcome.ASK)
        word = "forbidden by" if hard else "to be asked by"
    ids = tuple(sorted({policy.policy_id for policy in chosen}))
    because = next((policy.because for policy in chosen if policy.because), "")
    reason = f"{name}: {word} {', '.join(ids)}" + (f": {because}" if because else "")
    cure = {
        Outcome.ALLOW: "",
        Outcome.ASK: "a person approves",
        Outcome.DENY: f"propose a call that {' and '.join(ids)} does not forbid, or have the "
        "operator change the policy",
    }[outcome]
    evidence = tuple(
        Evidence(f"$.{parameter}", _shown(facts, parameter), ", ".join(map(str, o.label.sources)))
        for parameter, o in facts.origins.items()
        if outcome is not Outcome.ALLOW and not o.label.is_trusted
    )
    return Decision(outcome, RULE, reason, cure, evidence, ids)


def _shown(facts: CallFacts, parameter: str) -> str:
    return str(facts.arguments.get(parameter, ""))[:120]
