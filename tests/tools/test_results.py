from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agentkit.errors import ToolError
from agentkit.tools import (
    HostNamedByUser,
    ListedBy,
    ReadersIn,
    RecordNamedByUser,
    ResultFields,
    tool,
)
from agentkit.tools.results import path_steps

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("$", ()),
        ("$.id", ("id",)),
        ("$[*]", ("*",)),
        ("$.messages[*].sent-at", ("messages", "*", "sent-at")),
        ("$.rows[*][*]", ("rows", "*", "*")),
    ],
)
def test_a_path_is_read_into_its_steps(path: str, steps: tuple[str, ...]) -> None:
    assert path_steps(path) == steps


@pytest.mark.parametrize("path", ["", "id", "$.", "$id", "$..id", "$[0]", "$.a b", "$.id\n"])
@pytest.mark.parametrize(
    "declare",
    [
        lambda path: ResultFields(frozenset({"$.id", path})),
        ReadersIn,
        lambda path: ListedBy("contacts", path),
        lambda path: RecordNamedByUser("files", path, "$.name"),
        lambda path: RecordNamedByUser("files", "$.id", path),
    ],
)
def test_a_path_that_cannot_be_read_is_refused(path: str, declare: Callable[[str], Any]) -> None:
    with pytest.raises(ToolError, match="no field path"):
        declare(path)


def test_the_decorator_takes_the_whole_declaration() -> None:
    fields = ResultFields(frozenset({"$.id"}))

    @tool(
        effect="external",
        returns=fields,
        sensitive=frozenset({"to", "attachment"}),
        audience=frozenset({"to"}),
        content=frozenset({"body"}),
        endorsements={"to": (ListedBy("contacts", "$[*].email"), HostNamedByUser())},
        result_readers=ReadersIn("$.to"),
    )
    def send(to: str, body: str, attachment: str = "") -> dict[str, str]:
        """Send a mail."""
        return {"id": to + body + attachment}

    assert send.returns == fields
    assert send.result_readers == ReadersIn("$.to")
    assert [send.is_sensitive(name) for name in ("to", "attachment", "body")] == [True, True, False]
    assert send.endorsements["to"][1] == HostNamedByUser()
    with pytest.raises(TypeError):
        send.endorsements["to"] = ()  # type: ignore[index]


def test_without_a_word_on_sensitive_all_but_the_content_is() -> None:
    @tool(content=frozenset({"body"}))
    def send(to: str, body: str, when: str) -> str:
        """Send a mail."""
        return to + body + when

    assert [send.is_sensitive(name) for name in ("to", "body", "when")] == [True, False, True]


@pytest.mark.parametrize(
    "declared",
    [
        {"sensitive": frozenset({"recipient"})},
        {"audience": frozenset({"recipient"})},
        {"content": frozenset({"text"})},
        {"endorsements": {"recipient": (HostNamedByUser(),)}},
    ],
)
def test_a_declaration_that_names_no_parameter_is_refused(declared: dict[str, Any]) -> None:
    with pytest.raises(ToolError, match="which is no parameter"):

        @tool(**declared)
        def send(to: str, body: str) -> str:
            """Send a mail."""
            return to + body


@pytest.mark.parametrize("role", ["sensitive", "audience"])
def test_a_parameter_is_content_or_sensitive_never_both(role: str) -> None:
    declared: dict[str, Any] = {role: frozenset({"body"}), "content": frozenset({"body"})}
    with pytest.raises(ToolError, match="both content and sensitive"):

        @tool(**declared)
        def send(to: str, body: str) -> str:
            """Send a mail."""
            return to + body
