"""Packages of pure Python in the wasm tier: one guest is built here, with wheels made here."""

from __future__ import annotations

import hashlib
import os
import zipfile
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from agentkit.errors import SandboxError
from agentkit.sandbox import Execution, ExitReason, ImportAllowlist, WasmSandbox
from agentkit.sandbox.packages import BUNDLED_LOCK, LockedPackage, PackageLock
from agentkit.sandbox.wasm import build
from agentkit.sandbox.wasm.packages import lay_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ALL = bool(os.environ.get("AGENTKIT_TEST_ALL"))
ALPHA = {
    "alpha/__init__.py": "import time\nfrom time import sleep as nap\nfrom beta import VALUE\n"
    "from alpha.inner import double\n",
    "alpha/inner.py": "def double(x):\n    return 2 * x\n",
    "alpha/seen.py": "import os, sys\n"
    "PATHS = [(path, os.listdir(path)) for path in sys.path if path[1:].isdigit()]\n"
    "NAMES = sorted(os.environ)\n",
    "alpha/optional.py": "import numpy\n",
    "alpha/lazy.py": "def late():\n    import gamma\n",
    "alpha/tests/test_it.py": "raise SystemExit('a test ran')\n",
}


def make_wheel(folder: Path, name: str, files: dict[str, str], tag: str = "py3-none-any") -> Path:
    info = f"{name}-1.0.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{one},,\n" for one in [*files, f"{info}/RECORD"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-1.0-{tag}.whl"
    with zipfile.ZipFile(path, "w") as packed:
        for one, text in files.items():
            packed.writestr(one, text)
    return path


def locked(wheel: Path, *requires: str) -> LockedPackage:
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return LockedPackage(wheel.name.partition("-")[0], "1.0", requires, {wheel.name: digest})


def lock_of(path: Path, *packages: LockedPackage) -> Path:
    PackageLock({one.name: one for one in packages}).save(path)
    return path


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No index: pip has the wheelhouse and nothing else."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WasmSandbox]:
    """A sandbox whose guest holds alpha and beta, built at its first use; gamma is allowed only."""
    folder = tmp_path_factory.mktemp("packages")
    house = folder / "cache" / "wheelhouse"
    alpha = locked(make_wheel(house, "alpha", ALPHA), "beta")
    beta = locked(make_wheel(house, "beta", {"beta.py": "VALUE = 21\nSTATE = []\n"}))
    gamma = locked(make_wheel(house, "gamma", {"gamma.py": ""}))
    lock = lock_of(folder / "lock.json", alpha, beta, gamma)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_CONFIG_FILE", os.devnull)
        patch.delenv("PIP_FIND_LINKS", raising=False)
        yield WasmSandbox(packages=["Alpha"], lock=lock, cache=folder / "cache")


def test_packages_and_their_inner_modules_are_imported_and_nothing_else_is(
    packed: WasmSandbox, run_cells: Callable[..., list[Execution]]
) -> None:
    used, other, unlisted, broken, tests, lazy, nap = run_cells(
        packed,
        "import alpha, alpha.inner, beta; alpha.double(beta.VALUE)",
        "import gamma",
        "import pydantic",
        "import alpha.optional",
        "import alpha.tests.test_it",
        "import alpha.lazy; alpha.lazy.late()",
        "alpha.nap(0.001); 'awake'",
    )
    assert used.value == 42
    for refused in (other, unlisted, broken, tests, lazy):
        assert refused.exit_reason is ExitReason.ERROR
        assert refused.error.startswith("ModuleNotFoundError: No module named ")
    assert "the standard library and alpha 1.0, beta 1.0" in other.error
    assert nap.value == "awake", "what a package took of time before waits through the host too"


def test_a_package_sees_nothing_of_this_machine_while_it_is_built_in(
    packed: WasmSandbox, run_cells: Callable[..., list[Execution]]
) -> None:
    (seen,) = run_cells(packed, "import alpha.seen as s; [s.PATHS, s.NAMES]")
    paths, names = seen.value  # type: ignore[misc]  # JSON of this shape
    assert [sorted(set(files) & {"app.py", "alpha"}) for _, files in paths] == [
        ["app.py"],
        ["alpha"],
        [],
    ]
    assert paths[-1][1] == []
    assert names == ["PYTHONHOME", "PYTHONPATH", "PYTHONUNBUFFERED"]


def test_state_is_kept_and_forgotten_as_without_packages(
    packed: WasmSandbox, run_cells: Callable[..., list[Execution]]
) -> None:
    kept, forgotten = run_cells(
        packed,
        "import beta; beta.STATE.append(1); len(beta.STATE)",
        None,
        "import beta; len(beta.STATE)",
    )
    assert (kept.value, forgotten.value) == (1, 0)

    async def fresh() -> list[Any]:
        async with packed.session(fresh=True) as session:
            code = "import beta; beta.STATE.append(1); len(beta.STATE)"
            return [(await session.run(code)).value for _ in range(2)]

    assert anyio.run(fresh) == [1, 1]


def test_an_import_allowlist_holds_for_packages_before_and_inside(packed: WasmSandbox) -> None:
    async def main() -> list[Execution]:
        async with packed.session(imports=ImportAllowlist(frozenset({"alpha"}))) as session:
            codes = ("import alpha.inner; alpha.VALUE", "import beta", "__import__('be' + 'ta')")
            return [await session.run(code) for code in codes]

    allowed, written, built = anyio.run(main)
    assert allowed.value == 21
    for refused in (written, built):
        assert refused.exit_reason is ExitReason.VIOLATION
        assert "imports 'beta'" in refused.error


def test_a_guest_is_found_again_by_its_packages_hashes(packed: WasmSandbox) -> None:
    assert "with alpha 1.0, beta 1.0" in anyio.run(packed.check)
    wheel = {"a-1-py3-none-any.whl": "0" * 64}
    one = LockedPackage("a", "1", (), wheel)
    other = LockedPackage("a", "1", (), {**wheel, "a-1-py3-none-any.whl": "1" * 64})
    assert build._keys((one,)) == build._keys([one])
    assert len({*build._keys(), *build._keys((one,)), *build._keys((other,))}) == 6
    assert build._keys(()) == build._keys()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("numpy", "'numpy': it is not pure Python"),
        ("pandas", "'pandas': numpy is not pure Python"),
    ],
)
def test_compiled_packages_are_refused_with_the_tier_that_has_them(name: str, why: str) -> None:
    with pytest.raises(SandboxError, match=why) as caught:
        WasmSandbox(packages=["tabulate", name])
    assert "docker tier" in caught.value.cure


def test_what_is_not_on_the_allowlist_is_refused() -> None:
    with pytest.raises(SandboxError, match="'requests' is not on the allowlist"):
        WasmSandbox(packages=["requests"])


@pytest.mark.parametrize(
    ("wheel", "pure"),
    [
        ("a-1-py3-none-any.whl", True),
        ("a-1-py2.py3-none-any.whl", True),
        ("a-1-2-py3-none-any.whl", True),
        ("a-1-py2-none-any.whl", False),
        ("a-1-cp311-none-any.whl", False),
        ("a-1-py3-none-linux_x86_64.whl", False),
        ("a-1-py3-cp311-any.whl", False),
    ],
)
def test_pure_is_what_any_machine_can_run(wheel: str, pure: bool) -> None:
    found = LockedPackage("a", "1", (), {wheel: "0" * 64, "a-1-cp311-abi3-win32.whl": "1" * 64})
    assert list(found.pure_wheels) == ([wheel] if pure else [])


def test_a_wheel_that_was_changed_ends_the_build(tmp_path: Path, offline: None) -> None:
    house = tmp_path / "cache" / "wheelhouse"
    lock = lock_of(tmp_path / "lock.json", locked(make_wheel(house, "alpha", ALPHA)))
    make_wheel(house, "alpha", {"alpha.py": "changed = True\n"})
    sandbox = WasmSandbox(packages=["alpha"], lock=lock, cache=tmp_path / "cache")
    with pytest.raises(SandboxError, match="not what the lock says"):
        anyio.run(sandbox.check)
    assert not list((tmp_path / "cache" / "wasm").glob("component-*"))


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"alpha/fast.so": ""}, "not of pure Python: it holds alpha/fast.so"),
        ({"alpha/componentize-py.toml": ""}, "it holds alpha/componentize-py.toml"),
        ({"json.py": ""}, "a module 'json', which the guest has"),
        ({"cell/__init__.py": ""}, "a module 'cell', which the guest has"),
    ],
)
def test_a_wheel_that_claims_to_be_pure_is_looked_into(
    tmp_path: Path, offline: None, files: dict[str, str], why: str
) -> None:
    package = locked(make_wheel(tmp_path / "house", "alpha", files))
    (tmp_path / "site").mkdir()
    with pytest.raises(SandboxError, match=why) as caught:
        lay_out([package], tmp_path / "house", tmp_path / "site", ["cell"])
    assert "docker tier" in caught.value.cure


def test_the_bundled_lock_has_pure_packages_of_use(tmp_path: Path) -> None:
    names = ["python-dateutil", "tabulate", "sortedcontainers", "more-itertools", "jmespath"]
    assert {one.name for one in PackageLock.load(BUNDLED_LOCK).select_pure(names)} >= set(names)
    if ALL:
        code = (
            "import tabulate, more_itertools, jmespath, sortedcontainers\n"
            "from dateutil import parser\n"
            "str(parser.parse('3 May 2024')), jmespath.search('a.b', {'a': {'b': 3}})"
        )

        async def main() -> Execution:
            async with WasmSandbox(packages=names, cache=tmp_path).session() as session:
                return await session.run(code)

        assert anyio.run(main).value == ["2024-05-03 00:00:00", 3]
