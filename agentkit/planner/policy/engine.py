"""cedarpy behind one door: parse, validate, ask. Loaded only where an agent has policies.

What is covered: everything is parsed once; the request is checked against the schema each time;
whatever Cedar says besides a clean yes or no (an error in any policy, no decision, an exception)
raises ``PolicyUndecided``, for Cedar itself skips a ``forbid`` that fails to evaluate.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentkit.errors import SpecError
from agentkit.planner.policy.facts import cedar_request
from agentkit.planner.policy.mentions import EVERYTHING, mentions
from agentkit.planner.policy.schema import schema_text
from agentkit.planner.policy.types import UnfitValue, parameter_types, quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    from agentkit.planner.policy.facts import CallFacts
    from agentkit.planner.policy.statements import Statement
    from agentkit.tools.declaration import Tool

__all__ = ["Engine", "Parsed", "PolicyUndecided", "Verdict", "parse_statement"]

_ANNOTATIONS = frozenset({"id", "ask", "because"})


class PolicyUndecided(Exception):
    """The policies gave no clean answer over one call."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """One policy. ``ask``: whether it stands for a question rather than a no. ``reads``: the
    attributes it looks at.
    """

    policy_id: str
    text: str
    place: str
    effect: str
    ask: bool
    because: str
    reads: frozenset[str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Cedar's answer: ``permitted``, and the policies that made it."""

    permitted: bool
    policies: tuple[Parsed, ...]


def parse_statement(statement: Statement) -> Parsed:
    """Return one policy. Raises ``SpecError`` with its place."""
    cedarpy = _cedarpy()
    try:
        nodes = cedarpy.policies_to_pst(statement.text)
    except ValueError as error:
        raise SpecError(
            f"this is no Cedar policy: {error}",
            cure="correct it; the policy begins at this line and ends with a semicolon",
            place=statement.place,
        ) from None
    if nodes.templates or len(nodes.static_policies) != 1:
        raise SpecError(
            "this is a template, and nothing here links templates"
            if nodes.templates
            else "exactly one policy was expected here",
            cure="write out the principal and the resource",
            place=statement.place,
        )
    (policy,) = nodes.static_policies.values()
    notes: Mapping[str, str] = policy.annotations
    if unknown := sorted(set(notes) - _ANNOTATIONS):
        raise SpecError(
            f"@{unknown[0]} means nothing here",
            cure=f"use {', '.join(f'@{name}' for name in sorted(_ANNOTATIONS))}",
            place=statement.place,
        )
    return Parsed(
        notes.get("id", "") or statement.place,
        statement.text,
        statement.place,
        policy.effect,
        "ask" in notes,
        notes.get("because", "") or notes.get("ask", ""),
        mentions(policy),
    )


class Engine:
    """All policies of one agent, pre-parsed and validated."""

    def __init__(
        self,
        policies: Sequence[Parsed],
        tools: Sequence[Tool],
        groups: Mapping[str, Sequence[str]],
    ) -> None:
        cedarpy = _cedarpy()
        self._policies = tuple(policies)
        # Without the questions: Cedar does not say whether what one of them forbids is permitted.
        self._firm = tuple(one for one in policies if not (one.ask and one.effect == "forbid"))
        text = _text(policies)
        self._check(cedarpy.validate_policies(text, schema_text(tools)))
        reads: frozenset[str] = frozenset().union(*(policy.reads for policy in policies))
        names = None if EVERYTHING in reads else reads
        self._schema = cedarpy.Schema.from_str(schema_text(tools, names))
        self._parameters = {tool.name: parameter_types(tool.parameters, names) for tool in tools}
        self._set = cedarpy.PolicySet.from_str(text)
        self._firm_set = cedarpy.PolicySet.from_str(_text(self._firm))
        self._entities = cedarpy.Entities.from_json_str(_entities(groups), self._schema)

    def ask(self, facts: CallFacts) -> Verdict:
        """Return Cedar's answer; what is asked about is permitted but for the questions.

        Raises ``PolicyUndecided``.
        """
        verdict = self._answer(facts, self._set, self._policies)
        if verdict.permitted or not all(policy.ask for policy in verdict.policies):
            return verdict
        firm = self._answer(facts, self._firm_set, self._firm)
        return verdict if firm.permitted else firm

    def _answer(
        self,
        facts: CallFacts,
        policy_set: Any,  # noqa: ANN401 - cedarpy is loaded on demand
        policies: Sequence[Parsed],
    ) -> Verdict:
        cedarpy = _cedarpy()
        try:
            request = cedar_request(facts, self._parameters[facts.tool.name])
            result = cedarpy.is_authorized(request, policy_set, self._entities, self._schema)
            errors, reasons = result.diagnostics.errors, result.diagnostics.reasons
            decision = result.decision
        except UnfitValue as unfit:
            raise PolicyUndecided(str(unfit)) from None
        except (ValueError, TypeError, KeyError) as error:
            raise PolicyUndecided(f"the request is none: {error}") from error
        if errors:
            raise PolicyUndecided(_named(errors[0], policies))
        if decision is cedarpy.Decision.NoDecision:
            raise PolicyUndecided("Cedar came to no decision")
        found = tuple(policies[_number(reason)] for reason in reasons)
        return Verdict(decision is cedarpy.Decision.Allow, found)

    def _check(self, result: Any) -> None:  # noqa: ANN401 - cedarpy is loaded on demand
        """Raise ``SpecError`` at the first policy that does not fit the schema."""
        if result.validation_passed:
            return
        if not result.errors:
            raise SpecError("Cedar refused the policies", cure="check them with the cedar tool")
        first = result.errors[0]
        place = self._policies[_number(first.policy_id)].place if first.policy_id else ""
        raise SpecError(
            _named(first.error, self._policies),
            cure="name tools, parameters and facts as `agentkit policy show --schema` lists them;"
            " guard what may be absent with `has`",
            place=place,
        )


def _text(policies: Sequence[Parsed]) -> str:
    return "\n".join(policy.text for policy in policies)


def _named(message: str, policies: Sequence[Parsed]) -> str:
    """Return a message of Cedar's with our ids in place of its ``policy0``."""
    for number in range(len(policies) - 1, -1, -1):
        message = message.replace(f"`policy{number}`", f"`{policies[number].policy_id}`")
    return message


def _number(reason: str) -> int:
    return int(reason.removeprefix("policy"))


def _entities(groups: Mapping[str, Sequence[str]]) -> str:
    members: dict[str, list[str]] = {}
    for group, users in groups.items():
        for user in users:
            members.setdefault(user, []).append(group)
    found = [
        {
            "uid": {"type": "User", "id": user},
            "attrs": {},
            "parents": [{"type": "Group", "id": group} for group in sorted(of_user)],
        }
        for user, of_user in members.items()
    ]
    return json.dumps(found)


def _cedarpy() -> ModuleType:
    try:
        import cedarpy  # noqa: PLC0415 - 16 MB, wanted only where there are policies
    except ImportError as error:
        raise SpecError(
            "policies need cedarpy, which is not installed",
            cure="pip install 'agentkit-gated[policies]', or take the policies section out",
        ) from error
    return cedarpy


BASE = f"@id({quote('agentkit.base')})\npermit (principal, action, resource);"
"""What permits every call where the operator wrote no ``permit`` of their own."""
