"""The cache of compiled guests trusts nothing that another could have written."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import anyio
import pytest

from agentkit.errors import SandboxError
from agentkit.sandbox.interface import Limits
from agentkit.sandbox.wasm import tier
from agentkit.sandbox.wasm.build import ensure_guest
from agentkit.sandbox.wasm.cache import CachedFile, OwnedCache

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def cache(tmp_path: Path) -> OwnedCache:
    cache = OwnedCache(tmp_path / "cache")
    cache.store("key", {"file": b"native code"})
    return cache


def test_what_was_stored_is_found_and_closed_to_others(cache: OwnedCache) -> None:
    found = cache.find("key", "file")
    assert found is not None
    assert found.sha256 == hashlib.sha256(b"native code").hexdigest()
    assert cache.directory.stat().st_mode & 0o777 == 0o700
    assert found.path.parent.stat().st_mode & 0o777 == 0o700
    assert found.path.stat().st_mode & 0o777 == 0o600
    assert cache.find("other", "file") is None


def _corrupt(entry: Path) -> None:
    (entry / "file").write_bytes(b"native cods")


def _open_up(entry: Path) -> None:
    (entry / "file").chmod(0o644)


def _open_folder(entry: Path) -> None:
    entry.chmod(0o755)


def _link(entry: Path) -> None:
    (entry / "file").rename(entry / "real")
    (entry / "file").symlink_to("real")


def _hard_link(entry: Path) -> None:
    os.link(entry / "file", entry.parent / "second")


def _no_manifest(entry: Path) -> None:
    (entry / "manifest.json").unlink()


def _odd_manifest(entry: Path) -> None:
    (entry / "manifest.json").write_bytes(b"[]")


def _foreign(entry: Path) -> None:
    if os.geteuid() == 0:
        os.chown(entry / "file", 65534, 65534)
    else:
        (entry / "file").chmod(0o666)


def _moved(entry: Path) -> None:
    content = (entry / "manifest.json").read_text().replace('"key"', '"kex"', 1)
    (entry / "manifest.json").write_text(content)


@pytest.mark.parametrize(
    "harm",
    [
        _corrupt,
        _open_up,
        _open_folder,
        _link,
        _hard_link,
        _no_manifest,
        _odd_manifest,
        _foreign,
        _moved,
    ],
)
def test_an_entry_that_was_touched_is_removed(
    cache: OwnedCache, harm: Callable[[Path], None]
) -> None:
    harm(cache.directory / "key")
    assert cache.find("key", "file") is None
    assert not (cache.directory / "key").exists()
    cache.store("key", {"file": b"again"})
    assert cache.find("key", "file") is not None


def test_an_entry_that_is_a_link_is_removed(cache: OwnedCache, tmp_path: Path) -> None:
    (cache.directory / "key").rename(tmp_path / "elsewhere")
    (cache.directory / "key").symlink_to(tmp_path / "elsewhere")
    assert cache.find("key", "file") is None
    assert (tmp_path / "elsewhere" / "file").exists()


def test_a_directory_open_to_others_is_an_error_with_a_cure(tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    directory.mkdir()
    directory.chmod(0o777)
    with pytest.raises(SandboxError, match="open to other users") as caught:
        OwnedCache(directory).store("key", {"file": b""})
    assert "AGENTKIT_CACHE" in caught.value.cure


def test_builders_exclude_each_other(tmp_path: Path) -> None:
    order: list[str] = []

    async def build(name: str) -> None:
        async with OwnedCache(tmp_path / "cache").locked():
            order.append(name)
            await anyio.sleep(0.05)
            order.append(name)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(build, "a")
            group.start_soon(build, "b")

    anyio.run(main)
    assert order in (["a", "a", "b", "b"], ["b", "b", "a", "a"])


def test_the_worker_loads_nothing_whose_hash_is_not_the_one_that_was_checked() -> None:
    async def main() -> None:
        guest = await ensure_guest()
        await tier._start_worker(CachedFile(guest.path, "0" * 64), Limits(), None)

    with pytest.raises(SandboxError, match="not the one that was built"):
        anyio.run(main)


def test_a_seed_repeats_a_run() -> None:
    code = "import random, os; [random.random(), os.urandom(4).hex()]"

    async def once(seed: int) -> object:
        async with tier.WasmSandbox(seed=seed).session() as session:
            return (await session.run(code)).value

    async def main() -> list[object]:
        return [await once(7), await once(7), await once(8)]

    first, again, other = anyio.run(main)
    assert first == again
    assert first != other


def test_a_spare_interpreter_takes_no_random_numbers_from_the_one_in_use() -> None:
    code = "import os; os.urandom(4).hex()"

    async def main() -> list[object]:
        async with tier.WasmSandbox(seed=7).session() as session:
            values = [(await session.run(code)).value]
            await anyio.sleep(1)  # the next interpreter is made while nobody asks
            values.append((await session.run(code)).value)
            for _ in range(2):
                await session.reset()
                values.append((await session.run(code)).value)
            return values

    first, second, *fresh = anyio.run(main)
    assert first != second
    assert fresh == [first, first]
