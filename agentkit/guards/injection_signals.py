"""Signals of injected instructions: word classes in order and structures that pretend.

Each signal has a weight, the probability that one such passage alone is an injection, as judged by
its writer. Weights are opinions; what they achieve is measured and printed in docs/guards.md.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from agentkit.guards.injection_lexicon import NEGATIONS, PHRASES, VOCABULARY
from agentkit.guards.text_folding import Word, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agentkit.guards.hidden_chars import View

__all__ = ["CONTROL_TOKEN", "Signal", "find_signals"]

CONTROL_TOKEN = "control_token"  # noqa: S105 - the name of a signal


class Signal(NamedTuple):
    """One suspicious passage. ``word``: index of its first word; offsets in the original text."""

    name: str
    weight: float
    word: int
    start: int
    end: int


class _Sequence(NamedTuple):
    """Word classes that follow each other with at most ``gap`` words in between."""

    name: str
    weight: float
    classes: tuple[str, ...]
    gap: int


_SEQUENCES = (
    _Sequence("override", 0.85, ("override", "prior", "instruction"), 3),
    _Sequence("override", 0.75, ("override", "prior", "rule"), 2),
    _Sequence("override", 0.75, ("override", "all", "instruction"), 3),
    _Sequence("override", 0.75, ("override", "instruction", "after"), 3),
    _Sequence("override", 0.75, ("override", "everything", "told"), 4),
    _Sequence("new_orders", 0.35, ("new", "instruction"), 1),
    _Sequence("new_orders", 0.4, ("prior", "new", "task"), 1),
    _Sequence("another_self", 0.25, ("become",), 0),
    _Sequence("unbound_self", 0.5, ("become", "unbound"), 12),
    _Sequence("unbound", 0.3, ("unbound",), 0),
    _Sequence("prompt_leak", 0.7, ("reveal", "own_prompt"), 4),
    _Sequence("passage_leak", 0.3, ("reveal", "passage_above"), 4),
    _Sequence("addresses_model", 0.15, ("assistant",), 0),
    _Sequence("orders_model", 0.4, ("assistant", "must", "act"), 8),
    _Sequence("announcement", 0.3, ("announce",), 0),
    _Sequence("notice", 0.15, ("notice",), 0),
    _Sequence("announced_order", 0.35, ("announce", "act"), 12),
    _Sequence("exfiltration", 0.45, ("emit", "data", "destination"), 8),
    _Sequence("concealment", 0.6, ("conceal", "person"), 2),
    _Sequence("secret_act", 0.3, ("secretly", "act"), 3),
    _Sequence("urgency", 0.1, ("urgent",), 0),
)


_RULES_OF_CLASS = {
    name: tuple(n for n, rule in enumerate(_SEQUENCES) if name in rule.classes)
    for rule in _SEQUENCES
    for name in rule.classes
}
_NO_PHRASES: Mapping[tuple[str, ...], frozenset[str]] = MappingProxyType({})


class _Structure(NamedTuple):
    name: str
    weight: float
    pattern: re.Pattern[str]


# Tokens of ChatML, Llama 2/3/4, Mistral, Gemma, Phi, DeepSeek, Command R, GPT-OSS harmony, Qwen.
_SPECIAL_NAMES = (
    r"im_start|im_end|im_sep|system|user|assistant|tool|end|endofprompt|endoftext|end_of_text"
    r"|begin_of_text|begin_of_sentence|begin▁of▁sentence|end▁of▁sentence|start_header_id"
    r"|end_header_id|header_start|header_end|eot_id|eom_id|eot|eom|python_tag|python_start"
    r"|python_end|start_of_role|end_of_role|start_of_turn_token|end_of_turn_token|system_token"
    r"|user_token|chatbot_token|start|message|channel|constrain|return|call|object_ref_start"
    r"|tool▁calls▁begin|tool▁call▁begin|tool▁sep|tool_call|tool_response|fim_prefix|image|ipython"
)
_STRUCTURES = (
    _Structure(CONTROL_TOKEN, 0.95, re.compile(rf"<\|\s{{0,2}}(?:{_SPECIAL_NAMES})\s{{0,2}}\|>")),
    _Structure(
        CONTROL_TOKEN,
        0.95,
        re.compile(
            r"\[/?inst\]|<</?sys>>|<(?:start|end)_of_turn>|\[/?(?:available_tools|tool_calls|tool_results)\]"
        ),
    ),
    _Structure(
        "forged_call",
        0.6,
        re.compile(
            r"</?tool_calls?>|<function=[\w.-]{1,64}>|<invoke name=|\"tool_calls\"\s{0,4}:\s{0,4}\["
            r"|\{\s{0,8}\"type\"\s{0,4}:\s{0,4}\"function\"\s{0,4},\s{0,8}\"(?:name|function)\""
        ),
    ),
    _Structure(
        "forged_role",
        0.45,
        re.compile(
            r"(?m)^[ \t]{0,8}(?:#{1,6} ?|\*\*|\[|<|-{3,8} ?|={3,8} ?)(?:system|developer|assistant)"
            r"(?: ?(?:prompt|message|instructions?|note|override))?(?:\*\*|\]|>|:|[ \t]{0,4}$)"
        ),
    ),
    _Structure(
        "forged_transcript",
        0.35,
        re.compile(
            r"(?m)^[ \t]{0,8}(?:user|human|bruker|brukar)[ \t]?:[^\n]{0,2000}+\n"
            r"(?:[ \t]{0,8}\n){0,3}[ \t]{0,8}(?:assistant|ai|bot|assistent)[ \t]?:"
        ),
    ),
    _Structure(
        "image_exfiltration",
        0.65,
        re.compile(
            r"!\[[^\]\n]{0,200}+\]\(\s{0,4}https?://[^)\s?]{1,500}+\?[^)\s=]{0,200}+="
            r"(?:[^)\s]{0,40}?[\[{<$%]|[^)\s]{0,40}?(?:data|secret|insert|history|summary)\b)"
        ),
    ),
    _Structure(
        "image_with_query",
        0.25,
        re.compile(r"!\[[^\]\n]{0,200}+\]\(\s{0,4}https?://[^)\s?]{1,500}+\?[^)\s=]{0,200}+="),
    ),
)

_LEET = str.maketrans("013457@$", "oieastas")
_LEET_L = str.maketrans("013457@$", "oleastas")
# Unknown words of this length may be several, written together; longer runs are data.
_WRITTEN_TOGETHER = range(14, 400)
_LONGEST_WORD = max(len(word) for word in VOCABULARY)


def find_signals(view: View) -> list[Signal]:
    """Return all signals of a folded text, in order of their first word; linear in time."""
    found = list(words(view))
    signals = list(_sequence_signals(found))
    signals.extend(_structure_signals(view, found))
    return sorted(signals, key=lambda signal: (signal.word, signal.start))


class _Hit(NamedTuple):
    """A known phrase. ``first``, ``last``: places among the words; ``word``: for the window."""

    classes: frozenset[str]
    first: int
    last: int
    word: int
    start: int
    end: int


def _hits(found: Sequence[Word]) -> Iterator[_Hit]:
    """Yield known phrases with the classes they belong to, by their first word."""
    known: list[tuple[str, int]] = []
    for index, word in enumerate(found):
        known.extend((part, index) for part in _known_words(word.text))
    for place, (first, index) in enumerate(known):
        for parts, classes in PHRASES.get(first, _NO_PHRASES).items():
            stretch = known[place : place + len(parts)]
            if tuple(part for part, _ in stretch) == parts:
                last = place + len(parts) - 1
                final = stretch[-1][1]
                negated = _is_negated(found, index, final)
                means = classes - {"override"} if negated else classes
                yield _Hit(means, place, last, index, found[index].start, found[final].end)


def _is_negated(found: Sequence[Word], first: int, last: int) -> bool:
    """Return whether a negation stands right beside a phrase, in the same sentence."""
    before = first > 0 and found[first - 1].text in NEGATIONS
    after = last + 1 < len(found) and found[last + 1].text in NEGATIONS
    return (before and found[first].start - found[first - 1].end == 1) or (
        after and found[last + 1].start - found[last].end == 1
    )


def _known_words(word: str) -> list[str]:
    """Return the word, or the known word (or words, written together) that it stands for."""
    if word in VOCABULARY:
        return [word]
    if not word.isalpha():
        for table in (_LEET, _LEET_L):
            plain = word.translate(table)
            if plain in VOCABULARY:
                return [plain]
        word = word.translate(_LEET)
    return _segment(word) if len(word) in _WRITTEN_TOGETHER else [word]


def _segment(word: str) -> list[str]:
    """Cut letters written together into known words, the longest first; unknown ones drop out."""
    parts: list[str] = []
    place = 0
    while place < len(word):
        for length in range(min(_LONGEST_WORD, len(word) - place), 2, -1):
            if word[place : place + length] in VOCABULARY:
                parts.append(word[place : place + length])
                place += length
                break
        else:
            place += 1
    return parts or [word]


def _sequence_signals(found: Sequence[Word]) -> Iterator[Signal]:
    """Advance every sequence over the hits; each keeps only its latest partial match a stage."""
    reached: list[list[_Hit | None]] = [[None] * len(rule.classes) for rule in _SEQUENCES]
    for hit in _hits(found):
        for number in sorted({n for name in hit.classes for n in _RULES_OF_CLASS[name]}):
            rule, stages = _SEQUENCES[number], reached[number]
            done = _advance(rule, stages, hit)
            if done is not None:
                yield Signal(rule.name, rule.weight, done.word, done.start, done.end)


def _advance(rule: _Sequence, stages: list[_Hit | None], hit: _Hit) -> _Hit | None:
    """Let a hit extend the partial matches of one rule; return the match it completes."""
    for stage in range(len(stages) - 1, -1, -1):
        if rule.classes[stage] not in hit.classes:
            continue
        reached = hit
        if stage:
            before = stages[stage - 1]
            if before is None or not 0 < hit.first - before.last <= rule.gap + 1:
                continue
            reached = hit._replace(first=before.first, word=before.word, start=before.start)
        if stage == len(stages) - 1:
            return reached
        stages[stage] = reached
    return None


def _structure_signals(view: View, found: Sequence[Word]) -> Iterator[Signal]:
    for name, weight, pattern in _STRUCTURES:
        index = 0
        for hit in pattern.finditer(view.text):
            start, end = view.original(*hit.span())
            while index < len(found) and found[index].end <= start:
                index += 1
            yield Signal(name, weight, index, start, end)
