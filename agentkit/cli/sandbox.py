"""``agentkit sandbox``: build the docker tier's image, and try a tier."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from agentkit.cli.interruptible import run_interruptible
from agentkit.cli.progress import ShownProgress
from agentkit.cli.screen import Screen, decided
from agentkit.sandbox import Tier, open_sandbox

__all__ = ["build", "check"]


def build(
    base: Annotated[
        str,
        typer.Option(
            "--base", metavar="IMAGE", help="Build on this image, best pinned by its digest."
        ),
    ] = "",
    dockerfile: Annotated[
        Path | None,
        typer.Option(
            help="Build this Dockerfile first, and the image on top; needs python3 in it."
        ),
    ] = None,
) -> None:
    """Build the image of the docker tier, where it is not built yet."""
    from agentkit.sandbox.docker import build_image  # noqa: PLC0415 - docker stays optional

    screen = Screen.here()
    with ShownProgress(screen) as progress:
        image = build_image(progress, base=base or None, dockerfile=dockerfile)
    screen.row("image", image)


def check(tier: Annotated[Tier, typer.Argument(help="Which wall to try.")]) -> None:
    """Run a line of code through a tier, and say what stands around it."""
    screen = Screen.here()
    with ShownProgress(screen) as progress:
        options = {"progress": progress} if tier is Tier.WASM else {}
        found = run_interruptible(partial(open_sandbox(tier, **options).check))
    screen.row(tier.value, decided("ok", found))
