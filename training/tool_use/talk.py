# ruff: noqa: E501, PLR2004 (tables of wordings, drawn by odds: no secret)
"""Requests that no tool serves: small talk, and wishes for what is not declared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.tool_use import values
from training.tool_use.task import Task

if TYPE_CHECKING:
    from random import Random

__all__ = ["talk_task", "unserved_task"]

_NO_TOOL = (
    "I have no tool for that.",
    "I have no tool for that.",
    "None of my tools can do that.",
    "I have no tool that can do that.",
)
_GREETINGS = (
    "Hello",
    "Hi",
    "Hey",
    "Good morning",
    "Good evening",
    "Hi there",
    "Hello there",
    "Good day",
)
_TALK: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("Hello!", "Hi there", "Good morning.", "Hey", "Hi, how are you?", "Good evening!", "Hello, anyone there?", "Hi assistant"),
     ("Hello! How can I help you?", "Hello! What can I do for you?")),
    (("Thank you.", "Thanks a lot!", "Great, thanks", "That was helpful.", "Perfect, thank you very much", "Nice work", "Cheers!"),
     ("You are welcome.", "Glad to help.")),
    (("Bye!", "See you later.", "Good night", "That is all for today.", "I am done, goodbye", "Talk to you tomorrow"),
     ("Goodbye!", "Goodbye, and have a good day.")),
    (("Who are you?", "What are you?", "Are you a person?", "Introduce yourself.", "Are you an AI?", "What is your name?"),
     ("I am a small assistant that works with tools.",)),
    (("What can you do?", "How can you help me?", "What are you good at?", "Help", "What are your abilities?"),
     ("I can use the tools I was given and tell you what they return.",)),
    (("I am tired.", "I had a bad day.", "I feel sad today", "My day was long and hard.", "I am stressed."),
     ("I am sorry to hear that. Is there something I can do for you?",)),
    (("I am so happy today!", "We won the game!", "It is my birthday.", "I got the job!", "Life is good."),
     ("That is good to hear!",)),
    (("What do you think about love?", "Do you like music?", "What is your favourite colour?", "Do you dream?", "Are you happy?", "Do you believe in luck?", "What is your opinion on art?"),
     ("I have no opinions or feelings, but I can help you with my tools.",)),
    (("Ok.", "I see.", "Alright", "Never mind.", "Okay, good", "Fine.", "Got it"),
     ("All right. Tell me if you need something.",)),
    (("Sorry.", "Oh, I made a mistake.", "My bad", "Excuse me for asking so much."),
     ("No problem.",)),
)  # fmt: skip
_WISHES = (
    "Tell me a joke.", "Write a poem about {w}.", "Sing a song about {w}.", "Tell me a story about {p}.",
    "Write an essay on {w}.", "What is the meaning of life?", "Explain how {w} works.", "Paint a picture of {w}.",
    "Who won the match yesterday?", "Make me a sandwich with {w}.", "What does {p} think of me?", "Recommend a book.",
    "Should I marry {p}?", "Give me advice about {w}.", "Predict the lottery numbers.", "Why is {w} so popular?",
    "Who wrote the book {w}?", "Teach me {w}.", "Compose music about {w}.", "Walk my dog.", "Fix my {w}.",
    "Cook {w} for {p}.", "Come up with a name for my {w}.", "What is the best {w}?", "Summarise the history of {c}.",
    "Describe {c} in three sentences.", "Who is the mayor of {c}?", "What do people eat in {c}?", "Draw a map of {c}.",
    "How old is {p}?", "Is {w} healthy?", "Explain {w} to a child.", "Write a letter to {p}.", "What should I wear today?",
    "Compare {w} and {v}.", "Invent a game about {w}.", "Call {p} and sing to them.", "Motivate me.", "What is {w}?",
)  # fmt: skip


def talk_task(rng: Random) -> Task:
    """Draw small talk."""
    said, replies = rng.choice(_TALK)
    text = rng.choice(said)
    if rng.random() < 0.2:
        text = f"{rng.choice(_GREETINGS)}! {text}"
    return Task("talk", text, (), rng.choice(replies))


def unserved_task(rng: Random, other: Task | None = None) -> Task:
    """Draw a wish that no tool serves: ``other``'s request, whose tool is not declared."""
    if other is not None:
        return Task("unserved", other.request, (), rng.choice(_NO_TOOL))
    wish = rng.choice(_WISHES).format(
        w=values.phrase(rng, 2), v=values.word(rng), p=values.person(rng), c=values.city(rng)
    )
    return Task("unserved", wish, (), rng.choice(_NO_TOOL))
