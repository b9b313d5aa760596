from __future__ import annotations

import anyio
import pytest

from agentkit.errors import BackendError, ModelError
from agentkit.messages import FunctionDeclaration, Message
from agentkit.model import (
    ChatModel,
    Constraint,
    Delta,
    FinishDelta,
    PromptModel,
    ScriptedModel,
    Special,
    TextDelta,
    TokenUsage,
    ToolCallDelta,
)

ASK = [Message.user("What time is it?")]
NOW = FunctionDeclaration("now", "The time", {"type": "object"})


def ask(model: ScriptedModel) -> list[Delta]:
    async def run() -> list[Delta]:
        return [delta async for delta in model.generate(ASK, tools=[NOW])]

    return anyio.run(run)


def test_it_is_a_chat_model_and_a_prompt_model() -> None:
    model = ScriptedModel([])
    assert isinstance(model, ChatModel)
    assert isinstance(model, PromptModel)
    assert "tests only" in model.info.backend


def test_replies_are_played_in_order_and_end() -> None:
    call = ToolCallDelta("now", {})
    whole = [TextDelta("x"), FinishDelta("length", TokenUsage(1, 0, 1))]
    model = ScriptedModel(["Hello", [call], whole])
    assert ask(model) == [TextDelta("Hello"), FinishDelta("stop")]
    assert model.remaining == 2
    assert ask(model) == [call, FinishDelta("calls")]
    assert ask(model) == whole


def test_an_exhausted_script_is_an_error() -> None:
    with pytest.raises(ModelError, match="no reply left"):
        ask(ScriptedModel([]))


def test_an_error_can_be_scripted() -> None:
    with pytest.raises(BackendError, match="down"):
        ask(ScriptedModel([BackendError("down")]))


def test_what_was_shown_is_recorded() -> None:
    model = ScriptedModel(["a", "b"])
    ask(model)

    async def run() -> None:
        async for _ in model.generate_prompt((Special("<|eot|>"),)):
            pass

    anyio.run(run)
    assert model.shown[0].messages == tuple(ASK)
    assert model.shown[0].tools == (NOW,)
    assert model.shown[0].constraint == Constraint()
    assert model.shown[1].prompt == (Special("<|eot|>"),)
