"""``agentkit licence``: the licence decision, clause by clause."""

from datetime import UTC, datetime

from rich.text import Text

from agentkit.cli.options import AsJson, SpecFile
from agentkit.cli.screen import Screen, state_style
from agentkit.licensing import LicenceDecision, Outcome
from agentkit.spec import load_spec
from agentkit.startup import decide_licences

__all__ = ["licence"]

_ORDER = (Outcome.DENY, Outcome.REVIEW, Outcome.ALLOW, Outcome.RECORD)

_SHOWN_ALTERNATIVES = 5


def licence(spec: SpecFile, as_json: AsJson = False) -> None:
    """Explain the licence decision: each rule, its clause, what it says and what would cure it."""
    screen = Screen.here()
    loaded = load_spec(spec)
    decisions = decide_licences(loaded.spec, datetime.now(UTC).date())
    if as_json:
        allowed = all(decision.allowed for decision in decisions)
        screen.emit({"ok": allowed, "decisions": [one.to_json() for one in decisions]})
    else:
        for decision in decisions:
            _show(screen, decision, loaded.spec.deployment.principal.name)
    for decision in decisions:
        refusal = decision.refusal()
        if refusal is not None:
            raise refusal


def _show(screen: Screen, decision: LicenceDecision, principal: str) -> None:
    model = decision.model
    terms = decision.licence.licence_id if decision.licence else "no known terms"
    screen.title(f"May {principal} run {model.model_id}?")
    outcome = decision.outcome.value
    screen.row("decision", Text(outcome, style=state_style(outcome)))
    screen.row("revision", model.revision or "not stated")
    screen.row("licence", terms)
    if decision.expires:
        screen.row("until", decision.expires.isoformat())
    screen.row("texts of", decision.table_date.isoformat())
    for notice in decision.required_notices:
        screen.row("notice", notice)
    if decision.alternatives:
        shown = decision.alternatives[:_SHOWN_ALTERNATIVES]
        named = ", ".join(f"{other.model_id} ({other.licence_id})" for other in shown)
        others = len(decision.alternatives) - len(shown)
        screen.row("permitted", f"{named}; {others} more with --json" if others else named)
    screen.row("proof", f"fingerprint {decision.fingerprint}")
    findings = sorted(decision.findings, key=lambda finding: _ORDER.index(finding.outcome))
    screen.table(
        "rule",
        "clause",
        "outcome",
        "reason",
        "cure",
        rows=(
            (
                finding.rule,
                finding.clause,
                Text(finding.outcome.value, style=state_style(finding.outcome.value)),
                finding.reason,
                finding.cure,
            )
            for finding in findings
        ),
    )
