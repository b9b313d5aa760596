"""``agentkit validate``: every problem of a file, its tools, policies and licence."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.text import Text

from agentkit.cli.failures import error_json
from agentkit.cli.options import AsJson, SpecFile
from agentkit.cli.screen import Screen, decided
from agentkit.errors import AgentkitError
from agentkit.licensing import LicenceDecision
from agentkit.spec import LoadedSpec, load_spec
from agentkit.startup import (
    check_constraints,
    decide_licences,
    declared_spending,
    declared_tools,
    open_policies,
)

if TYPE_CHECKING:
    from agentkit.messages import JsonObject
    from agentkit.planner.policy import Policies

__all__ = ["validate"]


def validate(spec: SpecFile, as_json: AsJson = False) -> None:
    """Check an agent.yaml: its text, tools and policies, and what the model's licence says."""
    screen = Screen.here()
    result: JsonObject = {"ok": False, "spec": str(spec)}
    try:
        loaded = load_spec(spec)
        declared = declared_tools(loaded)
        check_constraints(loaded, declared)
        policies = open_policies(loaded, declared)
        declared_spending(loaded, declared)
        decisions = decide_licences(loaded.spec, datetime.now(UTC).date())
        result |= {
            "agent": loaded.spec.name,
            "spec_sha256": loaded.sha256,
            "tools": [*loaded.spec.tools],
            "policies": [*policies.ids] if policies is not None else [],
            "licences": [decision.to_json() for decision in decisions],
        }
        if not as_json:
            _show(screen, loaded, policies, decisions)
        for decision in decisions:
            refusal = decision.refusal()
            if refusal is not None:
                raise refusal
        result["ok"] = True
    except AgentkitError as error:
        result["error"] = error_json(error)
        raise
    finally:
        if as_json:
            screen.emit(result)


def _show(
    screen: Screen,
    loaded: LoadedSpec,
    policies: "Policies | None",
    decisions: tuple[LicenceDecision, ...],
) -> None:
    spec = loaded.spec
    screen.out.print(Text.assemble(str(loaded.path), ": ", ("valid", "green")))
    screen.row("agent", spec.name)
    screen.row("model", spec.model.source)
    screen.row("tools", ", ".join(spec.tools) or "none: the assistant can only talk")
    if policies is not None:
        screen.row("policies", ", ".join(policies.ids))
    screen.row("sandbox", spec.sandbox.tier.value)
    for decision in decisions:
        outcome = decision.outcome.value
        licence = decision.licence.licence_id if decision.licence else "no known terms"
        screen.row("licence", decided(outcome, f"{decision.model.model_id} under {licence}"))
