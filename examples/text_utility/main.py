"""Ask the text utility from Python: ``python main.py "Make a slug of this title: ..."``."""

import sys
from pathlib import Path

import anyio

from agentkit.agent import Agent

QUESTION = "Make a slug of this title: Grilled fish with lemon"


async def main(question: str) -> None:
    """Open the agent, ask it once, and print the answer with what it rests on."""
    async with Agent.open(Path(__file__).parent / "agent.yaml") as agent:
        answer = await agent.run(question)
    print(answer.text)
    print("sources:", ", ".join(map(str, answer.sources)) or "none")
    print("record:", answer.receipt.index)


if __name__ == "__main__":
    anyio.run(main, " ".join(sys.argv[1:]) or QUESTION)
