"""``agentkit policy explain``: why the gate decided over one call as it did."""

from pathlib import Path
from typing import Annotated

import typer

from agentkit.cli.audit_place import find_log
from agentkit.cli.call_chain import CallChain, find_chain
from agentkit.cli.chain_view import show_why
from agentkit.cli.options import AsJson
from agentkit.cli.screen import Screen
from agentkit.messages import JsonObject
from agentkit.spec import load_spec
from agentkit.startup import declared_tools, open_policies

__all__ = ["explain"]


def explain(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or how it begins.")],
    call: Annotated[str, typer.Argument(metavar="CALL", help="A call's id, such as 1.1.1.")],
    log: Annotated[
        Path, typer.Option("--log", metavar="PATH", help="An audit log's folder or an agent.yaml.")
    ] = Path("agent.yaml"),
    as_json: AsJson = False,
) -> None:
    """Show rule, policies, evidence and labels behind one decision, and what would change it."""
    screen = Screen.here()
    chain = find_chain(find_log(log), run, call)
    written = _policies_then(log, chain)
    entry = chain.decision
    if as_json:
        record = entry.record
        place: JsonObject = {"index": record.index, "leaf_hash": record.leaf_hash}
        screen.emit(
            {
                "run_id": chain.run_id,
                "call_id": chain.call_id,
                "decision": {**record.body, **entry.sensitive},
                "record": place,
                **written,
            }
        )
        return
    screen.title(f"Call {chain.call_id} of run {chain.run_id}")
    show_why(screen, entry)
    if written.get("cedar"):
        screen.row("written", "the policies as they are written:")
        screen.block(str(written["cedar"]))
    elif written.get("changed"):
        screen.row("written", "the policies were changed after this decision", style="yellow")


def _policies_then(log: Path, chain: CallChain) -> JsonObject:
    """Return the text of the policies that decided, where it is still the text in force."""
    body = chain.decision.record.body
    ids = body.get("policies")
    if not log.is_file() or not isinstance(ids, list):
        return {}
    loaded = load_spec(log)
    policies = open_policies(loaded, declared_tools(loaded))
    if policies is None or policies.digest != body.get("policy_digest"):
        return {"changed": True}
    chosen = [text for name, text in policies.written if name in ids]
    return {"changed": False, "cedar": "\n\n".join(chosen)}
