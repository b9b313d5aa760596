"""``agentkit sandbox run``: one file of Python behind a wall, from a terminal or a script.

Output is streamed as the code writes it. On a terminal it is cleaned first, for the code could
steer the terminal; in a pipe it is passed on as it is.
"""

import math
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import typer

from agentkit.cli.interruptible import run_interruptible
from agentkit.cli.options import AsJson
from agentkit.cli.progress import ShownProgress
from agentkit.cli.screen import Screen
from agentkit.cli.untrusted import clean
from agentkit.errors import AgentkitError
from agentkit.messages import JsonObject
from agentkit.sandbox import Artifact, Execution, ExitReason, Limits, Tier, open_sandbox
from agentkit.sandbox.interface import Stream

__all__ = ["EXIT_CODES", "run"]

EXIT_CODES = MappingProxyType(
    {
        ExitReason.OK: 0,
        ExitReason.ERROR: 1,
        ExitReason.TIMEOUT: 20,
        ExitReason.MEMORY: 21,
        ExitReason.OUTPUT: 22,
        ExitReason.VIOLATION: 23,
        ExitReason.LOST: 24,
    }
)
"""How the command leaves, by how the code ended."""


def _finite(seconds: float) -> float:
    if not math.isfinite(seconds):
        raise typer.BadParameter("give a number of seconds")
    return seconds


def run(  # noqa: PLR0917 - Typer reads options from parameters
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Python to run; - reads stdin.")],
    tier: Annotated[Tier, typer.Option("--tier", help="Which wall.")] = Tier.WASM,
    files: Annotated[
        list[Path] | None,
        typer.Option("--files", metavar="PATH", help="A file for the code; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where to write what the code leaves."),
    ] = None,
    timeout_s: Annotated[
        float,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            help="Wall-clock time.",
            min=0.01,
            callback=_finite,
        ),
    ] = 10.0,
    memory_mib: Annotated[int, typer.Option("--memory", metavar="MIB", help="Memory.")] = 256,
    as_json: AsJson = False,
) -> None:
    """Run a file of Python in a sandbox; the exit code says how it ended."""
    code = sys.stdin.read() if str(file) == "-" else _read(file).decode("utf-8", "replace")
    given = {path.name: _read(path) for path in _of_distinct_names(files or [])}
    limits = Limits(timeout_s=timeout_s, memory_mib=memory_mib)
    screen = Screen.here()
    with ShownProgress(screen) as progress:
        options = {"progress": progress} if tier is Tier.WASM else {}

        async def execute() -> Execution:
            async with open_sandbox(tier, **options).session(limits) as session:
                return await session.run(code, files=given, output=None if as_json else _show)

        execution = run_interruptible(execute)
    written = [] if out is None else [_write(out, artifact) for artifact in execution.artifacts]
    if as_json:
        screen.emit(_as_json(execution, written))
    else:
        for path in written:
            screen.note(f"wrote {path}")
        if not execution.ok:
            screen.note(f"{execution.exit_reason}: {execution.error}", style="red")
    raise typer.Exit(EXIT_CODES[execution.exit_reason])


def _of_distinct_names(paths: list[Path]) -> list[Path]:
    """Return ``paths``; the code sees names without folders, so two of one name are refused."""
    seen: dict[str, Path] = {}
    for path in paths:
        if path.name in seen:
            raise AgentkitError(
                f"has the same name as {seen[path.name]}",
                place=str(path),
                cure="rename one of them: code sees files by their names alone",
            )
        seen[path.name] = path
    return paths


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AgentkitError(
            f"cannot be read: {error.strerror}", place=str(path), cure="name a readable file"
        ) from error


def _show(stream: Stream, text: str) -> None:
    target = sys.stdout if stream == "stdout" else sys.stderr
    target.write(clean(text) if target.isatty() else text)
    target.flush()


def _write(out: Path, artifact: Artifact) -> str:
    """Write an artifact as a new file below ``out``, and nowhere else."""
    path = out / artifact.name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.resolve().is_relative_to(out.resolve()):
            raise AgentkitError(
                "leads out of the folder", place=str(path), cure="name a folder without links"
            )
        with path.open("xb") as file:
            file.write(artifact.data)
    except OSError as error:
        raise AgentkitError(
            f"cannot be written: {error.strerror}", place=str(path), cure="name an empty folder"
        ) from error
    return str(path)


def _as_json(execution: Execution, written: list[str]) -> JsonObject:
    usage = execution.usage
    return {
        "ok": execution.ok,
        "exit_reason": execution.exit_reason.value,
        "error": execution.error,
        "stdout": execution.stdout,
        "stderr": execution.stderr,
        "value": execution.value,
        "artifacts": [
            {
                "name": artifact.name,
                "kind": artifact.kind.value,
                "media_type": artifact.media_type,
                "bytes": len(artifact.data),
            }
            for artifact in execution.artifacts
        ],
        "written": [*written],
        "usage": {
            "wall_s": usage.wall_s,
            "cpu_s": usage.cpu_s,
            "peak_memory_bytes": usage.peak_memory_bytes,
            "output_bytes": usage.output_bytes,
        },
    }
