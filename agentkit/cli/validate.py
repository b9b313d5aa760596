"""``agentkit validate``: every problem of a file, its tools and its licence, starting nothing."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.text import Text

from agentkit.cli.failures import error_json
from agentkit.cli.options import AsJson, SpecFile
from agentkit.cli.screen import Screen, decided
from agentkit.errors import AgentkitError
from agentkit.licensing import LicenceDecision
from agentkit.spec import LoadedSpec, load_spec
from agentkit.startup import decide_licences
from agentkit.tools import load_tool

if TYPE_CHECKING:
    from agentkit.messages import JsonObject

__all__ = ["validate"]


def validate(spec: SpecFile, as_json: AsJson = False) -> None:
    """Check an agent.yaml: its text, its own tools, and what the model's licence says."""
    screen = Screen.here()
    result: JsonObject = {"ok": False, "spec": str(spec)}
    try:
        loaded = load_spec(spec)
        tools = _load_tools(loaded)
        decisions = decide_licences(loaded.spec, datetime.now(UTC).date())
        result |= {
            "agent": loaded.spec.name,
            "spec_sha256": loaded.sha256,
            "tools": [*tools],
            "licences": [decision.to_json() for decision in decisions],
        }
        if not as_json:
            _show(screen, loaded, tools, decisions)
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


def _load_tools(loaded: LoadedSpec) -> tuple[str, ...]:
    """Import the file's own tools as startup would; return the names of all tools."""
    for name, stated in loaded.spec.tools.items():
        if stated.function is not None:
            place = loaded.place("tools", name, "function")
            load_tool(stated.function, loaded.resolve("."), name=name, place=place)
    return tuple(loaded.spec.tools)


def _show(
    screen: Screen,
    loaded: LoadedSpec,
    tools: tuple[str, ...],
    decisions: tuple[LicenceDecision, ...],
) -> None:
    spec = loaded.spec
    screen.out.print(Text.assemble(str(loaded.path), ": ", ("valid", "green")))
    screen.row("agent", spec.name)
    screen.row("model", spec.model.source)
    screen.row("tools", ", ".join(tools) or "none: the assistant can only talk")
    screen.row("sandbox", spec.sandbox.tier.value)
    for decision in decisions:
        outcome = decision.outcome.value
        licence = decision.licence.licence_id if decision.licence else "no known terms"
        screen.row("licence", decided(outcome, f"{decision.model.model_id} under {licence}"))
