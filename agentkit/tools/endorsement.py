"""Endorsements: rules that vouch for a value which is neither the user's own nor trusted.

An endorsement is declared for one parameter of one tool and decided by the planner, from the
conversation alone. Each names the fact that makes the value acceptable; a fact that cannot be
established vouches for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentkit.tools.results import path_steps

__all__ = ["Endorsement", "HostNamedByUser", "ListedBy", "RecordNamedByUser"]


@dataclass(frozen=True, slots=True)
class ListedBy:
    """The value stands in ``field`` of a result that ``tool`` returned in this run.

    For lists that only the user or a system fills: own contacts, own accounts. The field counts as
    it is declared here, whatever the listing tool says of it.
    """

    tool: str
    field: str

    def __post_init__(self) -> None:
        path_steps(self.field)


@dataclass(frozen=True, slots=True)
class HostNamedByUser:
    """The value is a URL whose host the user wrote (alone, or as part of a URL).

    A subdomain of a named host is another host.
    """


@dataclass(frozen=True, slots=True)
class RecordNamedByUser:
    """The value is the id of the one record of a listing whose name the user wrote.

    ``id_field`` and ``name_field`` are paths in the results of ``tool``; both name members of the
    same record (``$.files[*].id`` and ``$.files[*].name``). Two records of that name: no
    endorsement, for whoever can add a record could otherwise take its place.
    """

    tool: str
    id_field: str
    name_field: str

    def __post_init__(self) -> None:
        path_steps(self.id_field)
        path_steps(self.name_field)


Endorsement = ListedBy | HostNamedByUser | RecordNamedByUser
