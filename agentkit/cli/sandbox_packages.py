"""``agentkit sandbox packages``: which packages code may use, and the image that holds them."""

from pathlib import Path
from typing import Annotated

import typer

from agentkit.cli.progress import ShownProgress
from agentkit.cli.screen import Screen

__all__ = ["allow", "build", "show"]

_LockFile = Annotated[
    Path | None,
    typer.Option(
        "--lock", metavar="FILE", help="Your own allowlist; else the one that comes along."
    ),
]
_PYTHONS = ["3.11", "3.12", "3.13"]
_MACHINES = ["x86_64", "aarch64"]


def show(lock: _LockFile = None) -> None:
    """List the allowed packages with their versions; pure ones are for the wasm tier too."""
    from agentkit.sandbox.packages import (  # noqa: PLC0415 - loaded where it is used
        BUNDLED_LOCK,
        PackageLock,
    )

    packages = PackageLock.load(lock or BUNDLED_LOCK).packages
    Screen.here().table(
        "package",
        "version",
        "wheels",
        "kind",
        "needs",
        rows=(
            (
                name,
                package.version,
                str(len(package.wheels)),
                "pure" if package.pure_wheels else "compiled",
                ", ".join(package.requires),
            )
            for name, package in packages.items()
        ),
    )


def allow(
    names: Annotated[list[str], typer.Argument(metavar="NAME[==VERSION]...")],
    lock: Annotated[
        Path, typer.Option("--lock", metavar="FILE", help="The allowlist to write; may be new.")
    ],
    python: Annotated[
        list[str], typer.Option(help="Python versions to lock wheels for.")
    ] = _PYTHONS,
    machine: Annotated[list[str], typer.Option(help="Machines to lock wheels for.")] = _MACHINES,
) -> None:
    """Put packages, and all they need, on an allowlist with the hash of each wheel."""
    from agentkit.sandbox.packages import (  # noqa: PLC0415 - loaded where it is used
        BUNDLED_LOCK,
        PackageLock,
    )
    from agentkit.sandbox.packages_pip import Target  # noqa: PLC0415 - as above

    screen = Screen.here()
    before = PackageLock.load(lock if lock.exists() else BUNDLED_LOCK)
    targets = [Target(version, kind) for kind in machine for version in python]
    after = before.allow(names, targets)
    after.save(lock)
    for name, package in after.packages.items():
        if before.packages.get(name) != package:
            screen.row(name, f"{package.version} is allowed")
    screen.row("lock", str(lock))


def build(
    names: Annotated[list[str], typer.Argument(metavar="NAME...")],
    lock: _LockFile = None,
    base: Annotated[str, typer.Option("--base", metavar="IMAGE", help="Build on this image.")] = "",
) -> None:
    """Build the image with these packages, where it is not built yet."""
    from agentkit.sandbox.docker import build_image  # noqa: PLC0415 - docker stays optional
    from agentkit.sandbox.packages import BUNDLED_LOCK  # noqa: PLC0415 - as above

    screen = Screen.here()
    with ShownProgress(screen) as progress:
        image = build_image(progress, base=base or None, packages=names, lock=lock or BUNDLED_LOCK)
    screen.row("image", image)
