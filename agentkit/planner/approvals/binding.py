"""What a decision is bound to: change any of it, and the decision is void."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

from agentkit.audit import digest

if TYPE_CHECKING:
    from agentkit.messages import JsonObject

__all__ = ["Binding"]


@dataclass(frozen=True, slots=True)
class Binding:
    """One call, of one run, under one policy.

    ``tool``: the tool's name, or the boundary of a reviewed text. ``arguments_sha256``: of the
    arguments' canonical JSON (RFC 8785). ``policy_sha256``: ``Gate.digest``.
    """

    tool: str
    arguments_sha256: str
    run_id: str
    call_id: str
    policy_sha256: str

    @classmethod
    def of(
        cls, tool: str, arguments: JsonObject, *, run_id: str, call_id: str, policy_sha256: str
    ) -> Self:
        """Return the binding of a call as it stands now.

        Raises ``AuditError`` where the arguments have no canonical form.
        """
        return cls(tool, digest(arguments), run_id, call_id, policy_sha256)

    def difference(self, other: Binding) -> str:
        """Name what differs between two bindings, empty where nothing does."""
        mine, theirs = asdict(self), asdict(other)
        return ", ".join(name for name in mine if mine[name] != theirs[name])
