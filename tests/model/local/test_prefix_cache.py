"""Prefix reuse within and across conversations: the logits are those of a fresh read."""

from __future__ import annotations

import errno
import os
import runpy
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from agentkit.errors import ModelError
from agentkit.model.local.batch_policy import BatchPolicy
from agentkit.model.local.generation import Runtime
from agentkit.model.local.prefix_store import PrefixPolicy, PrefixStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import transformers

ROOT = Path(__file__).parents[3]
FAMILIES = runpy.run_path(str(ROOT / "tests/model/kernels/test_experts.py"))
EVERYTHING = os.environ.get("AGENTKIT_TEST_ALL") == "1"
SMALL = PrefixPolicy(least_tokens=4)
ONE = BatchPolicy(streams=1)


@pytest.fixture(scope="module")
def llama4(
    tiny_llama4: Callable[..., transformers.PreTrainedModel],
) -> transformers.PreTrainedModel:
    """Three layers of chunks of 16 tokens and a global one, as in Scout's proportion."""
    return tiny_llama4()


@pytest.fixture(scope="module")
def gpt_oss() -> transformers.PreTrainedModel:
    """Alternating sliding and full layers."""
    model: transformers.PreTrainedModel = FAMILIES["_tiny"]("gpt_oss")
    for number, kind in enumerate(model.config.layer_types):
        if kind == "sliding_attention":
            model.model.layers[number].self_attn.sliding_window = 16
    model.config.sliding_window = 16
    return model


@pytest.fixture
def open_runtime(
    llama4: transformers.PreTrainedModel,
) -> Iterator[Callable[..., Runtime]]:
    opened: list[Runtime] = []

    def build(policy: PrefixPolicy = SMALL) -> Runtime:
        opened.append(
            Runtime(llama4, context_tokens=256, prefill_tokens=24, prefixes=policy, batch=ONE)
        )
        return opened[-1]

    yield build
    for runtime in opened:
        runtime.close()


def _ids(count: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, 100, (count,), generator=generator).tolist()


def _read(runtime: Runtime, prompt: Sequence[int]) -> tuple[int, torch.Tensor]:
    """Read a prompt as a generation does; return how much was reused, and the last logits."""
    stream = runtime.cache.open(prompt, len(prompt))
    reused = len(stream.ids)
    pending, logits = list(prompt[reused:]), torch.empty(0)
    while pending:
        segment = stream.segment(pending, runtime.prefill_tokens)
        (logits,) = runtime.forward_segments([segment])
        runtime.cache.note_pass(stream, segment.ids)
        pending = pending[len(segment.ids) :]
    assert stream.ids == list(prompt)
    runtime.cache.release(stream)
    return reused, logits


def _fresh(model: transformers.PreTrainedModel, prompt: Sequence[int]) -> torch.Tensor:
    with torch.inference_mode():
        out: torch.Tensor = model(torch.tensor([list(prompt)]), use_cache=False).logits[0, -1]
        return out


def _check(runtime: Runtime, model: transformers.PreTrainedModel, prompt: Sequence[int]) -> int:
    reused, logits = _read(runtime, prompt)
    assert (logits - _fresh(model, prompt)).abs().max() <= 1e-4
    return reused


SYSTEM = _ids(40, 1)


def test_a_system_prompt_is_read_once_for_all_conversations(
    open_runtime: Callable[..., Runtime], llama4: transformers.PreTrainedModel
) -> None:
    runtime = open_runtime()
    first = SYSTEM + _ids(25, 2)
    assert _check(runtime, llama4, first) == 0
    # The chunk in which the system prompt ends is gone: read once more, and kept this time.
    assert _check(runtime, llama4, SYSTEM + _ids(20, 3)) == 0
    assert _check(runtime, llama4, SYSTEM + _ids(30, 4)) == 40
    assert _check(runtime, llama4, SYSTEM + _ids(9, 5)) == 40
    # And each conversation goes on where it stopped.
    assert _check(runtime, llama4, first + _ids(12, 6)) == len(first)


@pytest.mark.parametrize(
    ("length", "keep", "reused"),
    [
        (14, 9, 9),  # nothing dropped yet
        (30, 20, 20),  # dropped before the chunk that 20 is in
        (31, 16, 16),  # at the start of a chunk nothing of it is needed
        (40, 18, 0),  # the chunk of 18 is gone
        (60, 47, 0),
        (60, 48, 48),
        (60, 59, 59),
    ],
)
def test_a_cut_needs_the_current_chunk_and_the_global_layers(
    open_runtime: Callable[..., Runtime],
    llama4: transformers.PreTrainedModel,
    length: int,
    keep: int,
    reused: int,
) -> None:
    runtime = open_runtime(PrefixPolicy(least_tokens=1000))
    prompt = _ids(length, 7)
    _check(runtime, llama4, prompt)
    other = [*prompt[:keep], 101, *_ids(20, 8)]
    assert _check(runtime, llama4, other) == reused


_PROMPTS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 60), st.integers(0, 3), st.integers(1, 40)),
    min_size=2,
    max_size=8,
)
_POLICIES = [
    SMALL,
    PrefixPolicy(least_tokens=4, memory_bytes=60_000),
    PrefixPolicy(least_tokens=4, memory_bytes=0),
]


@pytest.mark.parametrize("spills", [False, True])
@pytest.mark.parametrize("family", ["llama4", "gpt_oss"])
@settings(max_examples=60 if EVERYTHING else 12)
@given(steps=_PROMPTS, policy=st.sampled_from(_POLICIES))
def test_no_order_of_prompts_changes_the_logits(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    family: str,
    steps: list[tuple[int, int, int, int]],
    policy: PrefixPolicy,
    *,
    spills: bool,
) -> None:
    model = request.getfixturevalue(family)
    if spills:
        folder = tmp_path_factory.mktemp("spill")
        policy = PrefixPolicy(
            least_tokens=4,
            memory_bytes=policy.memory_bytes,
            spill=folder,
            spill_bytes=200_000,
        )
    runtime = Runtime(model, context_tokens=256, prefill_tokens=24, prefixes=policy, batch=ONE)
    try:
        for stem, kept, tail, length in steps:
            _check(runtime, model, _ids(60, stem)[:kept] + _ids(40, 10 + tail)[:length])
            assert runtime.cache.store.memory_bytes <= policy.memory_bytes
            assert runtime.cache.store.spilled_bytes <= policy.spill_bytes
    finally:
        runtime.close()


def test_int8_prefixes_are_half_as_large_and_close(
    open_runtime: Callable[..., Runtime], llama4: transformers.PreTrainedModel
) -> None:
    exact = open_runtime()
    small = open_runtime(PrefixPolicy(least_tokens=4, kv="int8"))
    first, other, again = (SYSTEM + _ids(20, seed) for seed in (2, 3, 2))
    for runtime in (exact, small):
        _read(runtime, first)
        _read(runtime, other)
    assert small.cache.store.memory_bytes < 0.4 * exact.cache.store.memory_bytes
    reused, logits = _read(small, again + _ids(5, 9))
    assert reused == len(first)
    expected = _fresh(llama4, again + _ids(5, 9))
    error = float((logits - expected).norm() / expected.norm())
    assert 0 < error <= 0.05, f"relative error {error:.4f}"


def _spilling(tmp_path: Path) -> PrefixPolicy:
    return PrefixPolicy(least_tokens=4, memory_bytes=0, spill=tmp_path / "kv")


def test_cold_prefixes_lie_on_disk_and_are_erased_on_close(
    open_runtime: Callable[..., Runtime], llama4: transformers.PreTrainedModel, tmp_path: Path
) -> None:
    runtime = open_runtime(_spilling(tmp_path))
    first = SYSTEM + _ids(20, 2)
    _check(runtime, llama4, first)
    _check(runtime, llama4, _ids(30, 3))
    (file,) = (tmp_path / "kv").rglob("*.safetensors")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert runtime.cache.store.spilled_bytes > 0
    assert _check(runtime, llama4, first + _ids(4, 4)) == len(first)
    runtime.close()
    assert list((tmp_path / "kv").iterdir()) == []


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_file_is_read_anew_and_said(
    open_runtime: Callable[..., Runtime],
    llama4: transformers.PreTrainedModel,
    tmp_path: Path,
    damage: str,
) -> None:
    runtime = open_runtime(_spilling(tmp_path))
    first = SYSTEM + _ids(20, 2)
    _check(runtime, llama4, first)
    _check(runtime, llama4, _ids(30, 3))
    (file,) = (tmp_path / "kv").rglob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    if damage == "remove":
        file.unlink()
    else:
        file.write_bytes(content if damage == "flip" else content[:5000])
    with capture_logs() as logs:
        assert _check(runtime, llama4, first + _ids(4, 4)) == 0
    assert len([entry for entry in logs if entry["log_level"] == "warning"]) == 1


def test_what_a_killed_process_left_is_erased(
    open_runtime: Callable[..., Runtime], llama4: transformers.PreTrainedModel, tmp_path: Path
) -> None:
    left = tmp_path / "kv" / "kv-left"
    left.mkdir(parents=True)
    (tmp_path / "kv").chmod(0o700)
    (left / "a.safetensors").write_bytes(b"what was said")
    left.with_suffix(".lock").touch()
    runtime = open_runtime(_spilling(tmp_path))
    _check(runtime, llama4, SYSTEM)
    _check(runtime, llama4, _ids(30, 3))
    assert not left.exists()
    assert runtime.cache.store.spilled_bytes > 0


def test_a_living_process_keeps_its_files(tmp_path: Path) -> None:
    """Another process opens the same directory: it must not erase what this one spilled."""
    store = PrefixStore(_spilling(tmp_path))
    (folder,) = (tmp_path / "kv").glob("kv-????????")
    (folder / "mine").write_bytes(b"x")
    program = (
        "import sys; from pathlib import Path;"
        "from agentkit.model.local.prefix_store import *;"
        "PrefixStore(PrefixPolicy(spill=Path(sys.argv[1]))).close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "kv")],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "mine").exists()
    store.close()
    assert not folder.exists()


def test_a_spill_directory_that_others_may_write_to_is_refused_at_load(
    open_runtime: Callable[..., Runtime], tmp_path: Path
) -> None:
    (tmp_path / "kv").mkdir()
    (tmp_path / "kv").chmod(0o775)
    with pytest.raises(ModelError, match="others can write to the directory for spilled") as caught:
        open_runtime(_spilling(tmp_path))
    assert "chmod 700" in caught.value.cure
    assert "name another directory as spill" in caught.value.cure


def test_a_spill_directory_that_cannot_be_made_is_refused_at_load(
    open_runtime: Callable[..., Runtime], tmp_path: Path
) -> None:
    (tmp_path / "kv").write_bytes(b"a file")
    with pytest.raises(ModelError, match="spilled prefixes cannot be used") as caught:
        open_runtime(_spilling(tmp_path))
    assert "leave spill out" in caught.value.cure


def test_a_full_disk_costs_the_prefix_alone_and_is_said_once(
    open_runtime: Callable[..., Runtime],
    llama4: transformers.PreTrainedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = open_runtime(_spilling(tmp_path))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with capture_logs() as logs:
        for seed in range(4):
            _check(runtime, llama4, _ids(30, seed))
    assert [one["event"] for one in logs] == ["prefix_not_spilled"]
    assert runtime.cache.store.spilled_bytes == 0
    assert not list((tmp_path / "kv").glob("kv-*/*"))
    assert not runtime.cache.running


def test_what_was_spilled_is_erased_by_whichever_thread_closes(tmp_path: Path) -> None:
    store = PrefixStore(_spilling(tmp_path))
    lock = store._lock
    closer = threading.Thread(target=store.close)
    closer.start()
    closer.join()
    assert list((tmp_path / "kv").iterdir()) == []
    assert lock is not None
    assert not lock.is_locked
