"""``agentkit evaluate tools``: how well a model calls tools, states results and holds back."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import anyio.to_thread
import typer

from agentkit.cli.files import check_writable, write_files
from agentkit.cli.interruptible import run_interruptible
from agentkit.cli.options import AsJson
from agentkit.cli.progress import ShownProgress
from agentkit.cli.screen import Screen
from agentkit.errors import ModelError
from agentkit.evaluation.tools import ToolReport, draw_cases, evaluate_tools
from agentkit.model.protocol import ChatModel
from agentkit.progress import Progress
from agentkit.spec import load_spec
from agentkit.startup import decide_licences
from agentkit.startup.models import open_model

__all__ = ["tools"]

_Count = Annotated[int, typer.Option("--cases", min=1, help="Requests to put to the model.")]
_Model = Annotated[
    str,
    typer.Option("--model", help="'embedded', the folder of a model, or an agent.yaml."),
]
_Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Also write the figures, as JSON, here.")
]
# Of all requests three in twenty are no tool's business and one in nine carries an injection.
_NO_TOOL, _INJECTIONS = 0.15, 0.11


def tools(
    model: _Model = "embedded",
    cases: _Count = 540,
    output: _Output = None,
    as_json: AsJson = False,
) -> None:
    """Put requests over unseen tools to a model and count what it does rightly."""
    screen = Screen.here()
    if output is not None:
        check_writable(output)
    with ShownProgress(screen) as progress:
        report = run_interruptible(_evaluate, model, cases, progress)
    figures = report.as_json()
    if as_json:
        screen.emit(figures)
    else:
        screen.out.print(report.as_table(), markup=False, highlight=False)
    if output is not None:
        text = json.dumps(figures, indent=1, ensure_ascii=False) + "\n"
        write_files(output.parent, {output.name: text}, force=True)


async def _evaluate(name: str, count: int, progress: Progress) -> ToolReport:
    model = await _open(name, progress)
    try:
        no_tool, injections = round(count * _NO_TOOL), round(count * _INJECTIONS)
        drawn = draw_cases(
            calls=count - no_tool - injections, no_tool=no_tool, injections=injections
        )
        return await evaluate_tools(
            model,
            drawn,
            prompt_format=getattr(model, "prompt_format", None),
            progress=lambda done, total: progress("evaluate", done, total),
        )
    finally:
        await model.aclose()


async def _open(name: str, progress: Progress) -> ChatModel:
    if name.endswith((".yaml", ".yml")):
        loaded = load_spec(Path(name))
        # A licence forbids a measurement as it forbids a turn, and before anything is fetched.
        for decision in decide_licences(loaded.spec, datetime.now(UTC).date()):
            refusal = decision.refusal()
            if refusal is not None:
                raise refusal
        return await open_model(loaded, progress)
    try:
        from agentkit.model.embedded import load_embedded  # noqa: PLC0415 - torch stays optional
        from agentkit.model.local import load_local  # noqa: PLC0415 - torch stays optional
    except ModuleNotFoundError as error:
        raise ModelError(
            f"models in this process need the package {error.name!r}",
            cure="pip install 'agentkit-gated[local]', or name an agent.yaml with source: remote",
        ) from error
    if name == "embedded":
        return await anyio.to_thread.run_sync(lambda: load_embedded(progress=progress))
    return await anyio.to_thread.run_sync(lambda: load_local(name, progress=progress))
