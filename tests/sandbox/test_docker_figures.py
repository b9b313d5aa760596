"""Packages for real: a CSV goes in, a chart and a table come out, as examples/figures shows it."""

from __future__ import annotations

import importlib.util
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from agentkit.errors import SandboxError
from agentkit.sandbox import ArtifactKind, DockerSandbox, Execution, Limits
from agentkit.sandbox.docker import build_image

if TYPE_CHECKING:
    from types import ModuleType

pytestmark = pytest.mark.docker

EXAMPLE = Path(__file__).parents[2] / "examples" / "figures"
LIMITS = Limits(timeout_s=30, memory_mib=512)


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("figures_example", EXAMPLE / "figures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def packages(docker_image: str, example: ModuleType) -> Any:
    """A sandbox with the example's packages; their image is built once."""
    try:
        image = build_image(packages=example.PACKAGES)
    except SandboxError as error:
        pytest.fail(f"these tests need a package index: {error.render()}")
    return DockerSandbox(packages=example.PACKAGES, preload=example.PRELOAD, image=image)


def _run(sandbox: Any, *codes: str | None, **options: Any) -> list[Execution]:
    async def main() -> list[Execution]:
        found = []
        async with sandbox.session(LIMITS, **options) as session:
            for code in codes:
                if code is None:
                    await session.reset()
                else:
                    found.append(await session.run(code))
        return found

    return anyio.run(main)


def test_a_csv_goes_in_and_a_chart_and_a_table_come_out(packages: Any, example: ModuleType) -> None:
    execution = anyio.run(example.draw, (EXAMPLE / "sales.csv").read_bytes())
    assert execution.ok, execution
    chart, table = execution.artifacts
    assert chart.kind is ArtifactKind.PNG
    assert chart.data.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(chart.data) > 5000
    assert table.kind is ArtifactKind.TABLE
    found = json.loads(table.data)
    assert found["columns"] == ["month", "north", "south"]
    assert found["rows"][0] == ["2026-01", 540.0, 380.0]
    assert found["total"] == 4


def test_the_example_writes_the_chart_and_prints_the_table(
    packages: Any, example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example.main(tmp_path)
    assert (tmp_path / "figure-1.png").read_bytes().startswith(b"\x89PNG")
    assert "2026-04      637.5      630.0" in capsys.readouterr().out


def test_fresh_interpreters_have_the_packages_and_random_numbers_of_their_own(
    packages: Any,
) -> None:
    draw = "import numpy as np; [float(x) for x in np.random.rand(3)]"
    first, second, third = _run(packages, draw, None, draw, draw, fresh=False)
    assert first.ok, first
    assert len({str(one.value) for one in (first, second, third)}) == 3


def test_preloaded_modules_do_not_count_against_the_code(packages: Any) -> None:
    fits, grows = _run(
        packages,
        "import numpy as np; float(np.ones(30_000_000).sum())",  # 240 MB of 512
        "import numpy as np\nkeep = []\nwhile True: keep.append(np.ones(4_000_000))",
    )
    assert fits.value == 3e7
    assert grows.exit_reason.value == "memory", grows


def test_an_image_of_another_lock_or_name_is_never_taken(packages: Any) -> None:
    with pytest.raises(SandboxError, match="is no pinned image"):
        anyio.run(DockerSandbox(image="python:latest").check)
    with pytest.raises(SandboxError, match="is not built"):
        anyio.run(partial(DockerSandbox(packages=["cycler"]).check))
    with pytest.raises(SandboxError, match="is not on the allowlist"):
        DockerSandbox(packages=["requests"])
    with pytest.raises(SandboxError, match="did not come up"):
        anyio.run(DockerSandbox(preload=["numpy"]).check)
    with pytest.raises(SandboxError, match="no module to preload"):
        anyio.run(DockerSandbox(preload=["os; import pty"]).check)
