"""Functions of the host, called from inside: answers, errors, and everything hostile about them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.errors import AuditError, SandboxError, ToolError
from agentkit.sandbox import Execution, ExitReason, Limits, Sandbox, SandboxSession
from agentkit.sandbox.hostcalls import CallDesk, CallRefused, declared

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkit.messages import JsonObject, JsonValue

LIMITS = Limits(timeout_s=2.0, calls=20, call_bytes=10_000)


async def echo(arguments: JsonObject) -> JsonValue:
    return arguments


class Add:
    parameters = ("x", "y")

    async def __call__(self, arguments: JsonObject) -> JsonValue:
        return arguments["x"] + arguments["y"]  # type: ignore[operator]  # numbers in these tests


async def refuse(arguments: JsonObject) -> JsonValue:
    raise ToolError("no such account", cure="ask")


async def defect(arguments: JsonObject) -> JsonValue:
    raise ValueError("a secret of the host")


async def never(arguments: JsonObject) -> JsonValue:
    await anyio.sleep_forever()


async def unspeakable(arguments: JsonObject) -> JsonValue:
    return object()  # type: ignore[return-value]  # a defect of the function


async def large(arguments: JsonObject) -> JsonValue:
    return "x" * 20_000


FUNCTIONS = {"echo": echo, "add": Add(), "refuse": refuse, "defect": defect, "never": never,
             "unspeakable": unspeakable, "large": large}  # fmt: skip


@pytest.fixture
def run(sandbox: Sandbox, run_cells: Callable[..., list[Execution]]) -> Callable[..., Any]:
    def cells(*codes: str, functions: Any = FUNCTIONS) -> list[Execution]:
        return run_cells(sandbox, *codes, limits=LIMITS, functions=functions)

    return cells


def test_calls_cross_and_come_back_in_order(run: Callable[..., list[Execution]]) -> None:
    code = (
        "print('before')\n"
        "kept = [add(n, y=1) for n in range(3)]\n"
        "[kept, echo(text='é\\u2028', deep=[None, {'a': 1.5}])]"
    )
    (execution,) = run(code)
    assert execution.value == [[1, 2, 3], {"text": "é\u2028", "deep": [None, {"a": 1.5}]}]


def test_errors_come_back_as_one_known_class(run: Callable[..., list[Execution]]) -> None:
    code = (
        "seen = []\n"
        "for f in (refuse, defect, unspeakable, large):\n"
        "    try: f()\n"
        "    except HostFunctionError as error: seen.append(str(error))\n"
        "for call in (lambda: echo(1), lambda: add(1, 2, 3), lambda: add(1, x=2), "
        "lambda: echo(v=object()), lambda: echo(v=float('nan')), lambda: echo(v='a' * 20_000)):\n"
        "    try: call()\n"
        "    except Exception as error: seen.append(type(error).__name__)\n"
        "seen"
    )
    (execution,) = run(code)
    assert execution.value == [
        "no such account", "defect failed: ValueError", "unspeakable failed: TypeError",
        "large: its answer is over 10000 bytes",
        "TypeError", "TypeError", "TypeError", "TypeError", "ValueError", "HostFunctionError",
    ]  # fmt: skip


def test_a_function_is_there_in_its_own_run_only(
    sandbox: Sandbox, run_cells: Callable[..., list[Execution]]
) -> None:
    async def main() -> tuple[Execution, ...]:
        async with sandbox.session(LIMITS) as session:
            first = await session.run("kept = echo; echo(a=1)", functions={"echo": echo})
            name = await session.run("echo(a=2)")
            handle = await session.run("kept(a=3)", functions={"add": Add()})
            return first, name, handle

    first, name, handle = anyio.run(main)
    assert first.value == {"a": 1}
    assert name.error.startswith("NameError")
    assert "no function 'echo' here; there: add" in handle.error


def test_a_flood_of_calls_is_a_violation(run: Callable[..., list[Execution]]) -> None:
    flood, after = run("print('so far')\nwhile True: echo()", "echo(a=1)")
    assert flood.exit_reason is ExitReason.VIOLATION
    assert "more than 20 times" in flood.error
    assert flood.stdout == "so far\n"
    assert after.value == {"a": 1}


def test_a_function_that_never_returns_ends_with_the_run(
    run: Callable[..., list[Execution]],
) -> None:
    caught = "try: never()\nexcept Exception: pass\nwhile True: pass"
    for code in ("never()", caught):
        hit, after = run(code, "add(1, 2)")
        assert hit.exit_reason is ExitReason.TIMEOUT
        assert hit.usage.wall_s < LIMITS.timeout_s + 1
        assert after.value == 3


def test_an_error_that_must_stop_more_than_the_run_is_raised(sandbox: Sandbox) -> None:
    async def broken(arguments: JsonObject) -> JsonValue:
        raise AuditError("the log is full")

    async def main() -> Execution:
        async with sandbox.session(LIMITS) as session:
            with pytest.raises(AuditError, match="log is full"):
                await session.run("try: broken()\nexcept BaseException: pass\n1",
                                  functions={"broken": broken})  # fmt: skip
            return await session.run("1 + 1")

    assert anyio.run(main).value == 2


def test_a_function_may_not_run_code_in_the_session_that_waits_for_it(sandbox: Sandbox) -> None:
    sessions: list[SandboxSession] = []

    async def again(arguments: JsonObject) -> JsonValue:
        return (await sessions[0].run("1")).value

    async def main() -> None:
        async with sandbox.session(LIMITS) as session:
            sessions.append(session)
            with pytest.raises(SandboxError, match="the session that waits"):
                await session.run("again()", functions={"again": again})

    anyio.run(main)


def test_a_caller_that_is_cancelled_cancels_the_function_too(sandbox: Sandbox) -> None:
    ended: list[str] = []

    async def waits(arguments: JsonObject) -> JsonValue:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("cancelled")

    async def main() -> Execution:
        async with sandbox.session(Limits(timeout_s=30)) as session:
            with anyio.move_on_after(0.5):
                await session.run("waits()", functions={"waits": waits})
            return await session.run("1 + 1")

    assert anyio.run(main).value == 2
    assert ended == ["cancelled"]


FORGED = [
    ("wit_world.call('never_given', '{}')", ExitReason.OK),
    ("wit_world.call('echo', 'no json')", ExitReason.OK),
    ("wit_world.call('echo', '[1]')", ExitReason.OK),
    ("wit_world.call('echo', '[' * 9999)", ExitReason.OK),
    ("wit_world.call('echo', '{}' * 99_999)", ExitReason.OK),
    ("wit_world.call('x' * 99_999, '{}')", ExitReason.OK),
    ("wit_world.call('\\0', '\\0')", ExitReason.OK),
    ("[wit_world.call('x', '{}') for _ in range(99)]", ExitReason.VIOLATION),
    ("wit_world.violate('mine')", ExitReason.VIOLATION),
    ("wit_world.violate('a' * 99_999)", ExitReason.VIOLATION),
    ("wit_world.call(1, 2)", ExitReason.VIOLATION),
]


def test_forged_calls_in_the_wasm_guest_are_answered_or_end_the_run(
    wasm: Sandbox, run_cells: Callable[..., list[Execution]]
) -> None:
    codes = ["import wit_world; " + code for code, _ in FORGED]
    executions = run_cells(wasm, *codes, limits=LIMITS, functions={"echo": echo})
    for (code, reason), execution in zip(FORGED, executions, strict=True):
        assert execution.exit_reason is reason, (code, execution)
        assert execution.exit_reason is not ExitReason.OK or "error" in str(execution.value), code
        assert len(execution.error) < 1000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(["type", "call", "name", "arguments"]), JSON))
def test_no_frame_breaks_the_desk(frame: dict[str, Any]) -> None:
    """Whatever a worker sends as a call is answered with an error or refused; nothing is called."""

    async def called(arguments: JsonObject) -> JsonValue:
        raise AuditError("called")

    async def main() -> None:
        desk = CallDesk({"only": called}, LIMITS, 0, anyio.current_time() + 5)
        try:
            answer = await desk.answer({**frame, "name": frame.get("name", "other")})
        except CallRefused:
            return
        assert "error" in answer

    anyio.run(main)


NOT_STRICT = [
    '{"n": NaN}', '{"n": -Infinity}', '{"n": 1e999}', '{"n": 9007199254740993}', '{"n": "\\ud800"}',
    '{"n": 1, "n": 2}', '{"a": {"n": 1, "n": 2}}', '{"n": 1} {}',
    '{"n": ' + "[" * 99 + "]" * 99 + "}",
]  # fmt: skip


@pytest.mark.parametrize("arguments", NOT_STRICT)
def test_arguments_that_no_schema_could_bound_never_reach_a_function(arguments: str) -> None:
    """NaN is neither below nor above a maximum, and of two equal keys each reader sees another."""

    async def called(arguments: JsonObject) -> JsonValue:
        raise AuditError("called")

    async def main() -> dict[str, Any]:
        desk = CallDesk({"pay": called}, LIMITS, 0, anyio.current_time() + 5)
        frame = {"type": "call", "call": 1, "name": "pay", "arguments": arguments}
        return await desk.answer(frame)

    assert anyio.run(main)["error"].startswith("pay: its arguments are not accepted. ")


@pytest.mark.parametrize("name", ["", "a b", "class", "__import__", "1x", "a.b", "None"])
def test_names_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(SandboxError, match="no name for a function"):
        declared({name: partial(echo)})
