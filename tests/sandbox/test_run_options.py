"""What a run can be asked for: streamed output, displays, a seed, a clock, imports, freshness."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import anyio
import pytest

from agentkit.errors import SandboxError
from agentkit.sandbox import (
    ArtifactKind,
    Egress,
    Execution,
    ExitReason,
    ImportAllowlist,
    Limits,
    Sandbox,
    Tier,
)
from agentkit.sandbox.artifacts import taken_artifacts
from agentkit.sandbox.imports import forbidden_import

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkit.sandbox.interface import Stream


def test_output_is_told_while_the_code_runs(sandbox: Sandbox) -> None:
    async def main() -> tuple[list[tuple[Stream, str]], list[str], Execution]:
        told: list[tuple[Stream, str]] = []
        before_the_end: list[str] = []

        def observe(stream: Stream, text: str) -> None:
            told.append((stream, text))

        async def mark(arguments: object) -> None:
            before_the_end.append("".join(text for _, text in told))

        code = "import sys\nprint('one')\nmark()\nprint('two', file=sys.stderr)"
        async with sandbox.session() as session:
            execution = await session.run(code, output=observe, functions={"mark": mark})
        return told, before_the_end, execution

    told, before_the_end, execution = anyio.run(main)
    assert before_the_end == ["one\n"]
    assert "".join(text for stream, text in told if stream == "stdout") == execution.stdout
    assert "".join(text for stream, text in told if stream == "stderr") == "two\n"


SHOWN = [
    ("[{'a': 1, 'b': 'x'}, {'a': None}]", "table-1.json", ArtifactKind.TABLE),
    ("class H:\n    def _repr_html_(self): return '<b>1</b>'\nH()", "value-1.html", "html"),
    ("class S:\n    def _repr_svg_(self): return '<svg/>'\nS()", "value-1.svg", "svg"),
    (
        "class P:\n    def _repr_png_(self): return b'\\x89PNG\\r\\n\\x1a\\n...'\nP()",
        "figure-1.png",
        "png",
    ),
    ("class L:\n    def _repr_png_(self): return b'<script>'\nL()", "figure-1.png", "file"),
    ("import fractions; fractions.Fraction(1, 3)", "value-1.txt", "text"),
    ("open('a.json', 'w').write('{}'); None", "a.json", "json"),
    ("open('b.json', 'w').write('{'); None", "b.json", "file"),
    ("open('c.html', 'w').write('<p>'); None", "c.html", "html"),
    ("open('d.txt', 'w').write('x'); None", "d.txt", "text"),
]
BARE = ["1", "'text'", "[1, 2]", "[{}]", "[{1: 2}]", "[{'a': [1]}]", "print", "int", "None",
        "class B:\n    def _repr_html_(self): 1 / 0\nB()"]  # fmt: skip


def test_what_a_cell_shows_becomes_an_artifact_of_its_kind(
    sandbox: Sandbox, run_cells: Callable[..., list[Execution]]
) -> None:
    executions = run_cells(sandbox, *(code for code, _, _ in SHOWN), *BARE)
    for (code, name, kind), execution in zip(SHOWN, executions, strict=False):
        assert [(a.name, a.kind) for a in execution.artifacts] == [(name, kind)], code
    for code, execution in zip(BARE, executions[len(SHOWN) :], strict=True):
        assert execution.ok, code
        assert execution.artifacts == (), code
    table = json.loads(executions[0].artifacts[0].data)
    assert table == {"columns": ["a", "b"], "rows": [[1, "x"], [None, None]], "total": 2}


def test_forged_displays_are_dropped_or_made_harmless() -> None:
    shown = [None, 7, {"kind": "exe", "data": "AA=="}, {"kind": "png"}, {"kind": []},
             {"kind": "png", "data": "no base64"}, {"kind": "html", "data": "PGI+"}]  # fmt: skip
    taken, dropped = taken_artifacts({"shown": shown, "artifacts": {"../x": "AA=="}}, 100)
    assert [(a.name, a.kind) for a in taken] == [("value-1.html", ArtifactKind.HTML)]
    assert dropped == ["../x", "figure-1.png", "figure-2.png"]


def test_a_seed_repeats_random_numbers_for_one_run(
    sandbox: Sandbox,
) -> None:
    code = "import random; [random.random(), random.randrange(10 ** 9)]"

    async def main() -> list[object]:
        async with sandbox.session() as session:
            seeds = [7, 7, 8, None, None]
            return [(await session.run(code, seed=seed)).value for seed in seeds]

    first, again, other, free, freer = anyio.run(main)
    assert first == again
    assert len({str(value) for value in (first, other, free, freer)}) == 4


def test_a_run_can_be_shown_another_time_or_the_tier_says_that_it_cannot(sandbox: Sandbox) -> None:
    async def main() -> Execution:
        async with sandbox.session() as session:
            return await session.run(
                "import time, datetime; [time.time(), datetime.datetime.now().year]", now=1e9
            )

    if sandbox.tier is Tier.DOCKER:
        with pytest.raises(SandboxError, match="the host's clock"):
            anyio.run(main)
    else:
        shown, year = anyio.run(main).value  # type: ignore[misc]  # a list of two
        assert 1e9 <= shown < 1e9 + 5
        assert year == 2001


@pytest.mark.parametrize("option", [{"seed": -1}, {"seed": 2**64}, {"now": -1.0}, {"now": 1e12}])
def test_odd_seeds_and_times_are_refused(wasm: Sandbox, option: dict[str, float]) -> None:
    async def main() -> None:
        async with wasm.session() as session:
            await session.run("1", **option)  # type: ignore[arg-type]  # on purpose

    with pytest.raises(SandboxError):
        anyio.run(main)


ALLOWED = ImportAllowlist(frozenset({"json", "math", "os.path", "importlib"}))
FORBIDDEN = [
    "import os",
    "import math, socket",
    "from os import path",
    "import json.decoder as d, subprocess",
    "def f():\n    from socket import socket",
    "__import__('os')",
    "import importlib; importlib.import_module('os')",
    "from . import x",
    "name = 'o' + 's'\n__import__(name)",
    "import importlib\nimportlib.import_module('o' + 's')",
    "import importlib\nimportlib.__import__('o' + 's')",
    "exec('imp' + 'ort os')",
    "try:\n    eval('__imp' + 'ort__(\"os\")')\nexcept BaseException: pass",
]
PERMITTED = ["import math; math.floor(1.5)", "import json.decoder; 1", "import os.path; 1",
             "from json import loads; loads('1')", "import json; json.loads('1')"]  # fmt: skip


def test_an_allowlist_of_imports_holds_before_and_inside(sandbox: Sandbox) -> None:
    async def main() -> list[Execution]:
        async with sandbox.session(imports=ALLOWED) as session:
            return [await session.run(code) for code in [*FORBIDDEN, *PERMITTED]]

    executions = anyio.run(main)
    for code, execution in zip(FORBIDDEN, executions, strict=False):
        assert execution.exit_reason is ExitReason.VIOLATION, (code, execution)
        assert "import" in execution.error
    for code, execution in zip(PERMITTED, executions[len(FORBIDDEN) :], strict=True):
        assert execution.value == 1, (code, execution)


def test_the_look_at_the_syntax_says_what_is_allowed_and_stops_at_odd_source() -> None:
    none = ImportAllowlist(frozenset())
    assert forbidden_import("import os", none) == "the code imports 'os'; allowed: nothing"
    assert forbidden_import("import (", none) == ""
    assert "cannot be read" in forbidden_import("-" * 50_000 + "1", none)
    assert "give its data as files" in forbidden_import("x\n" * 50_000, none)
    assert not ImportAllowlist(frozenset({"os.path"})).permits("os")
    assert not ImportAllowlist(frozenset({"json"})).permits("jsonx")


def test_fresh_runs_share_nothing(sandbox: Sandbox) -> None:
    async def main() -> list[Execution]:
        async with sandbox.session(Limits(timeout_s=2), fresh=True) as session:
            codes = ["x = 1; open('f', 'w').write('1')", "x", "open('f')", "while True: pass", "2"]
            return [await session.run(code) for code in codes]

    made, variable, file, endless, after = anyio.run(main)
    assert made.ok
    assert variable.error.startswith("NameError")
    assert file.error.startswith("FileNotFoundError")
    assert endless.exit_reason is ExitReason.TIMEOUT
    assert after.value == 2
    assert not any(one.state_lost for one in (made, variable, file, endless, after))


def test_wasm_has_no_egress_to_give(wasm: Sandbox) -> None:
    async def main() -> None:
        async with wasm.session(egress=Egress(())):
            pass

    with pytest.raises(SandboxError, match="no network to give"):
        anyio.run(main)
