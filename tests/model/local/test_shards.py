"""Tensors read out of shards: what safetensors wrote, and an error for whatever cannot be true."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from agentkit.errors import ModelError
from agentkit.model.local.shards import ShardReader, read_header

if TYPE_CHECKING:
    from pathlib import Path

DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.int8, torch.float64]


@given(
    shape=st.lists(st.integers(0, 5), max_size=3),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 99),
)
def test_every_tensor_comes_back(
    tmp_path_factory: pytest.TempPathFactory, shape: list[int], dtype: torch.dtype, seed: int
) -> None:
    path = tmp_path_factory.mktemp("shard") / "a.safetensors"
    torch.manual_seed(seed)
    tensor = (torch.randn(shape) * 50).to(dtype)
    save_file({"a": tensor, "b": torch.arange(7)}, path)
    with ShardReader([path]) as reader:
        assert reader.names == {"a", "b"}
        found = reader.read("a")
        assert found.dtype == dtype
        assert torch.equal(found, tensor)
        if shape:
            for index in range(shape[0]):
                assert torch.equal(reader.read("a", index), tensor[index])


@given(st.binary(max_size=200))
def test_no_header_that_is_garbage_is_believed(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("shard") / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="truncated or damaged") as caught:
        read_header(path)
    assert caught.value.place == str(path)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [4], "data_offsets": [0, 12]},
        {"dtype": "F32", "shape": [4], "data_offsets": [8, 24]},
        {"dtype": "F32", "shape": [-1, -4], "data_offsets": [0, 16]},
        {"dtype": "F99", "shape": [4], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": 4, "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [4]},
        {"dtype": "F32", "shape": [True, 4], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [0, 10**30], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [0, 1 << 40, 1 << 40], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [4.0], "data_offsets": [0, 16]},
        [],
        None,
    ],
)
def test_entries_that_cannot_be_true(tmp_path: Path, entry: object) -> None:
    path = tmp_path / "a.safetensors"
    header = json.dumps({"a": entry}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    with pytest.raises(ModelError, match="truncated or damaged"):
        read_header(path)


def test_a_header_nested_too_deep_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    header = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(ModelError, match="truncated or damaged"):
        read_header(path)


def test_one_name_in_two_shards(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_file({"w": torch.zeros(2)}, tmp_path / f"{name}.safetensors")
    with pytest.raises(ModelError, match="is in this shard and in a"):
        ShardReader(sorted(tmp_path.iterdir()))


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"w": torch.zeros(1000)}, path)
    with ShardReader([path]) as reader:
        path.write_bytes(path.read_bytes()[:2000])
        with pytest.raises(ModelError, match="shorter"):
            reader.read("w")
