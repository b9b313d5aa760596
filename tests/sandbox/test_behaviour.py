"""What both tiers promise, held against both."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeAlias

import anyio
import pytest

from agentkit.errors import SandboxError
from agentkit.sandbox import Artifact, ArtifactKind, Execution, ExitReason, Limits, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

RunCells: TypeAlias = "Callable[..., list[Execution]]"

SHORT = Limits(timeout_s=1.0)


def test_check_names_the_interpreter_and_the_walls(sandbox: Sandbox) -> None:
    phrase = anyio.run(sandbox.check)
    assert phrase.startswith("CPython 3.")
    assert "no network" in phrase
    assert isinstance(sandbox, Sandbox)


def test_state_stays_between_runs_and_reset_forgets_it(
    sandbox: Sandbox, run_cells: RunCells
) -> None:
    first, second, third = run_cells(sandbox, "x = 41", "x + 1", None, "x")
    assert first.ok
    assert first.value is None
    assert second.value == 42
    assert third.exit_reason is ExitReason.ERROR
    assert third.error == "NameError: name 'x' is not defined"
    assert not any(one.state_lost for one in (first, second, third))


VALUES: list[tuple[str, object]] = [
    ("1 + 1", 2),
    ("'é\\u2028'", "é\u2028"),
    ("[1, 2.5, None, True, {'a': ()}]", [1, 2.5, None, True, {"a": []}]),
    ("object()", None),
    ("float('nan')", None),
    ("10 ** 5000", None),
    ("'a' * (2 << 20)", None),
    ("x = []; x.append(x); x", None),
    ("x = []\nfor _ in range(100_000): x = [x]\nx", None),
    ("type('D', (dict,), {'values': lambda self: 1 / 0})(a=1)", None),
    ("def f(): pass", None),
    ("", None),
    ("# only a comment", None),
]


def test_value_is_the_last_expression_where_it_is_json(
    sandbox: Sandbox, run_cells: RunCells
) -> None:
    executions = run_cells(sandbox, *(code for code, _ in VALUES))
    for (code, value), execution in zip(VALUES, executions, strict=True):
        assert execution.ok, (code, execution)
        assert execution.value == value, code


def test_output_streams_are_kept_apart_and_traceback_points_into_the_cell(
    sandbox: Sandbox, run_cells: RunCells
) -> None:
    code = "import sys\nprint('out')\nprint('err', file=sys.stderr)\n1 / 0\n"
    (execution,) = run_cells(sandbox, code)
    assert execution.exit_reason is ExitReason.ERROR
    assert execution.error == "ZeroDivisionError: division by zero"
    assert execution.stdout == "out\n"
    assert execution.stderr.startswith("err\nTraceback (most recent call last):\n")
    assert 'File "<cell>", line 4, in <module>\n    1 / 0' in execution.stderr
    assert "cell.py" not in execution.stderr
    assert execution.usage.wall_s > 0


def test_sys_exit_ends_a_cell_and_keeps_the_state(sandbox: Sandbox, run_cells: RunCells) -> None:
    done, failed, after = run_cells(
        sandbox, "x = 1; exit = __import__('sys').exit; exit()", "exit(3)", "x"
    )
    assert done.ok
    assert failed.exit_reason is ExitReason.ERROR
    assert failed.error == "SystemExit: 3"
    assert after.value == 1


def test_files_go_in_and_come_out(sandbox: Sandbox, run_cells: RunCells) -> None:
    code = (
        "data = open('in.csv', encoding='utf-8').read()\n"
        "with open('upper.csv', 'w') as f: f.write(data.upper())\n"
        "with open('raw.bin', 'wb') as f: f.write(bytes(range(256)))\n"
        "len(data)"
    )
    (execution,) = run_cells(sandbox, code, files={"in.csv": b"a,b\n"})
    assert execution.ok, execution.stderr
    assert execution.value == 4
    assert execution.artifacts == (
        Artifact("raw.bin", bytes(range(256)), "application/octet-stream"),
        Artifact("upper.csv", b"A,B\n", "text/csv", ArtifactKind.TABLE),
    )


def test_an_unchanged_file_is_no_artifact_and_a_changed_one_is(
    sandbox: Sandbox, run_cells: RunCells
) -> None:
    made, untouched, changed = run_cells(
        sandbox,
        "open('a.txt', 'w').write('1')",
        "open('a.txt').read()",
        "f = open('a.txt', 'a'); f.write('2'); f.flush()",
    )
    assert [a.data for a in made.artifacts] == [b"1"]
    assert untouched.artifacts == ()
    assert untouched.value == "1"
    assert [a.data for a in changed.artifacts] == [b"12"]


def test_reset_forgets_files(sandbox: Sandbox, run_cells: RunCells) -> None:
    _, after = run_cells(sandbox, "open('a.txt', 'w').write('1')", None, "open('a.txt')")
    assert after.exit_reason is ExitReason.ERROR
    assert after.error.startswith("FileNotFoundError")


def test_names_that_lead_out_are_refused(sandbox: Sandbox, run_cells: RunCells) -> None:
    async def main() -> None:
        async with sandbox.session() as session:
            for name in ("../x", "/etc/x", "", "a/../../b", "a\nb", "a\\b", "x" * 300):
                with pytest.raises(SandboxError, match="no name for a file"):
                    await session.run("1", files={name: b""})

    anyio.run(main)


def test_files_over_the_limit_are_refused_going_in_and_named_coming_out(
    sandbox: Sandbox, run_cells: RunCells
) -> None:
    limits = Limits(file_bytes=100_000)
    with pytest.raises(SandboxError, match="the limit is 100000"):
        run_cells(sandbox, "1", files={"a": b"x" * 100_001}, limits=limits)
    code = "for i in range(3): open(f'{i}.txt', 'w').write('x' * 40_000)\n7"
    (execution,) = run_cells(sandbox, code, limits=limits)
    assert execution.exit_reason is ExitReason.OUTPUT
    assert [a.name for a in execution.artifacts] == ["0.txt", "1.txt"]
    assert "'2.txt'" in execution.error
    assert execution.value == 7


@pytest.mark.parametrize("code", ["while True: pass", "import time; time.sleep(60)"])
def test_timeout_keeps_partial_output_and_the_session_goes_on(
    sandbox: Sandbox, run_cells: RunCells, code: str
) -> None:
    began = time.monotonic()
    cut, after = run_cells(sandbox, f"x = 1\nprint('before', end='')\n{code}", "x", limits=SHORT)
    assert cut.exit_reason is ExitReason.TIMEOUT
    assert cut.stdout == "before"
    assert cut.state_lost
    assert cut.usage.wall_s < 2.0
    assert after.error.startswith("NameError")
    assert time.monotonic() - began < 30


def test_a_run_may_ask_for_less_time_than_the_session_has(
    sandbox: Sandbox, run_cells: RunCells
) -> None:
    (execution,) = run_cells(sandbox, "while True: pass", timeout_s=0.3)
    assert execution.exit_reason is ExitReason.TIMEOUT
    with pytest.raises(SandboxError, match="leaves no time"):
        run_cells(sandbox, "1", timeout_s=0)


def test_a_memory_bomb_ends_as_memory_and_state_stays_where_it_can(
    sandbox: Sandbox, run_cells: RunCells
) -> None:
    bomb, after = run_cells(sandbox, "x = 1\ny = bytearray(10 ** 9)", "x")
    assert bomb.exit_reason is ExitReason.MEMORY
    assert after.value == 1


def test_a_slow_memory_bomb_ends_as_memory(sandbox: Sandbox, run_cells: RunCells) -> None:
    code = "print('growing')\nx = []\nwhile True: x.append('a' * 100_000 + str(len(x)))"
    bomb, after = run_cells(sandbox, code, "1 + 1", limits=Limits(memory_mib=128))
    assert bomb.exit_reason is ExitReason.MEMORY
    assert bomb.stdout == "growing\n"
    assert after.value == 2


def test_too_much_output_is_cut_and_the_state_stays(sandbox: Sandbox, run_cells: RunCells) -> None:
    cut, after = run_cells(
        sandbox, "x = 5\nprint('é' * 800)\nx", "x", limits=Limits(output_bytes=1001)
    )
    assert cut.exit_reason is ExitReason.OUTPUT
    assert cut.value == 5
    assert cut.stdout == "é" * 500
    assert 1600 <= cut.usage.output_bytes <= 1601
    assert not cut.state_lost
    assert after.value == 5


def test_an_output_flood_is_stopped_long_before_its_time(
    sandbox: Sandbox, run_cells: RunCells
) -> None:
    flood, after = run_cells(sandbox, "while True: print('a' * 1000)", "1")
    assert flood.exit_reason is ExitReason.OUTPUT
    assert flood.usage.wall_s < 9
    assert 60_000 < len(flood.stdout) <= 64 * 1024
    assert after.value == 1


def test_code_that_is_no_python_is_an_error(sandbox: Sandbox, run_cells: RunCells) -> None:
    nested = "(" * 5000 + ")" * 5000
    broken = ["'\ud800'", "\0", "x = '\0'", "(", nested, "return 1", "a b"]
    *executions, after = run_cells(sandbox, "kept = 1", *broken, "kept")[1:]
    for code, execution in zip(broken, executions, strict=True):
        assert execution.exit_reason is ExitReason.ERROR, code[:20]
        assert execution.error
    assert after.value == 1


def test_a_large_display_costs_no_state(sandbox: Sandbox, run_cells: RunCells) -> None:
    code = "class H:\n  def _repr_html_(self): return 'h' * 5_000_000\nx = 1\nH()"
    small = Limits(file_bytes=256 * 1024, call_bytes=64 * 1024)
    large, after = run_cells(sandbox, code, "x", limits=small)
    assert large.artifacts == ()
    assert after.value == 1


def test_only_so_many_files_are_taken_and_names_may_begin_with_dots(
    sandbox: Sandbox, run_cells: RunCells
) -> None:
    code = "for n in range(99): open(f'{n}', 'w').close()\nopen('..data.csv').read()"
    (execution,) = run_cells(sandbox, code, files={"..data.csv": b"a,b"})
    assert execution.value == "a,b"
    assert len(execution.artifacts) == 64
    assert execution.exit_reason is ExitReason.OUTPUT
    assert "35 file(s) not taken" in execution.error


def test_lone_surrogates_in_output_and_value_survive(sandbox: Sandbox, run_cells: RunCells) -> None:
    (execution,) = run_cells(sandbox, "s = chr(0xd800)\nprint(s)\ns")
    assert execution.ok
    assert execution.stdout == "\\ud800\n"
    assert execution.value == "\ud800"


def test_huge_code_is_an_error_and_large_code_runs(sandbox: Sandbox, run_cells: RunCells) -> None:
    huge, large = run_cells(sandbox, "#" * (2 << 20), "#" * (1 << 19) + "\n3")
    assert huge.exit_reason is ExitReason.ERROR
    assert "at most" in huge.error
    assert large.value == 3


def test_asyncio_dataclasses_pickle_and_randomness_work(
    sandbox: Sandbox, run_cells: RunCells
) -> None:
    code = (
        "import asyncio, dataclasses, pickle, random, uuid\n"
        "@dataclasses.dataclass\nclass Point:\n    x: 'int'\n"
        "async def f():\n    await asyncio.sleep(0.01)\n"
        "    return await asyncio.gather(*[asyncio.sleep(0.01, i) for i in range(3)])\n"
        "[asyncio.run(f()), pickle.loads(pickle.dumps(Point(3))).x, random.random(), "
        "str(uuid.uuid4())]"
    )
    first, second = run_cells(sandbox, code, None, code)[:2]
    assert first.value[:2] == [[0, 1, 2], 3]
    assert first.value[2:] != second.value[2:]


def test_the_clock_is_the_hosts(sandbox: Sandbox, run_cells: RunCells) -> None:
    before = time.time()
    (execution,) = run_cells(
        sandbox, "import time, datetime\n[time.time(), datetime.datetime.now().timestamp()]"
    )
    after = time.time()
    assert all(before - 1 <= value <= after + 1 for value in execution.value)


def test_two_sessions_do_not_see_each_other(sandbox: Sandbox) -> None:
    async def main() -> tuple[Execution, ...]:
        async with sandbox.session() as one, sandbox.session() as two:
            await one.run("x = 'one'; open('f.txt', 'w').write('1')")
            seen = await two.run("x")
            file = await two.run("open('f.txt')")
            kept = await one.run("x")
            return seen, file, kept

    seen, file, kept = anyio.run(main)
    assert seen.error.startswith("NameError")
    assert file.error.startswith("FileNotFoundError")
    assert kept.value == "one"


def test_runs_of_one_session_wait_for_each_other(sandbox: Sandbox) -> None:
    async def main() -> Execution:
        async with sandbox.session() as session:
            await session.run("seen = []")
            async with anyio.create_task_group() as group:
                for index in range(5):
                    group.start_soon(session.run, f"seen.append({index})")
            return await session.run("sorted(seen)")

    assert anyio.run(main).value == [0, 1, 2, 3, 4]


def test_a_closed_session_says_so(sandbox: Sandbox) -> None:
    async def main() -> None:
        async with sandbox.session() as session:
            pass
        await session.run("1")

    with pytest.raises(SandboxError, match="session is closed"):
        anyio.run(main)
