"""The labels of a tool's result, as its declaration has them.

What is covered: results by field and by record; functions of their inputs alone, whose result is
as clean as the values they were given; code in the sandbox (``computation``). A result that is no
JSON, or is not the JSON declared, is untrusted as a whole.

What is not covered: a function that is declared ``inputs`` and reads something else after all.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agentkit.labels import Integrity, Label, Source, SourceKind, join_all
from agentkit.messages import LabelledField
from agentkit.planner.provenance.computation import computed_from
from agentkit.planner.provenance.readings import principal
from agentkit.planner.provenance.scalars import json_scalars, matches, shown_path
from agentkit.planner.provenance.trace import schema_names
from agentkit.tools.results import ReadersIn, ResultFields, path_steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkit.messages import ToolCallPart
    from agentkit.planner.provenance.scalars import Scalar, Steps
    from agentkit.planner.provenance.trace import Tracer
    from agentkit.tools.declaration import Tool

__all__ = ["USER", "label_result"]

USER = "user"
"""The principal that the assistant works for."""

# A number as Python prints it; two of them side by side are two.
_PRINTED = re.compile(r"(?<![\w.,+\-])-?\d+(?:,\d{3})*(?:\.\d+)?(?![\w%]|[.,]\d)")

_Labelled = tuple[Label, tuple[LabelledField, ...]]


def label_result(
    tool: Tool, call: ToolCallPart, text: str, tracer: Tracer, *, is_error: bool = False
) -> _Labelled:
    """Return the label of a result as a whole, and those of its fields.

    ``tracer`` knows the conversation up to the call.
    """
    source = Source(SourceKind.TOOL, f"{tool.name}#{call.call_id}")
    if tool.returns == "inputs":
        return _of_inputs(tool, call, text, tracer, source, is_error=is_error)
    by_record = isinstance(tool.result_readers, ReadersIn)
    scalars = json_scalars(text) if not is_error else None
    if scalars is None or not (by_record or isinstance(tool.returns, ResultFields)):
        trusted = tool.returns == "trusted"
        readers = None if tool.result_readers == "anyone" else frozenset({USER})
        integrity = Integrity.TRUSTED if trusted else Integrity.UNTRUSTED
        label = Label(integrity, readers, (source,))
        # An error may quote the arguments, so it is worth no more than they are.
        quoted = is_error and not call.label.is_trusted
        return (label.join(call.label) if quoted else label), ()
    return _by_field(tool, scalars, source)


def _by_field(tool: Tool, scalars: Sequence[Scalar], source: Source) -> _Labelled:
    trusted = _trusted_paths(tool)
    readers = _readers(tool, scalars)
    # Fields of one kind share one label, and so does what joins them.
    known: dict[tuple[bool, frozenset[str] | None], Label] = {}
    fields = []
    for scalar, allowed in zip(scalars, readers, strict=True):
        is_trusted = any(matches(scalar.steps, path) for path in trusted)
        key = (is_trusted, allowed)
        if key not in known:
            integrity = Integrity.TRUSTED if is_trusted else Integrity.UNTRUSTED
            known[key] = Label(integrity, allowed, (source,))
        if scalar.value is None or isinstance(scalar.value, bool):
            continue
        fields.append(LabelledField(shown_path(scalar.steps), scalar.start, scalar.end, known[key]))
    nothing = Label(Integrity.TRUSTED, sources=(source,))
    return join_all([nothing, *known.values()]), tuple(fields)


def _trusted_paths(tool: Tool) -> list[tuple[str, ...]]:
    if isinstance(tool.returns, ResultFields):
        return [path_steps(path) for path in tool.returns.trusted]
    return [()] if tool.returns == "trusted" else []


def _readers(tool: Tool, scalars: Sequence[Scalar]) -> list[frozenset[str] | None]:
    """Return who may see each scalar."""
    rule = tool.result_readers
    if rule == "anyone":
        return [None] * len(scalars)
    if not isinstance(rule, ReadersIn):
        return [frozenset({USER})] * len(scalars)
    path = path_steps(rule.path)
    depth = path.index("*") + 1 if "*" in path else 0
    named: dict[Steps, set[str]] = {}
    for scalar in scalars:
        if matches(scalar.steps, path) and isinstance(scalar.value, str):
            named.setdefault(scalar.steps[:depth], {USER}).add(principal(scalar.value))
    records = {steps: frozenset(readers) for steps, readers in named.items()}
    return [records.get(scalar.steps[:depth], frozenset({USER})) for scalar in scalars]


def _of_inputs(
    tool: Tool, call: ToolCallPart, text: str, tracer: Tracer, source: Source, *, is_error: bool
) -> _Labelled:
    own = Label(Integrity.TRUSTED, sources=(source,))
    if call.label.is_trusted:
        return join_all([call.label, own]), ()
    code = {name for name in tool.code_parameters if name in call.arguments}
    traced = tracer.trace(call, named=schema_names(tool.parameters))
    origins = [origin for origin in traced if origin.parameter not in code]
    label = join_all([own, *(origin.label for origin in origins)])
    if not code:
        return label, ()
    whole = join_all([label, call.label])
    if is_error:  # where a program failed is a number too, and the model chose it
        return whole, ()
    computed = [computed_from(str(call.arguments[name]), tool.name, tracer) for name in code]
    if not label.is_trusted or any(found is None for found in computed):
        return whole, ()
    clean = join_all([label, *(found for found in computed if found is not None)])
    # Only the numbers are clean: the words around them are the model's own.
    fields = [LabelledField("$", *found.span(), clean) for found in _PRINTED.finditer(text)]
    return whole, tuple(fields)
