"""Uses that acceptable use policies forbid or bind, by a closed vocabulary the operator declares.

The vocabulary names what an agent product meets; each licence's policy says under which number it
speaks of it (the policies renumber themselves between versions, and Llama 4's skips 2). Sources:
``USE_POLICY.md`` of each version in meta-llama/llama-models; DeepSeek licence, Attachment A.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from agentkit.licensing.findings import Finding, Outcome

__all__ = ["DeclaredUse", "PolicyTopic", "use_findings"]


class DeclaredUse(StrEnum):
    """What the deployment does that a policy may speak of. Declare all that apply."""

    PROFESSIONAL_ADVICE = "professional_advice"  # a licensed professional answers for it
    UNLICENSED_PRACTICE = "unlicensed_practice"  # financial, legal, medical ..., nobody licensed
    SENSITIVE_PERSONAL_DATA = "sensitive_personal_data"  # with a legal basis
    SENSITIVE_PERSONAL_DATA_WITHOUT_RIGHT = "sensitive_personal_data_without_right"
    SAFEGUARD_TESTING = "safeguard_testing"  # red-teaming of one's own deployment
    CIRCUMVENT_SAFEGUARDS = "circumvent_safeguards"
    MILITARY = "military"
    CRITICAL_INFRASTRUCTURE_SUPPORT = "critical_infrastructure_support"  # people operate it
    OPERATE_CRITICAL_INFRASTRUCTURE = "operate_critical_infrastructure"
    OPERATE_TRANSPORT = "operate_transport"
    OPERATE_HEAVY_MACHINERY = "operate_heavy_machinery"
    POSE_AS_HUMAN = "pose_as_human"
    UNDISCLOSED_DANGERS = "undisclosed_dangers"  # known dangers not told to end users


class PolicyTopic(StrEnum):
    """A policy's clause, whatever its number there."""

    PROFESSIONAL_PRACTICE = "professional_practice"
    SENSITIVE_DATA = "sensitive_data"
    SAFEGUARDS = "safeguards"
    MILITARY = "military"
    INFRASTRUCTURE = "infrastructure"
    HUMAN_CLAIM = "human_claim"
    DISCLOSURE = "disclosure"


@dataclass(frozen=True, slots=True)
class _Judgement:
    topic: PolicyTopic
    outcome: Outcome
    reason: str
    cure: str


def _deny(topic: PolicyTopic, reason: str, cure: str) -> _Judgement:
    return _Judgement(topic, Outcome.DENY, reason, cure)


def _review(topic: PolicyTopic, reason: str, cure: str) -> _Judgement:
    return _Judgement(topic, Outcome.REVIEW, reason, cure)


_OTHER_MODEL = "remove this use, or choose a model whose licence has no such policy"
_OPERATION = _deny(
    PolicyTopic.INFRASTRUCTURE,
    "operating critical infrastructure, transport or heavy machinery is forbidden",
    "let people operate it and declare critical_infrastructure_support, or choose another model",
)

_JUDGEMENTS = MappingProxyType(
    {
        DeclaredUse.PROFESSIONAL_ADVICE: _review(
            PolicyTopic.PROFESSIONAL_PRACTICE,
            "professional advice is permitted only under a licence to practise",
            "have a reviewer confirm which licensed professional answers for the advice",
        ),
        DeclaredUse.UNLICENSED_PRACTICE: _deny(
            PolicyTopic.PROFESSIONAL_PRACTICE,
            "unlicensed practice of a profession is forbidden",
            "put a licensed professional in charge and declare professional_advice instead",
        ),
        DeclaredUse.SENSITIVE_PERSONAL_DATA: _review(
            PolicyTopic.SENSITIVE_DATA,
            "sensitive personal data needs the right to process it under applicable law",
            "have a reviewer confirm the legal basis",
        ),
        DeclaredUse.SENSITIVE_PERSONAL_DATA_WITHOUT_RIGHT: _deny(
            PolicyTopic.SENSITIVE_DATA,
            "processing sensitive personal data without the right to is forbidden",
            "obtain the right and declare sensitive_personal_data, or keep such data out",
        ),
        DeclaredUse.SAFEGUARD_TESTING: _review(
            PolicyTopic.SAFEGUARDS,
            "the policy forbids circumventing safety measures and names no exception for tests",
            "have a reviewer confirm scope and purpose of the tests",
        ),
        DeclaredUse.CIRCUMVENT_SAFEGUARDS: _deny(
            PolicyTopic.SAFEGUARDS,
            "circumventing or removing usage restrictions or safety measures is forbidden",
            _OTHER_MODEL,
        ),
        DeclaredUse.MILITARY: _deny(
            PolicyTopic.MILITARY,
            "military, warfare, nuclear, espionage and arms-control uses are forbidden",
            _OTHER_MODEL,
        ),
        DeclaredUse.CRITICAL_INFRASTRUCTURE_SUPPORT: _review(
            PolicyTopic.INFRASTRUCTURE,
            "support of critical infrastructure stands close to its forbidden operation",
            "have a reviewer confirm that no output operates anything without a person",
        ),
        DeclaredUse.OPERATE_CRITICAL_INFRASTRUCTURE: _OPERATION,
        DeclaredUse.OPERATE_TRANSPORT: _OPERATION,
        DeclaredUse.OPERATE_HEAVY_MACHINERY: _OPERATION,
        DeclaredUse.POSE_AS_HUMAN: _deny(
            PolicyTopic.HUMAN_CLAIM,
            "representing the use or the outputs as human is forbidden",
            "tell users that they talk to an AI system and remove this use",
        ),
        DeclaredUse.UNDISCLOSED_DANGERS: _deny(
            PolicyTopic.DISCLOSURE,
            "failing to disclose known dangers of the system to end users is forbidden",
            "disclose the known dangers to end users and remove this use",
        ),
    }
)


def use_findings(
    prefix: str, policy: str, clauses: tuple[tuple[PolicyTopic, str], ...], uses: tuple[str, ...]
) -> tuple[Finding, ...]:
    """Judge each declared use against one policy; a topic the policy lacks is recorded as such.

    ``prefix``: of the rule ids. ``policy``: its title. ``clauses``: topic → number in that policy.
    """
    numbers = dict(clauses)
    return tuple(_judge(prefix, policy, numbers, DeclaredUse(use)) for use in uses)


def _judge(prefix: str, policy: str, numbers: dict[PolicyTopic, str], use: DeclaredUse) -> Finding:
    judgement = _JUDGEMENTS[use]
    rule = f"{prefix}.aup.{use}"
    if judgement.topic not in numbers:
        return Finding(rule, policy, Outcome.RECORD, "this policy has no clause on it")
    clause = f"{policy}, {numbers[judgement.topic]}"
    return Finding(rule, clause, judgement.outcome, judgement.reason, judgement.cure)
