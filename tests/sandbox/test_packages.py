"""The allowlist of packages: what may be installed is named, hashed and nothing else."""

from __future__ import annotations

import hashlib
import json
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.errors import SandboxError
from agentkit.sandbox.packages import BUNDLED_LOCK, LockedPackage, PackageLock
from agentkit.sandbox.packages_pip import Target, download, resolve, unpack

if TYPE_CHECKING:
    from pathlib import Path

TARGET = Target("3.11", "x86_64")


def make_wheel(folder: Path, name: str, content: str, needs: str = "") -> tuple[str, str]:
    """Write a pure wheel; return its file name and sha256."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}/__init__.py": content,
        f"{name}/tests/test_it.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{one},,\n" for one in [*files, f"{info}/RECORD"])
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as packed:
        for one, text in files.items():
            packed.writestr(one, text)
    return path.name, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, as pip's only index."""
    folder = tmp_path / "index"
    make_wheel(folder, "alpha", "VALUE = 1\n", "Requires-Dist: beta>=1\n")
    make_wheel(folder, "beta", "VALUE = 2\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def test_the_bundled_lock_names_what_is_asked_for_most() -> None:
    lock = PackageLock.load()
    chosen = lock.select(["numpy", "pandas", "scipy", "matplotlib", "pillow", "openpyxl"])
    names = {one.name for one in chosen}
    assert {"contourpy", "python-dateutil", "et-xmlfile"} <= names, "what they need comes along"
    for one in chosen:
        assert "--hash=sha256:" in one.requirement
        tags = " ".join(one.wheels)
        if "none-any" not in tags:
            for needed in ("cp311", "cp312", "cp313", "x86_64", "aarch64"):
                assert needed in tags, one.name


def test_what_is_not_listed_is_refused_with_the_way_to_list_it() -> None:
    with pytest.raises(SandboxError, match="'requests' is not on the allowlist") as caught:
        PackageLock.load().select(["numpy", "requests"])
    assert "packages allow requests" in caught.value.cure


@pytest.mark.parametrize("name", ["", "../x", "a b", "-r x", "a;b", "--index-url=x", "a\n"])
def test_names_that_are_none_never_reach_pip(name: str) -> None:
    with pytest.raises(SandboxError):
        PackageLock.load().select([name.replace("\n", "\n--pre")])
    with pytest.raises(SandboxError, match="is no package"):
        resolve([name], [], TARGET)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"packages": {"a": {"version": "1", "requires": [], "wheels": {}}}}',
             '{"packages": {"a": {"version": "1 --pre", "requires": [], "wheels": {"a": "%s"}}}}'
             % ("0" * 64)]
)  # fmt: skip
def test_a_broken_lock_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lock.json"
    path.write_text(text)
    with pytest.raises(SandboxError) as caught:
        PackageLock.load(path)
    assert str(path) in caught.value.render()


NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True).filter(
    lambda name: "--" not in name
)


@given(st.dictionaries(NAMES, st.lists(NAMES, max_size=3), max_size=6))
def test_a_selection_is_closed_and_minimal(graph: dict[str, list[str]]) -> None:
    packages = {
        name: LockedPackage(name, "1", tuple(n for n in needs if n in graph), {"w": "0" * 64})
        for name, needs in graph.items()
    }
    lock = PackageLock(packages)
    for name in graph:
        chosen = {one.name for one in lock.select([name])}
        assert name in chosen
        for one in chosen:
            assert set(packages[one].requires) <= chosen
            reached = any(one in packages[other].requires for other in chosen)
            assert one == name or reached


def test_allow_locks_what_pip_resolves_and_survives_the_file(index: Path, tmp_path: Path) -> None:
    lock = PackageLock().allow(["alpha"], [TARGET])
    path = tmp_path / "lock.json"
    lock.save(path)
    again = PackageLock.load(path)
    assert {name: one.requires for name, one in again.packages.items()} == {
        "alpha": ("beta",),
        "beta": (),
    }
    assert [one.name for one in again.select(["Alpha"])] == ["alpha", "beta"]
    json.loads(path.read_text())


def test_the_wheelhouse_takes_only_what_has_the_locked_hash(index: Path, tmp_path: Path) -> None:
    lock = PackageLock().allow(["alpha"], [TARGET])
    wanted = [one.requirement for one in lock.select(["alpha"])]
    wheelhouse, site = tmp_path / "wheelhouse", tmp_path / "site"
    download(wanted, TARGET, wheelhouse)
    unpack(wanted, TARGET, wheelhouse, site)
    assert (site / "alpha" / "__init__.py").read_text() == "VALUE = 1\n"
    make_wheel(index, "beta", "import os  # changed\n")
    make_wheel(wheelhouse, "beta", "import os  # changed\n")
    for act in (lambda: download(wanted, TARGET, tmp_path / "other"),
                lambda: unpack(wanted, TARGET, wheelhouse, tmp_path / "site2")):  # fmt: skip
        with pytest.raises(SandboxError, match="not what the lock says"):
            act()


def test_an_index_out_of_reach_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    wanted = [one.requirement for one in PackageLock.load(BUNDLED_LOCK).select(["cycler"])]
    with pytest.raises(SandboxError, match="pip reaches no package index") as caught:
        download(wanted, TARGET, tmp_path)
    assert "wheelhouse" in caught.value.cure


def test_a_package_without_a_fitting_wheel_names_the_target(index: Path) -> None:
    with pytest.raises(SandboxError, match=r"no wheels of gamma for Python 3.11 on x86_64"):
        PackageLock().allow(["gamma"], [TARGET])
