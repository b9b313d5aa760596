"""Credentials and personal numbers that must not travel.

What is covered
    Keys and tokens by their issuers' prefixes, private keys in PEM armour, JSON web tokens,
    passwords in URLs and connection strings, Basic and Bearer headers, written-out values of
    names such as ``password``; payment cards (Luhn), IBANs (mod 97), Norwegian birth and
    D-numbers (both check digits). Invisible characters inside do not hide them.

What is not covered
    A secret that is encoded (base64, split over lines, spelt out), one without a known shape and
    without a telling name, names, addresses, medical facts, national numbers of other countries.

Policy
    Findings in results and answers are redacted. In ``tool_arguments`` a redacted argument would be
    a different call: a credential blocks the call, a personal number asks for review, because
    payments and patient look-ups are made with them on purpose. For the same reason a personal
    number in ``user_input`` is noted and passes; a credential is redacted there too.

The verdict never repeats what was found: it holds kinds, offsets and counts.
"""

from __future__ import annotations

import base64
import binascii
import re
from bisect import bisect_left
from typing import TYPE_CHECKING

from agentkit.guards.detector import run_scan
from agentkit.guards.hidden_chars import visible_view
from agentkit.guards.personal_numbers import personal_numbers
from agentkit.guards.redaction import merge_spans, redact
from agentkit.guards.secret_rules import TOKEN_RULES
from agentkit.guards.secret_values import assigned_secrets, is_placeholder, shannon_bits
from agentkit.guards.verdict import Action, Boundary, Span, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentkit.guards.detector import GuardContext

__all__ = ["SecretsDetector"]

_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}+(?<=PRIVATE KEY)(?: BLOCK)?-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{0,40}+-----")
_PEM_LONGEST = 64 * 1024
_PEM_BODY = re.compile(r"(?:\\[nr]|\s){0,8}+[A-Za-z0-9+/=]{16}(?:\\[nr]|[A-Za-z0-9+/=\s])*+")
_BEARER_BITS = 3.0
_SURE = 1.0
_LIKELY = 0.7
_SHOWN = 5
_NO_CREDENTIALS = "A call must not carry credentials: let the tool's own set-up hold them."
_CONFIRM = "A person should confirm that this tool may receive it."
_NOTED = "It passes: users give such numbers on purpose."


class SecretsDetector:
    """Finds credentials and personal numbers."""

    name = "secrets"
    canary = "my key is AKIA" + "IOSFODNN7EXAMPLE, keep it"

    async def judge(self, text: str, context: GuardContext) -> Verdict:
        """Judge one text; linear in its length."""
        return await run_scan(self._scan, text, context)

    def _scan(self, text: str, context: GuardContext) -> Verdict:
        view = visible_view(text)
        found = [
            Span(*view.original(span.start, span.end), span.category) for span in _find(view.text)
        ]
        if not found:
            return Verdict(Action.ALLOW, self.name, reason="No secret or personal number found.")
        spans = merge_spans(found)
        categories = tuple(dict.fromkeys(span.category for span in spans))
        score = _LIKELY if categories == ("secret.assigned_value",) else _SURE
        told = _describe(spans)
        if context.boundary is Boundary.TOOL_ARGUMENTS:
            if any(map(_is_credential, categories)):
                action, advice = Action.BLOCK, _NO_CREDENTIALS
            else:
                action, advice = Action.REVIEW, _CONFIRM
            return Verdict(action, self.name, categories, score, spans, f"{told} {advice}")
        gone = spans
        if context.boundary is Boundary.USER_INPUT:
            gone = merge_spans(span for span in found if _is_credential(span.category))
        if not gone:
            return Verdict(Action.ALLOW, self.name, categories, score, spans, f"{told} {_NOTED}")
        reason = f"{_describe(gone)} Each was replaced by a placeholder."
        redacted = redact(text, gone)
        return Verdict(Action.REDACT, self.name, categories, score, gone, reason, redacted)


def _is_credential(category: str) -> bool:
    return category.startswith("secret.")


def _find(text: str) -> Iterator[Span]:
    yield from _private_keys(text)
    lowered = text.lower()
    for rule in TOKEN_RULES:
        if not any(hint in lowered for hint in rule.hints):
            continue
        for hit in rule.pattern.finditer(text):
            group = "secret" if "secret" in rule.pattern.groupindex else 0
            if _plausible(rule.category, hit[group]):
                yield Span(*hit.span(group), rule.category)
    for start, end in assigned_secrets(text):
        yield Span(start, end, "secret.assigned_value")
    yield from personal_numbers(text)


def _plausible(category: str, value: str) -> bool:
    """Return whether a value captured by its surroundings alone is a secret itself."""
    if category == "secret.url_password":
        return not is_placeholder(value)
    if category == "secret.bearer_token":
        return not is_placeholder(value) and shannon_bits(value) >= _BEARER_BITS
    if category == "secret.basic_auth":
        try:
            return b":" in base64.b64decode(value + "=" * (-len(value) % 4))
        except (binascii.Error, ValueError):
            return False
    return True


def _private_keys(text: str) -> Iterator[Span]:
    """Yield PEM private keys from BEGIN to END, or what looks like their body without an END."""
    begins = list(_PEM_BEGIN.finditer(text))
    if not begins:
        return
    ends = [hit.end() for hit in _PEM_END.finditer(text)]
    covered = 0
    for begin in begins:
        if begin.start() < covered:
            continue
        place = bisect_left(ends, begin.end())
        if place < len(ends) and ends[place] - begin.start() <= _PEM_LONGEST:
            covered = ends[place]
        else:
            body = _PEM_BODY.match(text, begin.end())
            if body is None:
                continue
            covered = body.end()
        yield Span(begin.start(), covered, "secret.private_key")


def _describe(spans: tuple[Span, ...]) -> str:
    shown = ", ".join(
        f"{span.category} at characters {span.start}-{span.end}" for span in spans[:_SHOWN]
    )
    more = f" and {len(spans) - _SHOWN} more" if len(spans) > _SHOWN else ""
    return f"Found {shown}{more}."
