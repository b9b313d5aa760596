"""The packed-weights cache: mapped at the next start, resumed, checked, rebuilt where damaged."""

from __future__ import annotations

import errno
import os
import shutil
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import torch
from filelock import FileLock
from structlog.testing import capture_logs

from agentkit.errors import ModelError
from agentkit.model.kernels import dispatch
from agentkit.model.local import streaming
from agentkit.model.local.checkpoint import inspect_checkpoint
from agentkit.model.local.open_weights import OpenedWeights, open_weights
from agentkit.model.local.weight_format import WeightFormat

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import transformers

INT8 = WeightFormat("int8", "int8")
IDS = torch.arange(3, 40).unsqueeze(0)


@pytest.fixture
def checkpoint(tiny_llama4: Callable[..., transformers.PreTrainedModel], tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    tiny_llama4().save_pretrained(directory, max_shard_size="300KB")
    (directory / "tokenizer.json").write_text("{}", encoding="utf-8")
    return directory


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def _open(
    directory: Path,
    cache: Path | None,
    chosen: WeightFormat = INT8,
    stages: list[str] | None = None,
) -> OpenedWeights:
    files = inspect_checkpoint(directory)
    seen = stages if stages is not None else []
    return open_weights(
        files,
        files.architecture,
        "auto",
        chosen,
        cache=cache,
        progress=lambda stage, _done, _total: seen.append(stage),
    )


def _logits(opened: OpenedWeights) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = opened.model(IDS).logits
        return found


def _folder(cache: Path) -> Path:
    (folder,) = (cache / "packed").iterdir()
    return folder


def test_the_second_start_maps_what_the_first_packed(checkpoint: Path, cache: Path) -> None:
    first, second = _open(checkpoint, cache), _open(checkpoint, cache)
    assert (first.filled.from_cache, first.filled.packed) == (0, 5)
    assert (second.filled.from_cache, second.filled.packed) == (5, 0)
    assert torch.equal(_logits(first), _logits(second))
    assert torch.equal(_logits(second), _logits(_open(checkpoint, None)))
    for path in [cache / "packed", *(cache / "packed").rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0 or path.name == ".lock"
    for name in ("gate_up", "down"):
        tensor = getattr(second.model.model.layers[0].feed_forward.packed, name)
        assert tensor.data_ptr() % 64 == 0


def test_an_interrupted_run_resumes_where_it_stopped(checkpoint: Path, cache: Path) -> None:
    class Stopped(BaseException):
        pass

    files = inspect_checkpoint(checkpoint)
    steps = 0

    def stop_in_the_middle(_stage: str, done: int, total: int) -> None:
        nonlocal steps
        if 0.5 * total < done:
            raise Stopped

    with pytest.raises(Stopped):
        open_weights(
            files, files.architecture, "auto", INT8, cache=cache, progress=stop_in_the_middle
        )
    half = _folder(cache)
    (half / "layer-0003.writing").write_bytes(b"cut off")
    kept = {path.name: path.stat().st_mtime_ns for path in half.glob("*.safetensors")}
    assert 1 <= len(kept) < 5
    with capture_logs() as logs:
        again = _open(checkpoint, cache)
    assert again.filled.from_cache == len(kept)
    assert again.filled.packed == 5 - len(kept)
    assert not [entry for entry in logs if entry["log_level"] == "warning"]
    assert all((half / name).stat().st_mtime_ns == at for name, at in kept.items())
    assert not list(half.glob("*.writing"))
    assert torch.equal(_logits(again), _logits(_open(checkpoint, None)))


def _flip(folder: Path) -> None:
    with (folder / "layer-0001.safetensors").open("r+b") as file:
        file.seek(-100, os.SEEK_END)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


def _truncate(folder: Path) -> None:
    os.truncate(folder / "layer-0001.safetensors", 5000)


def _empty_hash(folder: Path) -> None:
    (folder / "layer-0001.sha256").write_bytes(b"")


def _binary_hash(folder: Path) -> None:
    (folder / "layer-0001.sha256").write_bytes(b"\xff\xfe")


def _open_to_all(folder: Path) -> None:
    (folder / "layer-0001.safetensors").chmod(0o666)


def _link(folder: Path) -> None:
    path = folder / "layer-0001.safetensors"
    path.rename(folder / "elsewhere")
    path.symlink_to(folder / "elsewhere")


@pytest.mark.parametrize(
    "damage", [_flip, _truncate, _empty_hash, _binary_hash, _open_to_all, _link]
)
def test_damage_is_found_said_once_and_repaired(
    checkpoint: Path, cache: Path, damage: Callable[[Path], None]
) -> None:
    expected = _logits(_open(checkpoint, cache))
    damage(_folder(cache))
    stages: list[str] = []
    with capture_logs() as logs:
        opened = _open(checkpoint, cache, stages=stages)
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == [
        "packed_cache_damaged"
    ]
    assert stages.count("rebuild") == 1
    assert (opened.filled.from_cache, opened.filled.packed) == (4, 1)
    assert torch.equal(_logits(opened), expected)
    assert _open(checkpoint, cache).filled.packed == 0


def test_other_weights_and_other_formats_are_other_entries(checkpoint: Path, cache: Path) -> None:
    _open(checkpoint, cache)
    assert _open(checkpoint, cache, WeightFormat("int8", "int8", 64)).filled.packed == 5
    assert _open(checkpoint, cache, WeightFormat("int4")).filled.packed == 5
    shard = min(checkpoint.glob("*.safetensors"))
    before = shard.stat()
    content = bytearray(shard.read_bytes())
    content[-2] ^= 1
    shard.write_bytes(content)
    os.utime(shard, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert _open(checkpoint, cache).filled.packed == 5


def test_a_copy_with_its_times_is_the_same_checkpoint(
    checkpoint: Path, cache: Path, tmp_path: Path
) -> None:
    _open(checkpoint, cache)
    assert _open(shutil.copytree(checkpoint, tmp_path / "copy"), cache).filled.packed == 0


def test_a_cache_that_others_can_write_is_refused(checkpoint: Path, cache: Path) -> None:
    cache.mkdir()
    cache.chmod(0o777)
    with pytest.raises(ModelError, match="others can write"):
        _open(checkpoint, cache)


def test_a_full_disk_costs_the_cache_and_not_the_start(
    checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = SimpleNamespace(total=10, used=10, free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: full)
    with capture_logs() as logs:
        opened = _open(checkpoint, cache)
    said = [entry for entry in logs if entry["log_level"] == "warning"]
    assert [entry["event"] for entry in said] == ["packed_cache_not_written"]
    assert "AGENTKIT_CACHE" in said[0]["cure"]
    assert opened.filled.packed == 5
    assert not list(_folder(cache).glob("*.safetensors"))


def test_with_and_without_a_kernel_are_other_entries(
    checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _open(checkpoint, cache, WeightFormat())
    monkeypatch.setattr(streaming, "library", lambda: None)
    without = _open(checkpoint, cache, WeightFormat())
    assert without.filled.from_cache == (0 if dispatch.library() else 5)
    again = _open(checkpoint, cache, WeightFormat())
    assert again.filled.from_cache == 5
    monkeypatch.undo()
    assert _open(checkpoint, cache, WeightFormat()).filled.from_cache == 5


def test_a_filled_cache_that_cannot_be_written_is_used_and_said_once(
    checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _open(checkpoint, cache)
    (_folder(cache) / "layer-0001.sha256").unlink()

    def read_only(_: FileLock) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(FileLock, "acquire", read_only)
    with capture_logs() as logs:
        opened = _open(checkpoint, cache)
    said = [entry for entry in logs if entry["log_level"] == "warning"]
    assert [entry["reason"] for entry in said] == ["Read-only file system"]
    assert (opened.filled.from_cache, opened.filled.packed) == (4, 1)
    assert not (_folder(cache) / "layer-0001.sha256").exists()
