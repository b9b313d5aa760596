from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from agentkit.errors import ModelError
from agentkit.model.embedded.cache import ensure_checkpoint, owner_only
from agentkit.progress import silent

if TYPE_CHECKING:
    from pathlib import Path


def _build(directory: Path) -> None:
    (directory / "config.json").write_text("{}", encoding="utf-8")
    (directory / "model.safetensors").write_bytes(b"weights")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return owner_only(tmp_path / "cache") / "model"


def test_it_is_built_once(checkpoint: Path) -> None:
    calls: list[Path] = []

    def build(directory: Path) -> None:
        calls.append(directory)
        _build(directory)

    first = ensure_checkpoint(checkpoint, build, progress=silent)
    assert ensure_checkpoint(checkpoint, build, progress=silent) == first
    assert len(calls) == 1
    assert not calls[0].exists()
    listed = json.loads((checkpoint / "manifest.json").read_text(encoding="utf-8"))
    assert set(listed["sha256"]) == {"config.json", "model.safetensors"}


def _flip(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").write_bytes(b"weightz")


def _truncate(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").write_bytes(b"wei")


def _remove(checkpoint: Path) -> None:
    (checkpoint / "config.json").unlink()


def _add(checkpoint: Path) -> None:
    (checkpoint / "adapter.safetensors").write_bytes(b"more")


def _link(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").rename(checkpoint.parent / "elsewhere")
    (checkpoint / "model.safetensors").symlink_to(checkpoint.parent / "elsewhere")


def _garble_manifest(checkpoint: Path) -> None:
    (checkpoint / "manifest.json").write_text('{"sha256": []}', encoding="utf-8")


def _remove_manifest(checkpoint: Path) -> None:
    (checkpoint / "manifest.json").unlink()


@pytest.mark.parametrize(
    "damage", [_flip, _truncate, _remove, _add, _link, _garble_manifest, _remove_manifest]
)
def test_damage_is_found_reported_and_rebuilt(checkpoint: Path, damage: object) -> None:
    whole = ensure_checkpoint(checkpoint, _build, progress=silent)
    damage(checkpoint)
    stages: list[str] = []
    again = ensure_checkpoint(checkpoint, _build, progress=lambda stage, *_: stages.append(stage))
    assert "rebuild" in stages
    assert again == whole
    assert (checkpoint / "model.safetensors").read_bytes() == b"weights"
    assert {path.name for path in checkpoint.iterdir()} == {
        "config.json",
        "manifest.json",
        "model.safetensors",
    }


def test_a_failed_build_leaves_nothing(checkpoint: Path) -> None:
    def fail(directory: Path) -> None:
        (directory / "config.json").write_text("{}", encoding="utf-8")
        raise ModelError("no network", cure="connect")

    with pytest.raises(ModelError, match="no network"):
        ensure_checkpoint(checkpoint, fail, progress=silent)
    assert not checkpoint.exists()
    assert not list(checkpoint.parent.glob("*building*"))
    assert ensure_checkpoint(checkpoint, _build, progress=silent)


KILLED_BUILDER = """
    import os, signal, sys
    from pathlib import Path
    from agentkit.model.embedded.cache import ensure_checkpoint
    from agentkit.progress import silent

    def build(directory):
        (directory / "config.json").write_text("{}")
        os.kill(os.getpid(), signal.SIGKILL)

    ensure_checkpoint(Path(sys.argv[1]), build, progress=silent)
"""


def test_a_builder_killed_half_way_is_followed_by_a_whole_build(checkpoint: Path) -> None:
    script = textwrap.dedent(KILLED_BUILDER)
    command = [sys.executable, "-c", script, str(checkpoint)]
    ended = subprocess.run(command, timeout=60, check=False)  # our own script
    assert ended.returncode == -9
    assert not checkpoint.exists()
    assert list(checkpoint.parent.glob(".model.building-*"))
    ensure_checkpoint(checkpoint, _build, progress=silent)
    assert (checkpoint / "model.safetensors").exists()
    assert not list(checkpoint.parent.glob(".model.building-*"))


SLOW_BUILDER = """
    import sys, time
    from pathlib import Path
    from agentkit.model.embedded.cache import ensure_checkpoint
    from agentkit.progress import silent

    def build(directory):
        (directory / "config.json").write_text("{}")
        time.sleep(0.3)
        print("built")

    ensure_checkpoint(Path(sys.argv[1]), build, progress=silent)
"""


def test_of_builders_at_the_same_time_one_builds(checkpoint: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(SLOW_BUILDER), str(checkpoint)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # our own script
        for _ in range(3)
    ]
    said = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert "".join(said) == "built\n"


def test_a_cache_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(ModelError, match="others can write") as caught:
        owner_only(shared)
    assert "chmod 700" in caught.value.cure


def test_a_cache_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ModelError) as caught:
        owner_only(tmp_path / "file" / "cache")
    assert "AGENTKIT_CACHE" in caught.value.cure


def test_a_new_cache_is_the_owners_alone(tmp_path: Path) -> None:
    assert owner_only(tmp_path / "new").stat().st_mode & 0o777 == 0o700
