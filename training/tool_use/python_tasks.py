# ruff: noqa: E501, PLR2004 (tables of wordings, drawn by odds: no secret)
"""Tasks for the ``python`` tool: the code is written, run here, and its output is the result."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING

from training.tool_use.python_arithmetic import (
    expression,
    number_theory,
    percent,
    power,
    two_numbers,
)
from training.tool_use.python_everyday import daily
from training.tool_use.python_lists import order, statistic, table
from training.tool_use.python_stories import backwards, sales_list, story
from training.tool_use.python_texts import dates, text_task
from training.tool_use.task import Call, Task, declare, parameter

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from agentkit.messages import FunctionDeclaration
    from training.tool_use.python_values import Recipe

__all__ = ["python_declaration", "python_task", "run_code"]

_RECIPES: tuple[tuple[Callable[[Random], Recipe], int], ...] = (
    (two_numbers, 3), (expression, 2), (power, 2), (percent, 4), (statistic, 4), (order, 3),
    (text_task, 4), (dates, 4), (daily, 3), (number_theory, 2), (table, 3),
    (story, 10), (sales_list, 5), (backwards, 3),
)  # fmt: skip


def python_declaration(rng: Random) -> FunctionDeclaration:
    """Return the product's own declaration most of the time, else a like one."""
    if rng.random() < 0.75:
        return declare(
            "python",
            "Run Python and return what it prints",
            {"code": parameter("string", "Python source; print the result")},
            frozenset(),
        )
    return declare(
        rng.choice(["python", "run_python", "python_interpreter", "execute_python", "code_runner"]),
        rng.choice(["Run Python code", "Execute Python and return its output", "Python interpreter"]),
        {rng.choice(["code", "code", "source", "script", "program"]): parameter("string", rng.choice(["", "Python code", "code that prints"]))},
        frozenset(),
    )  # fmt: skip


def run_code(code: str) -> str:
    """Return what our own generated code prints."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, "<task>", "exec"), {})  # noqa: S102  # code written in this file
    return output.getvalue().strip()


def python_task(rng: Random, tool: FunctionDeclaration) -> Task:
    """Draw a task for the declared Python tool."""
    recipes, weights = zip(*_RECIPES, strict=True)
    while True:
        request, code, answer = rng.choices(recipes, weights)[0](rng)
        try:
            result = run_code(code)
        except (ArithmeticError, ValueError):
            continue
        if result and len(result) < 120:  # one line of output
            break
    key = next(iter(tool.parameters["properties"]))  # type: ignore[arg-type]  # our own schema
    call = Call(tool, {str(key): code}, result)
    return Task("python", request, ((call,),), answer.replace("{r}", result), (result,))
