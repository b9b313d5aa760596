"""The shape of the house: root links, optional dependencies, public names."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import agentkit

ROOT = Path(__file__).parent.parent
ROOMS = ["model", "guards", "sandbox", "tools", "licensing", "audit", "planner", "startup", "spec"]
HEAVY = [
    "torch",
    "transformers",
    "llguidance",
    "gguf",
    "wasmtime",
    "componentize_py",
    "docker",
    "cedarpy",
    "triton",
]


@pytest.mark.parametrize("room", ["model", "guards", "tools", "sandbox"])
def test_the_root_links_lead_into_the_package(room: str) -> None:
    link = ROOT / room
    assert link.is_symlink()
    assert link.readlink() == Path("agentkit") / room
    assert (link / "__init__.py").is_file()


def test_nothing_heavy_is_needed_to_import_agentkit_and_a_remote_model() -> None:
    program = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {HEAVY!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
import agentkit
for room in {ROOMS!r}:
    __import__(f"agentkit.{{room}}")
from agentkit.model import RemoteModel
RemoteModel("http://127.0.0.1:9/v1", "m", revision="", api_key=None)
print(sorted(set(sys.modules) & set({HEAVY!r})))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_every_public_name_exists_and_none_is_added_unnoticed() -> None:
    pinned = json.loads((ROOT / "tests" / "public_names.json").read_text())
    modules = ["agentkit", *(f"agentkit.{room}" for room in ROOMS), "agentkit.errors"]
    found = {name: sorted(importlib.import_module(name).__all__) for name in modules}
    for name, names in found.items():
        module = importlib.import_module(name)
        missing = [attribute for attribute in names if not hasattr(module, attribute)]
        assert missing == [], f"{name} promises what it does not have"
    assert found == pinned, "public names changed: write tests/public_names.json anew on purpose"


def test_every_module_says_what_it_is() -> None:
    silent = [
        module.name
        for module in pkgutil.walk_packages(agentkit.__path__, "agentkit.")
        if ".guest" not in module.name
        and not (importlib.import_module(module.name).__doc__ or "").strip()
    ]
    assert silent == []
