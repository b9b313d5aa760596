"""``python -m agentkit.sandbox.docker``: build the image of the docker tier."""

from __future__ import annotations

import sys

from rich.console import Console

from agentkit.errors import AgentkitError
from agentkit.sandbox.docker.image import build_image, image_tag


def main() -> int:
    """Build the image and say its tag; return the exit code."""
    console = Console()
    try:
        image_id = build_image(
            lambda stage, done, total: console.print(f"{done}/{total} {stage}", highlight=False)
        )
    except AgentkitError as error:
        Console(stderr=True).print(error.render(), markup=False)
        return error.exit_code
    console.print(f"{image_tag()} is {image_id}", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
