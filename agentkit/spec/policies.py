"""The ``policies`` section: the operator's rules over calls, in a few words or as Cedar."""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import core_schema

from agentkit.planner.policy import Comparison, Conditions, Rule
from agentkit.spec.problems import quoted
from agentkit.spec.section import Fault, FilePath, Line, Matches, Section, distinct, faults
from agentkit.tools import Effect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

__all__ = ["ComparisonSpec", "ConditionsSpec", "PoliciesSpec", "RuleSpec"]

EVERY_TOOL = "all"
_EFFECT = "effect:"


def _scalar(value: object) -> object:
    if isinstance(value, bool | int | float | str):
        return value
    raise faults(Fault("must be one text, number, true or false", "write a single value"))


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class OneOrMore:
    """A list that may be written as its only item."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(_as_list, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        listed = handler(schema)
        return {"anyOf": [listed["items"], listed]}


Operand = Annotated[
    Any, AfterValidator(_scalar), WithJsonSchema({"type": ["string", "number", "boolean"]})
]
Operands = Annotated[tuple[Operand, ...], Field(strict=False, min_length=1)]
Number = Annotated[float, Field(ge=-1e14, le=1e14)] | None
Names = Annotated[
    tuple[Line, ...],
    Field(strict=False, min_length=1),
    OneOrMore(),
    AfterValidator(distinct),
]
Targets = Annotated[
    tuple[
        Annotated[
            str,
            Matches(
                r"[A-Za-z_][A-Za-z0-9_-]{0,63}|effect:(read|write|external)",
                "a tool's name, effect:read, effect:write, effect:external, or all",
                "name the tools that the rule is about: [send_mail, pay]",
                "send_mail",
            ),
        ],
        ...,
    ],
    Field(strict=False, min_length=1),
    OneOrMore(),
    AfterValidator(distinct),
]
Hours = Annotated[
    str,
    Matches(
        r"([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)",
        "a span of the day",
        'write it as "22:00-06:00"; the end is not part of it',
        "22:00-06:00",
    ),
]
Days = Annotated[
    tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...],
    Field(strict=False, min_length=1),
    OneOrMore(),
    AfterValidator(distinct),
]
PolicyId = Annotated[
    str,
    Matches(
        r"(?!agentkit\.)[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
        "a policy id: letters, digits, ., _ and -, not beginning with agentkit.",
        "write a short name that a decision can be traced to",
        "no-large-payments",
    ),
]


class ComparisonSpec(Section):
    """What is asked of one argument; of several comparisons all must hold."""

    equals: Operand | None = Field(default=None, description="It is this value.")
    one_of: Operands | None = Field(
        default=None, description="It is one of these; of a list, any item is."
    )
    outside: Operands | None = Field(
        default=None,
        description="It is none of these, or absent; of a list, any item is none of these.",
    )
    above: Number = Field(default=None, description="It is a number above this.")
    at_least: Number = Field(default=None, description="It is this number or more.")
    below: Number = Field(default=None, description="It is a number below this.")
    at_most: Number = Field(default=None, description="It is this number or less.")
    like: str | None = Field(
        default=None, description="The text has this form; * stands for any text."
    )
    unlike: str | None = Field(
        default=None, description="The text does not have this form, or is absent."
    )

    @property
    def comparison(self) -> Comparison:
        """The same, as the policies take it."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        # Whole numbers are compared as such: YAML's 10 is written as a float by the model above.
        for name in ("above", "at_least", "below", "at_most"):
            value = given[name]
            given[name] = int(value) if value is not None and value == int(value) else value
        return Comparison(**given)


class ConditionsSpec(Section):
    """When a rule holds: all that is written must be so."""

    arguments: dict[Line, ComparisonSpec] = Field(
        default={}, description="Comparisons by parameter."
    )
    untrusted: Names | None = Field(
        default=None,
        description="Any of these parameters holds what neither the user nor the operator said.",
    )
    sources: Names | None = Field(
        default=None, description="Any argument came from one of these: tool:NAME, document:URI."
    )
    hours: Hours | None = Field(default=None, description="The time of day lies in this span.")
    outside_hours: Hours | None = Field(default=None, description="It lies outside this span.")
    days: Days | None = Field(default=None, description="It is one of these days.")
    users: Names | None = Field(default=None, description="The user is one of these.")
    users_except: Names | None = Field(default=None, description="The user is none of these.")
    groups: Names | None = Field(default=None, description="The user is in one of these groups.")
    tiers: Names | None = Field(default=None, description="Code runs in one of these sandboxes.")
    suspect: bool | None = Field(
        default=None, description="Whether a guard saw signs of injection in this turn."
    )

    @property
    def conditions(self) -> Conditions:
        """The same, as the policies take it."""
        return Conditions(
            {name: stated.comparison for name, stated in self.arguments.items()},
            self.untrusted or (),
            self.sources or (),
            _minutes(self.hours),
            _minutes(self.outside_hours),
            self.days or (),
            self.users or (),
            self.users_except or (),
            self.groups or (),
            self.tiers or (),
            self.suspect,
        )


class RuleSpec(Section):
    """One rule: which calls, and whether they are denied or asked."""

    id: PolicyId = Field(description="By which decisions name the rule.")
    deny: Targets | None = Field(
        default=None, description="Tools, effect:NAME or all: these calls are denied."
    )
    ask: Targets | None = Field(default=None, description="These calls are asked.")
    because: Line | None = Field(default=None, description="What the user and approver are told.")
    when: ConditionsSpec = Field(default=ConditionsSpec(), description="When the rule holds.")

    @classmethod
    def cross_check(cls, given: Mapping[str, object]) -> Iterable[Fault]:
        """Demand exactly one of ``deny`` and ``ask``."""
        stated = [word for word in ("deny", "ask") if given.get(word) is not None]
        if len(stated) != 1:
            what = "both deny and ask are" if stated else "neither deny nor ask is"
            yield Fault(f"{what} given", "say deny: [tools] or ask: [tools]", on_key=True)

    def rule(self, place: str) -> Rule:
        """Return the same, as the policies take it; ``place``: ``file:line``."""
        targets = self.deny or self.ask or ()
        every = EVERY_TOOL in targets
        effects = [name.removeprefix(_EFFECT) for name in targets if name.startswith(_EFFECT)]
        return Rule(
            self.id,
            "deny" if self.deny else "ask",
            () if every else tuple(name for name in targets if not name.startswith(_EFFECT)),
            () if every else tuple(map(Effect, effects)),
            self.because or "",
            self.when.conditions,
            place,
        )


def _timezone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise faults(
            Fault(f"{quoted(name)} is no timezone", "write an IANA name such as Europe/Oslo")
        ) from None
    return name


class PoliciesSpec(Section):
    """Rules of the operator's own. They narrow what the gate allows and never widen it."""

    rules: Annotated[tuple[RuleSpec, ...], Field(strict=False, max_length=1000)] = Field(
        default=(), description="Rules in a few words; each compiles to Cedar."
    )
    cedar: Annotated[tuple[FilePath, ...], Field(strict=False), OneOrMore()] = Field(
        default=(), description="Files of Cedar policies, relative to the folder of agent.yaml."
    )
    groups: dict[Line, Names] = Field(default={}, description="Users by group.")
    timezone: Annotated[str, AfterValidator(_timezone)] = Field(
        default="UTC", description="Whose clock hours and days go by, an IANA name."
    )

    @classmethod
    def cross_check(cls, given: Mapping[str, object]) -> Iterable[Fault]:
        """Refuse two rules of one id."""
        rules = given.get("rules")
        seen: set[object] = set()
        for index, rule in enumerate(rules if isinstance(rules, list) else ()):
            rule_id = rule.get("id") if isinstance(rule, dict) else None
            if rule_id is not None and rule_id in seen:
                yield Fault(
                    f"{quoted(str(rule_id))} is used twice",
                    "give each rule an id of its own",
                    ("rules", index, "id"),
                )
            seen.add(rule_id)


def _minutes(hours: str | None) -> tuple[int, int] | None:
    if hours is None:
        return None
    begin, end = (int(one[:2]) * 60 + int(one[3:]) for one in hours.split("-"))
    return begin, end
