"""What a policy may know of one call, and the same as Cedar's request.

What is covered: user, agent, tool, effect, sandbox tier, local time, the typed arguments, and for
each argument whether all of it is trusted, was found in the conversation, and from which sources.

What is not covered: texts of the conversation; policies decide over facts, not over words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from agentkit.labels import Label, SourceKind
from agentkit.planner.policy.types import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agentkit.labels import Source
    from agentkit.messages import JsonObject, JsonValue
    from agentkit.planner.policy.types import Record
    from agentkit.tools.declaration import Tool

__all__ = ["ArgumentFacts", "CallFacts", "Setting", "cedar_request", "utc_now"]


def utc_now() -> datetime:
    """Return the time of the machine, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for all calls of one agent.

    ``tier``: the sandbox tier that code runs in. ``clock`` gives aware times; a policy sees them
    in the operator's timezone.
    """

    agent: str = "agent"
    user: str = "user"
    tier: str = "none"
    clock: Callable[[], datetime] = utc_now


@dataclass(frozen=True, slots=True)
class ArgumentFacts:
    """One argument's label, and whether its value was found rather than made by the model."""

    label: Label
    found: bool

    def join(self, other: ArgumentFacts) -> ArgumentFacts:
        """Return the facts of an argument made of this part and the other."""
        return ArgumentFacts(self.label.join(other.label), self.found and other.found)


@dataclass(frozen=True, slots=True)
class CallFacts:
    """One call as policies see it. ``moment`` is aware; ``origins`` is by parameter."""

    tool: Tool
    arguments: JsonObject
    moment: datetime
    setting: Setting = Setting()
    origins: Mapping[str, ArgumentFacts] = field(default_factory=lambda: MappingProxyType({}))
    suspect: bool = False


def source_name(source: Source) -> str:
    """Return a source as policies name it: ``user``, ``operator``, ``model``, ``tool:fetch`` ..."""
    if source.kind is SourceKind.TOOL:
        return f"tool:{source.identifier.split('#', maxsplit=1)[0]}"
    if source.kind is SourceKind.DOCUMENT:
        return f"document:{source.identifier}"
    return source.kind.value


def _source_names(labels: Sequence[Label]) -> list[JsonValue]:
    return [*sorted({source_name(one) for label in labels for one in label.sources})]


def cedar_request(facts: CallFacts, parameters: Record) -> dict[str, object]:
    """Return Cedar's request; ``parameters``: the arguments that any policy reads.

    Raises ``UnfitValue`` where one of them has no exact Cedar value.
    """
    properties = facts.tool.parameters.get("properties")
    known = properties if isinstance(properties, dict) else {}
    labels: JsonObject = {
        name: _label(facts, name, origin) for name, origin in facts.origins.items() if name in known
    }
    untrusted: list[JsonValue] = [
        name for name, origin in facts.origins.items() if not origin.label.is_trusted
    ]
    labels_of = [origin.label for origin in facts.origins.values()]
    context: JsonObject = {
        "agent": {"__entity": {"type": "Agent", "id": facts.setting.agent}},
        "effect": facts.tool.effect.value,
        "tier": facts.setting.tier,
        "suspect": facts.suspect,
        "untrusted": untrusted,
        "sources": _source_names(labels_of),
        "time": _moment(facts.moment),
        "arguments": encode(facts.arguments, parameters),
        "labels": labels,
    }
    return {
        "principal": {"type": "User", "id": facts.setting.user},
        "action": {"type": "Action", "id": facts.tool.name},
        "resource": {"type": "Tool", "id": facts.tool.name},
        "context": context,
    }


def _label(facts: CallFacts, name: str, origin: ArgumentFacts) -> JsonObject:
    found: JsonObject = {
        "trusted": origin.label.is_trusted,
        "found": origin.found,
        "sensitive": facts.tool.is_sensitive(name),
        "sources": _source_names([origin.label]),
    }
    if origin.label.readers is not None:
        found["readers"] = [*sorted(origin.label.readers)]
    return found


def _moment(moment: datetime) -> JsonObject:
    instant = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "now": {"__extn": {"fn": "datetime", "arg": instant}},
        "date": moment.date().isoformat(),
        "hour": moment.hour,
        "minute": moment.hour * 60 + moment.minute,
        "weekday": moment.isoweekday(),
    }
