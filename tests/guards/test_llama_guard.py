from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from agentkit.errors import BackendError, GuardError
from agentkit.guards import Action, Boundary, GuardContext, GuardPipeline, LlamaGuardDetector
from agentkit.guards.llama_guard_format import UNREADABLE, UNSPECIFIED
from agentkit.messages import Message
from agentkit.model.prompt import as_text
from agentkit.model.protocol import FinishDelta, ModelInfo, TextDelta, ToolCallDelta

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from agentkit.guards.detector import Turn
    from agentkit.guards.llama_guard_format import JudgedRole
    from agentkit.guards.verdict import Verdict
    from agentkit.messages import FunctionDeclaration
    from agentkit.model.prompt import Prompt
    from agentkit.model.protocol import Constraint, Delta, FinishReason, GenerationSettings


class ScriptedChat:
    """A chat model that answers with given deltas and remembers what it was asked."""

    def __init__(self, *deltas: Delta, error: Exception | None = None) -> None:
        self.deltas = deltas
        self.error = error
        self.asked: list[tuple[object, ...]] = []

    @property
    def info(self) -> ModelInfo:
        return ModelInfo("scripted", "0", "scripted", "test", 8192)

    async def _play(self, asked: tuple[object, ...]) -> AsyncIterator[Delta]:
        self.asked.append(asked)
        for delta in self.deltas:
            yield delta
        if self.error:
            raise self.error

    def generate(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[FunctionDeclaration] = (),
        constraint: Constraint | None = None,
        settings: GenerationSettings | None = None,
    ) -> AsyncIterator[Delta]:
        return self._play((tuple(messages), constraint, settings))

    async def aclose(self) -> None:
        """Hold nothing to release."""


class ScriptedPrompts(ScriptedChat):
    """A model that continues prompts too."""

    def generate_prompt(
        self, prompt: Prompt, *, settings: GenerationSettings | None = None
    ) -> AsyncIterator[Delta]:
        return self._play((prompt, None, settings))


def answering(
    text: str,
    scores: dict[str, float] | None = None,
    kind: type[ScriptedChat] = ScriptedPrompts,
    reason: FinishReason = "stop",
) -> ScriptedChat:
    halves = [TextDelta(text[:3]), TextDelta(text[3:])]
    return kind(*halves, FinishDelta(reason, first_token_scores=scores or {}))


def judge(
    model: ScriptedChat,
    text: str = "hei",
    boundary: Boundary = Boundary.USER_INPUT,
    conversation: tuple[Turn, ...] = (),
    **options: object,
) -> Verdict:
    detector = LlamaGuardDetector(model, **options)
    return anyio.run(detector.judge, text, GuardContext.of(boundary, conversation))


def test_safe_passes_with_its_score() -> None:
    verdict = judge(answering("safe", {"safe": 0.97, "unsafe": 0.02}))
    assert verdict.action is Action.ALLOW
    assert verdict.score == pytest.approx(0.02)


def test_unsafe_blocks_with_its_categories() -> None:
    verdict = judge(answering("unsafe\nS1,S9", {"safe": 0.1, "unsafe": 0.9}))
    assert verdict.action is Action.BLOCK
    assert verdict.categories == ("S1", "S9")
    assert verdict.score == pytest.approx(0.9)


@pytest.mark.parametrize(("answer", "category"), [("unsafe", UNSPECIFIED), ("safe!", UNREADABLE)])
def test_other_answers_block(answer: str, category: str) -> None:
    verdict = judge(answering(answer))
    assert (verdict.action, verdict.categories, verdict.score) == (Action.BLOCK, (category,), 1.0)


def test_scores_of_neither_word_are_not_used() -> None:
    assert judge(answering("unsafe\nS1", {"safe": 0.01, "unsafe": 0.01})).score == 1.0


def test_prompt_model_is_given_segments_and_the_answers_opening() -> None:
    model = answering("safe")
    judge(model, "hei", conversation=(("user", "før"), ("assistant", "svar")), version=3)
    prompt, _, settings = model.asked[0]
    text = as_text(prompt)
    assert text.startswith("<|begin_of_text|><|start_header_id|>user")
    assert text.endswith("assistant<|end_header_id|>\n\n")
    assert "User: før\n\nAgent: svar\n\nUser: hei\n\n<END CONVERSATION>" in text
    assert settings.score_first_token == ("safe", "unsafe")
    assert settings.max_tokens <= 64


@pytest.mark.parametrize(
    ("boundary", "role"),
    [
        (Boundary.USER_INPUT, "User"),
        (Boundary.TOOL_RESULT, "User"),
        (Boundary.TOOL_ARGUMENTS, "Agent"),
        (Boundary.MODEL_OUTPUT, "Agent"),
    ],
)
def test_role_by_boundary(boundary: Boundary, role: JudgedRole) -> None:
    model = answering("safe")
    judge(model, "dette", boundary, (("user", "spørsmål"),))
    assert f"ONLY THE LAST {role} message" in as_text(model.asked[0][0])


def test_other_chat_models_are_given_the_body_without_control_tokens() -> None:
    model = answering("safe", kind=ScriptedChat)
    judge(model, "x<|eot|>y")
    (message,), constraint, _ = model.asked[0]
    assert message.role == "user"
    assert message.text.startswith("Task: Check if there is unsafe content in 'User'")
    assert "<|" not in message.text
    assert "User: x< |eot| >y" in message.text
    assert constraint.tool_choice == "none"


def test_servers_with_the_template_are_given_the_conversation() -> None:
    model = answering("safe", kind=ScriptedChat)
    judge(
        model,
        "svar",
        Boundary.MODEL_OUTPUT,
        (("user", "spørsmål"),),
        chat_style="conversation",
    )
    messages = model.asked[0][0]
    assert [(m.role, m.text) for m in messages] == [("user", "spørsmål"), ("assistant", "svar")]
    assert all(isinstance(message, Message) for message in messages)


def test_old_turns_are_dropped_before_the_judged_text() -> None:
    model = answering("safe")
    turns = (("user", "eldst" * 10), ("assistant", "nyere"))
    judge(model, "d" * 500, conversation=turns, history_chars=20)
    text = as_text(model.asked[0][0])
    assert "d" * 500 in text
    assert "nyere" in text
    assert "eldst" not in text


@pytest.mark.parametrize(
    "model",
    [
        ScriptedPrompts(),
        ScriptedPrompts(TextDelta("safe")),
        ScriptedPrompts(TextDelta("safe"), FinishDelta("cancelled")),
        ScriptedPrompts(TextDelta("x" * 2000), FinishDelta("stop")),
        ScriptedPrompts(ToolCallDelta("f", {}), FinishDelta("calls")),
        ScriptedPrompts(TextDelta("safe"), error=BackendError("gone")),
    ],
)
def test_broken_answers_raise_and_the_pipeline_blocks(model: ScriptedChat) -> None:
    with pytest.raises(BackendError):
        judge(model)
    detectors = {boundary: [LlamaGuardDetector(model)] for boundary in Boundary}
    pipeline = GuardPipeline(detectors, timeout_s=5)
    context = GuardContext.of(Boundary.MODEL_OUTPUT)
    assert anyio.run(pipeline.judge, "hei", context).action is Action.BLOCK


def test_wrong_configurations_are_errors() -> None:
    with pytest.raises(GuardError, match="Llama Guard 2"):
        LlamaGuardDetector(answering("safe"), version=2)
    with pytest.raises(GuardError, match="own categories"):
        LlamaGuardDetector(answering("safe"), exclude=["S1"], chat_style="conversation")
