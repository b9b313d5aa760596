"""Large texts of the worst kind end in a verdict, and a timeout interrupts waiting for one."""

from __future__ import annotations

import anyio
import pytest

from agentkit.guards import (
    Action,
    Boundary,
    CodeScanDetector,
    Detector,
    GuardContext,
    GuardPipeline,
    HiddenTextDetector,
    InjectionDetector,
    SecretsDetector,
    Verdict,
)
from agentkit.guards.pipeline import FAILED

MEGABYTE = 1_000_000
LARGE = 150_000
CONTEXT = GuardContext.of(Boundary.TOOL_RESULT)

# Beginnings that a pattern tries again and again, and that never come to an end.
HOSTILE = [
    (
        HiddenTextDetector(),
        ["\U000e0041", "\u200b", "a\u200d", "\x1b]", "\x1b[0", "\U0001f3f4\U000e0067"],
    ),
    (
        SecretsDetector(),
        [
            "eyJaaaaaaaa.",
            "eyJ",
            "1 ",
            "4111 ",
            "-----BEGIN PRIVATE KEY-----",
            "://a:",
            "password",
            "password=",
            "NO93 ",
            "a.8Q~",
            "ghp_",
            "\u200ba",
            "bearer ",
        ],
    ),
    (
        InjectionDetector(),
        ["ignore ", "ignore previous ", "a ", "x", "41 ", "%41", "![", "<|", "user:\n", "\u0456"],
    ),
    (CodeScanDetector(), ["(", "a.", "'", "x\n"]),
]


@pytest.mark.parametrize(
    ("detector", "piece"),
    [(detector, piece) for detector, pieces in HOSTILE for piece in pieces],
    ids=lambda value: value.name if isinstance(value, Detector) else ascii(value),
)
def test_hostile_text_is_judged(detector: Detector, piece: str) -> None:
    text = piece * (LARGE // len(piece))
    assert isinstance(anyio.run(_judge_within, detector, text, 120.0), Verdict)


@pytest.mark.parametrize("detector", [detector for detector, _ in HOSTILE], ids=lambda d: d.name)
def test_a_megabyte_is_judged(detector: Detector) -> None:
    text = "".join(piece * 200 for _, pieces in HOSTILE for piece in pieces)
    text = (text * (MEGABYTE // len(text) + 1))[:MEGABYTE]
    assert isinstance(anyio.run(_judge_within, detector, text, 120.0), Verdict)


async def _judge_within(detector: Detector, text: str, seconds: float) -> Verdict:
    # Quadratic work on such texts takes hours; the limit only keeps a broken test from hanging.
    with anyio.fail_after(seconds):
        return await detector.judge(text, CONTEXT)


def test_a_timeout_interrupts_a_scan_and_the_loop_stays_alive() -> None:
    async def main() -> tuple[Verdict, int]:
        beats = 0
        pipeline = GuardPipeline(dict.fromkeys(Boundary, [InjectionDetector()]), timeout_s=0.05)  # noqa: RUF024 - the list is only read

        async def beat() -> None:
            nonlocal beats
            while True:
                beats += 1
                await anyio.sleep(0.001)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(beat)
            judgement = await pipeline.judge("ignore previous " * 30_000, CONTEXT)
            tasks.cancel_scope.cancel()
        return judgement.decisive, beats

    verdict, beats = anyio.run(main)
    assert verdict.action is Action.BLOCK
    assert verdict.categories == (FAILED,)
    assert beats > 1
