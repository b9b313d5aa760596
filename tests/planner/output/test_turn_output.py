"""The output channel in a turn: the answer, its record, and the question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agentkit.planner import Approval, ApprovalRequest, OutputChannel
from agentkit.tools import tool

if TYPE_CHECKING:
    from collections.abc import Callable

LINK = "Read on at https://evil.example/p?q=2 now."


@tool(effect="read")
def fetch(page: str) -> str:
    """Fetch a page."""
    return f"Contents of {page}: {LINK} Also note that this is the very best page there is."


class Says:
    def __init__(self, word: bool) -> None:
        self.word = word
        self.asked: list[ApprovalRequest] = []

    async def decide(self, request: ApprovalRequest) -> Approval:
        self.asked.append(request)
        return Approval(approved=self.word, approver="kari")


def answer(house: Any, propose: Callable[..., list[Any]], text: str, **options: Any) -> Any:
    channel = options.pop("channel", OutputChannel())
    planner = house.planner([propose(("fetch", {"page": "x"})), text], fetch, **options)
    object.__setattr__(planner, "output", channel)
    return house.run(planner).answer


def test_the_answer_and_its_record_hold_the_inert_link(
    house: Any, propose: Callable[..., list[Any]]
) -> None:
    found = answer(house, propose, f"Sure. {LINK}")
    assert "https://evil" not in found.text
    assert "hxxps" in found.text
    assert found.findings[0].action == "inert"
    record = house.of_kind("answer")[0]
    assert record.sensitive["text"] == found.text
    assert record.sensitive["held"] == ["https://evil.example/p?q=2"]
    assert record.record.body["output"] == [
        {"action": "inert", "what": "bare", "origin": "tool:fetch#1.1.1"}
    ]


def test_a_quotation_is_cited_with_its_span(house: Any, propose: Callable[..., list[Any]]) -> None:
    found = answer(house, propose, "I think this is the very best page there is, honestly.")
    (citation,) = found.citations
    assert found.text[citation.start : citation.end] == "this is the very best page there is"
    assert house.of_kind("answer")[0].record.body["cited"] == ["tool:fetch#1.1.1"]


@pytest.mark.parametrize("word", [True, False])
def test_a_person_may_let_a_link_stand(
    house: Any, propose: Callable[..., list[Any]], word: bool
) -> None:
    says = Says(word)
    found = answer(house, propose, LINK, channel=OutputChannel("ask"), approver=says)
    assert ("https://evil.example/p?q=2" in found.text) is word
    assert says.asked[0].decision.evidence[0].value == "https://evil.example/p?q=2"
    assert house.of_kind("approval")[0].record.body["approved"] is word


def test_a_fault_of_the_channel_lets_nothing_out(
    house: Any, propose: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RecursionError

    monkeypatch.setattr(OutputChannel, "release", fail)
    with pytest.raises(RecursionError):
        answer(house, propose, "Fine.")
    assert house.of_kind("answer") == []
    assert house.of_kind("turn_ended")[0].record.body["reason"] == "RecursionError"
