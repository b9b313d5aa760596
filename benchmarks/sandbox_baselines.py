"""What others take for one call: plain ``docker run`` and ``docker exec``, and two peers.

A peer is measured with the Python of the virtual environment that ``AGENTKIT_PEERS`` names (a
throw-away one: ``pip install llm-sandbox[docker]``, ``smolagents[docker]``); without it, and where
a peer cannot run here, that is what is reported.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from statistics import median
from typing import TYPE_CHECKING

from agentkit.sandbox.docker.image import build_image

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = 10
TIMEOUT_S = 300
PEERS = {
    "llm-sandbox": """
from llm_sandbox import SandboxSession
with SandboxSession(lang="python", image=IMAGE, keep_template=True) as session:
    measure(lambda: session.run("print(1 + 1)"))
""",
    "smolagents": """
from smolagents import DockerExecutor
from smolagents.monitoring import AgentLogger
executor = DockerExecutor([], AgentLogger(level=0))
measure(lambda: executor("1 + 1"))
executor.cleanup()
""",
}
MEASURE = """
import json, sys, time
IMAGE = sys.argv[1]
def measure(call):
    times = []
    for _ in range(int(sys.argv[2])):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    print("MEASURED " + json.dumps(times))
"""


def _docker(*arguments: str) -> str:
    program = shutil.which("docker") or "docker"
    done = subprocess.run(  # noqa: S603  fixed arguments
        [program, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=True
    )
    return done.stdout.strip()


def _timed(call: Callable[[], object]) -> float:
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return round(median(times) * 1e3, 2)


def _plain(image: str) -> dict[str, float]:
    """Return milliseconds of a container a call, and of a process a call in a running one."""
    walls = ("--network=none", "--cap-drop=ALL", "--user=65534", "--read-only",
             "--security-opt=no-new-privileges")  # fmt: skip
    code = ("-c", "print(1 + 1)")
    fresh = _timed(lambda: _docker("run", "--rm", *walls, "--entrypoint=python3", image, *code))
    running = _docker("run", "--rm", "-d", *walls, "--entrypoint=sleep", image, "600")
    try:
        inside = _timed(lambda: _docker("exec", running, "python3", *code))
    finally:
        _docker("kill", running)
    return {"docker run": fresh, "docker exec": inside}


def _peer(name: str, image: str) -> float | str:
    """Return a peer's milliseconds a call, or why there are none."""
    folder = os.environ.get("AGENTKIT_PEERS")
    if folder is None:
        return "absent: AGENTKIT_PEERS names no virtual environment"
    python = os.path.join(folder, "bin", "python")  # noqa: PTH118  the link itself, not what it leads to
    try:
        done = subprocess.run(  # noqa: S603  the peer's interpreter, named by who measures
            [python, "-c", MEASURE + PEERS[name], image, str(CALLS)],
            capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"absent: {type(error).__name__}"
    for line in done.stdout.splitlines():
        if line.startswith("MEASURED "):
            return round(median(json.loads(line.removeprefix("MEASURED "))) * 1e3, 2)
    last = (done.stderr.strip().splitlines() or ["no answer"])[-1]
    # Its class alone: the words may name hosts of the network it ran in.
    return f"absent: {last.partition(':')[0][:60]}"


def measure_baselines() -> dict[str, float | str]:
    """Return name → milliseconds of one call, the median of a few; or why it was not measured."""
    image = build_image()
    found: dict[str, float | str] = {**_plain(image)}
    for name in PEERS:
        found[name] = _peer(name, image)
    return found
