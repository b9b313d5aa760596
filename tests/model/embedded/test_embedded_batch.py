"""Several agents ask the embedded model at once, with its real weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from agentkit.messages import Message
from agentkit.model.protocol import GenerationSettings, TextDelta

if TYPE_CHECKING:
    from agentkit.model.local import LocalModel

pytestmark = pytest.mark.weights

QUESTIONS = (
    "What is the capital of France?",
    "Name three colours.",
    "Write one sentence about the sea.",
    "What is two plus two?",
)


async def _say(model: LocalModel, question: str) -> str:
    settings = GenerationSettings(max_tokens=16)
    deltas = model.generate([Message.user(question)], settings=settings)
    return "".join([delta.text async for delta in deltas if isinstance(delta, TextDelta)])


@pytest.mark.anyio
async def test_replies_side_by_side_are_those_one_after_the_other(embedded: LocalModel) -> None:
    expected = {question: await _say(embedded, question) for question in QUESTIONS}
    got: dict[str, str] = {}

    async def one(question: str) -> None:
        got[question] = await _say(embedded, question)

    async with anyio.create_task_group() as group:
        for question in QUESTIONS:
            group.start_soon(one, question)
    assert got == expected
    assert all(got.values())
