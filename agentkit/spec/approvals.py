"""The ``state`` and ``approvals`` sections: what outlives the process, and who may approve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field
from pydantic_core import core_schema

from agentkit.planner.approvals import TrustedApprover, parse_approver
from agentkit.spec.problems import quoted
from agentkit.spec.section import Fault, FilePath, Line, Section, faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

__all__ = ["ApprovalsSpec", "ApproverSpec", "StateSpec", "approval_faults"]

_KEYGEN = "copy the line that `agentkit approvals keygen --name NAME` prints"


@dataclass(frozen=True, slots=True)
class _PublicLine:
    """The shape of a public key's line; its checksum finds what was mistyped."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(_check_key)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "pattern": "^[^+ ]+[+][0-9a-f]{8}[+][A-Za-z0-9+/=]+$"}


def _check_key(value: object) -> str:
    try:
        if isinstance(value, str):
            return str(parse_approver(value, "").key)
    except ValueError as error:
        raise faults(Fault(f"is no public key of an approver: {error}", _KEYGEN)) from error
    raise faults(Fault("must be the public line of an approver's key", _KEYGEN))


class ApproverSpec(Section):
    """One key that the operator trusts, and whose it is."""

    key: Annotated[str, _PublicLine()] = Field(
        description="Public line of the key, as `agentkit approvals keygen` prints it."
    )
    person: Line = Field(
        description="Whom the key belongs to. Two keys of one person count as one person.",
        examples=["Kari Nordmann, CISO"],
    )

    @property
    def trusted(self) -> TrustedApprover:
        """The same, as the approval desk takes it."""
        return parse_approver(self.key, self.person)


class ApprovalsSpec(Section):
    """Who may approve, how long that is good, and whether a run waits for it."""

    wait: Literal["here", "suspend"] = Field(
        default="here",
        description="here: whoever runs the agent is asked, nobody present is a no. suspend: the"
        " question is kept and the run stops until `agentkit approvals` has an answer.",
    )
    expires_after_s: Annotated[float, Field(ge=1.0, le=2_592_000.0)] = Field(
        default=86_400.0,
        description="How long a question, and every decision on it, is good; 30 days at most.",
    )
    approvers: Annotated[tuple[ApproverSpec, ...], Field(strict=False, max_length=1000)] = Field(
        default=(),
        description="Keys whose signed decisions count. Left out, answers are unsigned.",
    )

    @classmethod
    def cross_check(cls, given: Mapping[str, object]) -> Iterator[Fault]:
        """Refuse two keys of one name or one key of two persons, and waiting for nobody."""
        if given.get("wait") == "suspend" and not given.get("approvers"):
            yield Fault(
                "waits for approvals, and nobody can give one",
                "list the keys of those who may under approvers",
                ("wait",),
            )
        approvers = given.get("approvers")
        names: set[str] = set()
        publics: set[str] = set()
        for index, approver in enumerate(approvers if isinstance(approvers, list) else ()):
            key = approver.get("key") if isinstance(approver, dict) else None
            name, _, rest = key.partition("+") if isinstance(key, str) else ("", "", "")
            public = rest.partition("+")[2]
            if name and (name in names or public in publics):
                yield Fault(
                    f"the key {quoted(name)} is listed twice, by its name or by what it is",
                    "give every key once, and a name of its own",
                    ("approvers", index, "key"),
                )
            names.add(name)
            publics.add(public)


class StateSpec(Section):
    """What outlives the process: runs that can be resumed, and questions to people."""

    path: FilePath = Field(
        default="./agent-state",
        description="Folder of the state, relative to the folder of agent.yaml; only its owner may"
        " read it.",
    )


def approval_faults(given: Mapping[str, object]) -> Iterator[Fault]:
    """Yield what is wrong between ``approvals``, ``state`` and ``tools`` of a whole file."""
    approvals = given.get("approvals")
    stated = approvals.get("approvers") if isinstance(approvals, dict) else None
    approvers = stated if isinstance(stated, list) else []
    if approvers and given.get("state") is None:
        yield Fault(
            "signed approvals need a place to be kept, and the section state is missing",
            "add state: {path: ./agent-state}",
            ("approvals",),
            on_key=True,
        )
    people = {
        str(one.get("person")).strip().casefold() for one in approvers if isinstance(one, dict)
    }
    tools = given.get("tools")
    for name, tool in tools.items() if isinstance(tools, dict) else ():
        two = isinstance(tool, dict) and tool.get("two_persons") is True
        if two and len(people) < 2:  # noqa: PLR2004 - two persons are two
            yield Fault(
                f"needs two persons, and approvals.approvers lists {len(people)}",
                "list the keys of two different persons at approvals.approvers",
                ("tools", name, "two_persons"),
            )
