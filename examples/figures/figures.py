"""A CSV goes in, a chart and a table come out: numpy, pandas and matplotlib in a container.

Run it with a Docker engine on this machine: ``python examples/figures/figures.py``. The first run
builds an image with these packages from the hash-locked allowlist (about 60 MB of wheels). The
container has no network and sees nothing of this machine but the CSV it is given.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import anyio

from agentkit.sandbox import ArtifactKind, DockerSandbox, Execution, Limits
from agentkit.sandbox.docker import build_image

PACKAGES = ("numpy", "pandas", "matplotlib")
PRELOAD = ("numpy", "pandas", "matplotlib.pyplot")  # loaded once, not in each interpreter

CODE = """
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

sales = pd.read_csv("sales.csv")
sales["revenue"] = np.round(sales["units"] * sales["price"], 2)
table = sales.pivot(index="month", columns="region", values="revenue")

axes = table.plot.bar(rot=0)
axes.set_ylabel("revenue")
plt.title("Revenue by month")  # the open figure is captured by itself

table.reset_index()
"""


async def draw(csv: bytes) -> Execution:
    """Run the code over ``csv`` in a container; return what it left."""
    sandbox = DockerSandbox(packages=PACKAGES, preload=PRELOAD)
    async with sandbox.session(Limits(timeout_s=30, memory_mib=512)) as session:
        return await session.run(CODE, files={"sales.csv": csv})


def main(folder: Path) -> None:
    """Build the image, run the code, write the chart into ``folder`` and print the table."""
    build_image(packages=PACKAGES)
    execution = anyio.run(draw, (Path(__file__).parent / "sales.csv").read_bytes())
    if not execution.ok:
        sys.exit(f"{execution.exit_reason}: {execution.error}")
    for artifact in execution.artifacts:
        if artifact.kind is ArtifactKind.PNG:
            (folder / artifact.name).write_bytes(artifact.data)
            print(f"{folder / artifact.name}: {len(artifact.data)} bytes")
        elif artifact.kind is ArtifactKind.TABLE:
            table = json.loads(artifact.data)
            for row in (table["columns"], *table["rows"]):
                print("  ".join(f"{cell!s:>9}" for cell in row))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
