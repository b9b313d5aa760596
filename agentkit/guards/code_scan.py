"""A look at Python code before it runs in the sandbox: advice and evidence, not the wall.

What is covered
    Read from the syntax tree: imports and members for processes, network, native code and the
    interpreter's machinery; walks over dunder attributes and frames, also through ``getattr``,
    format strings and class patterns; ``eval`` and ``exec`` of built strings (written-out strings
    are scanned too); files outside the working directory, endless loops and huge values (noted).
    Any source ends in a verdict: hostile ones (too deep, too long, null bytes) block.

What is not covered
    Names that only exist while the code runs (``getattr(x, name)``), what imported libraries do,
    data flow. The boundary is the sandbox; it holds without this scan.

Policy
    ``block`` only for what the sandbox forbids anyway, so that the model is told at once and the
    attempt stands in the audit log; all else is allowed, its categories saying what was seen.
    Source that does not parse here may parse in the sandbox (another Python): it is searched by
    words instead.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from agentkit.guards.code_findings import Finding, find_in_tree
from agentkit.guards.code_policy import (
    BUILT_STRING_CALLS,
    DENIED_ATTRIBUTES,
    DENIED_MEMBERS,
    DENIED_MODULES,
    DENIED_NAMES,
)
from agentkit.guards.code_source import SourceRefused, parse_source
from agentkit.guards.detector import run_scan
from agentkit.guards.redaction import merge_spans
from agentkit.guards.verdict import Action, Span, Verdict

if TYPE_CHECKING:
    from agentkit.guards.detector import GuardContext

__all__ = ["CodeScanDetector", "scan_python"]

_NAME = "code"
_SHOWN = 4
_LINE_END = re.compile(r"\r\n|\r|\n")
_IMPORT = re.compile(r"\b(?:import|from)\b([^\n;]{0,500}+)")
_DOTTED = re.compile(r"[^\W\d]\w*+(?:\.[^\W\d]\w*+)*+")


class CodeScanDetector:
    """Scans Python code. ``allowed_imports``: the only top-level modules it may import, or any."""

    name = _NAME
    canary = "import subprocess\nsubprocess.run(['id'])"

    def __init__(self, allowed_imports: frozenset[str] | None = None) -> None:
        self._allowed_imports = allowed_imports

    async def judge(self, text: str, context: GuardContext) -> Verdict:
        """Judge one program; bounded in length and linear."""
        return await run_scan(self._scan, text, context)

    def _scan(self, text: str, context: GuardContext) -> Verdict:  # noqa: ARG002 - run_scan's shape
        return scan_python(text, allowed_imports=self._allowed_imports)


def scan_python(code: str, *, allowed_imports: frozenset[str] | None = None) -> Verdict:
    """Return ``block`` for code that the sandbox would stop, else ``allow`` with what was seen.

    Never raises, whatever the code is.
    """
    try:
        tree = parse_source(code)
        findings = find_in_tree(tree, allowed_imports)
    except SourceRefused as refusal:
        reason = f"The code cannot be judged: {refusal}. Write it shorter and plainer."
        return Verdict(Action.BLOCK, _NAME, ("code.unjudgeable",), 1.0, reason=reason)
    except RecursionError:
        reason = "The code cannot be judged: it nests too deeply. Write it plainer."
        return Verdict(Action.BLOCK, _NAME, ("code.unjudgeable",), 1.0, reason=reason)
    except SyntaxError as error:
        return _verdict(code, [_syntax_finding(error), *_find_by_words(code)])
    return _verdict(code, findings)


def _verdict(code: str, findings: list[Finding]) -> Verdict:
    starts = [0, *(hit.end() for hit in _LINE_END.finditer(code))]
    lines = code.encode("utf-8", "replace").count(b"\n") + 1
    denied = [finding for finding in findings if finding.denied]
    shown = denied or findings
    categories = tuple(dict.fromkeys(finding.category for finding in findings))
    what = "; ".join(f"line {finding.line} {finding.what}" for finding in shown[:_SHOWN])
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    if denied:
        spans = merge_spans(_span(code, starts, finding) for finding in denied)
        reason = f"The sandbox forbids this: {what}{more}. Solve the task without it."
        return Verdict(Action.BLOCK, _NAME, categories, 1.0, spans, reason)
    reason = f"Seen and allowed: {what}{more}." if findings else f"{lines} lines, nothing to note."
    return Verdict(Action.ALLOW, _NAME, categories, reason=reason)


def _span(code: str, starts: list[int], finding: Finding) -> Span:
    """Return the finding's line as a span of characters, never empty."""
    start = min(starts[min(finding.line, len(starts)) - 1], max(0, len(code) - 1))
    end = starts[finding.line] if finding.line < len(starts) else len(code)
    return Span(start, max(start + 1, end), finding.category)


def _syntax_finding(error: SyntaxError) -> Finding:
    return Finding("code.syntax", max(1, error.lineno or 1), "does not parse here", denied=False)


def _find_by_words(code: str) -> list[Finding]:
    """Search code without a syntax tree: imports of denied modules, denied members and names."""
    found: list[Finding] = []
    for number, raw in enumerate(_LINE_END.split(code), start=1):
        line = unicodedata.normalize("NFKC", raw)
        imported = {
            word for hit in _IMPORT.finditer(line) for word in _DOTTED.findall(hit.group(1))
        }
        for dotted in _DOTTED.findall(line):
            category = _word_category(dotted, imported=dotted in imported)
            if category:
                found.append(Finding(category, number, f"mentions {dotted}"[:80], denied=True))
    return found


def _word_category(dotted: str, *, imported: bool) -> str:
    parts = dotted.split(".")
    if any(part in DENIED_NAMES or (part in DENIED_ATTRIBUTES and part != "mro") for part in parts):
        return "code.dunder"
    if parts[0] in BUILT_STRING_CALLS and len(parts) == 1:
        return "code.dynamic"
    for place in range(1, len(parts) + 1):
        prefix = ".".join(parts[:place])
        if imported and prefix in DENIED_MODULES:
            return DENIED_MODULES[prefix]
        member = parts[place] if place < len(parts) else ""
        if member in DENIED_MEMBERS.get(prefix, ()):
            return DENIED_MEMBERS[prefix][member]
    return ""
