"""``agentkit model plan``: what a model needs and how fast it could be here, before a download."""

from typing import Annotated

import typer
from rich.text import Text

from agentkit.cli.options import AsJson
from agentkit.cli.screen import Screen
from agentkit.errors import ModelError
from agentkit.licensing import KNOWN_MODELS, find_licence, find_model
from agentkit.messages import JsonObject
from agentkit.model.plan import (
    DEFAULT_MODELS,
    Machine,
    ModelPlan,
    find_shape,
    look_at_machine,
    plan_model,
)

__all__ = ["plan"]

DOES_NOT_FIT = 1
"""Exit code where a named model fits in no format."""

_CONTEXT = 8192
_GIB = 1 << 30


def plan(
    model: Annotated[
        str | None,
        typer.Argument(
            help="Folder with config.json, or a hub id; without it, Llama 4 Scout and Maverick.",
            metavar="[MODEL]",
        ),
    ] = None,
    context: Annotated[
        int | None,
        typer.Option("--context", min=1, help="Tokens of prompt and reply; by default 8192."),
    ] = None,
    users: Annotated[
        int, typer.Option("--users", min=1, max=100_000, help="Conversations at once.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Say what a model needs, whether it fits, and how fast it is at most. Downloads nothing.

    Exit codes: 0 it fits in some format, 1 in none (only where a model is named), 5 unknown model.
    """
    screen = Screen.here()
    names = [model] if model else [*DEFAULT_MODELS]
    shapes = [find_shape(name) for name in names]
    machine = look_at_machine()
    plans = []
    for name, (shape, source) in zip(names, shapes, strict=True):
        tokens = context or min(_CONTEXT, shape.context)
        if tokens > shape.context:
            raise ModelError(
                f"a context of {tokens} tokens is more than the model's {shape.context}",
                cure=f"choose --context {shape.context} or less",
                place=name,
            )
        plans.append((name, source, plan_model(shape, machine, context=tokens, users=users)))
    if as_json:
        screen.emit([_to_json(*one) for one in plans] if model is None else _to_json(*plans[0]))
    else:
        for one in plans:
            _show(screen, *one)
        _say_probe(screen, machine)
    if model and not plans[0][2].fits:
        raise typer.Exit(DOES_NOT_FIT)


def _show(screen: Screen, name: str, source: str, found: ModelPlan) -> None:
    shape = found.shape
    screen.title(name)
    screen.row(
        "sizes", f"{_billions(shape.parameters)}, {_billions(shape.active_parameters)} active"
    )
    screen.row("from", source)
    screen.row("licence", _licence(name))
    asked = f"{found.context} tokens" + (f" for each of {found.users}" if found.users > 1 else "")
    screen.row("context", asked)
    screen.table(
        "weights",
        "GiB",
        "keys+values",
        "needed",
        "here",
        "most context",
        "tok/s at most",
        rows=(
            (
                one.weights_format,
                _gib(one.weights),
                _gib(one.kv),
                _gib(one.needed),
                Text("fits", style="green") if one.fits else Text("does not fit", style="red"),
                str(one.most_context) if one.most_context else "-",
                f"{one.tokens_per_s:.1f}" if one.tokens_per_s else "-",
            )
            for one in found.formats
        ),
    )
    screen.row("so", found.advice)


def _say_probe(screen: Screen, machine: Machine) -> None:
    screen.out.print()
    speed = (
        f"read at {machine.bandwidth / 1e9:.0f} GB/s (measured now)"
        if machine.bandwidth
        else "speed not measured: pip install 'agentkit-gated[local]'"
    )
    screen.row("machine", f"{_gib(machine.memory)} GiB, {speed}")


def _to_json(name: str, source: str, found: ModelPlan) -> JsonObject:
    shape, machine = found.shape, found.machine
    return {
        "model": name,
        "source": source,
        "licence": _licence(name),
        "parameters": shape.parameters,
        "active_parameters": shape.active_parameters,
        "context": found.context,
        "users": found.users,
        "memory_bytes": machine.memory,
        "read_bytes_per_s": machine.bandwidth,
        "fits": found.fits,
        "advice": found.advice,
        "formats": [one.to_json() for one in found.formats],
    }


def _licence(name: str) -> str:
    """Say in one line under which terms the model is, and where that is decided."""
    known = find_model(name, KNOWN_MODELS)
    terms = find_licence(known.licence_id) if known else None
    if known is None or terms is None:
        return "not in agentkit's table: state licence: and base_model: in agent.yaml"
    return f"{known.licence_id}: agentkit licence agent.yaml decides whether you may run it"


def _gib(size: int) -> str:
    return f"{size / _GIB:.1f}"


def _billions(count: int) -> str:
    return f"{count / 1e9:.1f} billion parameters" if count >= 1e8 else f"{count} parameters"  # noqa: PLR2004 - where billions become unreadable
