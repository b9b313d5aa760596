"""A call's chain on a terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agentkit.cli.audit_words import said
from agentkit.cli.screen import decided
from agentkit.cli.untrusted import one_line

if TYPE_CHECKING:
    from agentkit.audit import Entry
    from agentkit.cli.call_chain import CallChain
    from agentkit.cli.screen import Screen

__all__ = ["show_chain", "show_why"]

_LINES = 12


def show_chain(screen: Screen, chain: CallChain) -> None:
    """Show what led to a call, what was decided over it, and what came of it."""
    screen.title(f"Call {chain.call_id} of run {chain.run_id}")
    for stage, entry in chain.links:
        screen.out.print()
        screen.row(stage, said(entry), style="bold")
        if stage == "decision":
            show_why(screen, entry)
        elif stage == "result":
            _labels(screen, entry)
        elif stage in {"message", "outcome", "answer"}:
            _content(screen, entry, "text")
        elif stage == "approval":
            _content(screen, entry, "comment")
        record = entry.record
        screen.row(
            "", f"record {record.index}, {record.time}, leaf {record.leaf_hash}", style="dim"
        )


def show_why(screen: Screen, entry: Entry) -> None:
    """Show why the gate decided as it did: rule, policies, evidence, and what would change it."""
    body, sensitive = entry.record.body, entry.sensitive
    _content(screen, entry, "arguments")
    outcome = str(body.get("outcome", ""))
    screen.row("decided", decided(outcome, f"by rule {body.get('rule')}"))
    _content(screen, entry, "reason")
    policies = body.get("policies")
    if isinstance(policies, list):
        screen.row("policies", ", ".join(map(str, policies)))
    if body.get("policy_digest"):
        screen.row("digest", f"sha256 {body['policy_digest']}")
    evidence = sensitive.get("evidence")
    for item in evidence if isinstance(evidence, list) else ():
        if isinstance(item, dict):
            shown = (str(item.get(name, "")) for name in ("path", "value", "origin"))
            screen.row("evidence", "{} = {} from {}".format(*map(one_line, shown)))
    if "evidence" in entry.gone:
        for origin in _texts(body.get("origins")):
            screen.row("evidence", f"{one_line(origin)} (the value was erased)")
    if sensitive.get("cure"):
        screen.row("to change", one_line(str(sensitive["cure"]), 400))
    screen.row("trail", ", ".join(_texts(body.get("trail"))))


def _labels(screen: Screen, entry: Entry) -> None:
    body = entry.record.body
    sources = ", ".join(_texts(body.get("sources"))) or "no known source"
    screen.row("label", f"{body.get('integrity', 'unknown')}, from {sources}")


def _content(screen: Screen, entry: Entry, name: str) -> None:
    if name in entry.gone:
        screen.row("", f"{name}: erased, or kept elsewhere", style="yellow")
    elif value := entry.sensitive.get(name):
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
        screen.block(text, lines=_LINES)


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []
