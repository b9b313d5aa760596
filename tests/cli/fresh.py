"""Specifications and processes that the tests of the command line begin with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, "-m", "agentkit.cli"]

SPEC = """\
version: 1
name: test-agent
instructions: Use the tools.
model:
  source: remote
  url: {url}
  id: qwen3-30b-a3b
  base_model: Qwen/Qwen3-30B-A3B
  access: self_hosted
  timeout_s: 20
deployment:
  principal: {{name: Example AS, kind: company, country: "NO", affiliates: [], staff_countries: []}}
  distribution: internal
{more}"""

TOOLS = '''\
from agentkit.tools import tool


@tool(effect="read", returns="inputs")
def shout(text: str) -> str:
    """Write a text in capitals."""
    return text.upper() + "!"


@tool(effect="external")
def pay(amount: int, note: str) -> str:
    """Pay somebody."""
    return f"paid {amount}"
'''

PYTHON = "tools: {python: {}}\n"
SHOUT = "tools: {shout: {function: my_tools:shout}}\n"
PAY = "tools: {pay: {function: my_tools:pay, approval: ask}}\n"


def write_spec(folder: Path, url: str = "http://127.0.0.1:9/v1", more: str = "") -> Path:
    """Write an agent.yaml with a remote model, and ``my_tools.py`` beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "my_tools.py").write_text(TOOLS, encoding="utf-8")
    path = folder / "agent.yaml"
    path.write_text(SPEC.format(url=url, more=more), encoding="utf-8")
    return path


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a process of the command line under test."""
    kept = {name: value for name, value in os.environ.items() if name != "AGENTKIT_DEBUG"}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def run_process(
    *arguments: str | Path,
    env: dict[str, str] | None = None,
    timeout_s: float = 120,
    **options: Any,
) -> subprocess.CompletedProcess[str]:
    """Run ``agentkit`` in a process without a terminal."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=environment(**(env or {})),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=timeout_s,
        start_new_session=True,
        **options,
    )
