"""What a cell shows: its last value where that is more than JSON, and the figures it left open.

This happens *inside* the walls, in both tiers; see ``cell.py``. It has no imports from agentkit.
"""

from __future__ import annotations

import base64
import io
import json
import sys
from typing import Any

__all__ = ["figures", "shown"]

_ROWS = 10_000
_FIGURES = 16
_SHOWN_CHARACTERS = 8 << 20
_TEXT_CHARACTERS = 1 << 16
_SCALARS = (str, int, float, bool, type(None))
_PLAIN = (*_SCALARS, list, tuple, dict, set, frozenset, bytes, bytearray)
_RICH = (("_repr_html_", "html"), ("_repr_svg_", "svg"), ("_repr_png_", "png"))


def shown(value: Any) -> list[dict[str, str]]:  # noqa: ANN401  any value may come
    """Return ``value`` as a list of at most one ``{"kind", "data": base64}``.

    A data frame or a list of flat dicts is a ``table``; else the first rich representation that it
    has; else, for what is no JSON, its text. May run the value's own code and raise what that
    raises.
    """
    table = _table(value)
    if table is not None:
        return _item("table", json.dumps(table, allow_nan=False))
    if isinstance(value, (*_PLAIN, type)) or callable(value):
        return []
    for method, kind in _RICH:
        represent = getattr(type(value), method, None)
        content = None if represent is None else represent(value)
        if isinstance(content, (str, bytes)) and content:
            return _item(kind, content)
    return _item("text", repr(value)[:_TEXT_CHARACTERS])


def figures() -> list[dict[str, str]]:
    """Return matplotlib's open figures as ``png`` and close them. Draws nothing where the code did
    not import pyplot. May raise what drawing raises.
    """
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return []
    drawn = []
    try:
        for number in pyplot.get_fignums()[:_FIGURES]:
            buffer = io.BytesIO()
            pyplot.figure(number).savefig(buffer, format="png", bbox_inches="tight")
            drawn += _item("png", buffer.getvalue())
    finally:
        pyplot.close("all")
    return drawn


def _table(value: Any) -> dict[str, Any] | None:  # noqa: ANN401  see shown
    if type(value) is list and value and all(type(row) is dict for row in value):
        return _table_of_dicts(value)
    kind = type(value)
    if kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] == "pandas":
        text = value.head(_ROWS).to_json(orient="split", date_format="iso", default_handler=str)
        split = json.loads(text)
        columns = [str(column) for column in split["columns"]]
        return {"columns": columns, "rows": split["data"], "total": len(value)}
    return None


def _table_of_dicts(rows: list[dict[Any, Any]]) -> dict[str, Any] | None:
    kept = rows[:_ROWS]
    columns = list(dict.fromkeys(name for row in kept for name in row))
    cells = (cell for row in kept for cell in row.values())
    if not columns or not all(type(name) is str for name in columns):
        return None
    if not all(type(cell) in _SCALARS for cell in cells):
        return None
    return {
        "columns": columns,
        "rows": [[row.get(name) for name in columns] for row in kept],
        "total": len(rows),
    }


def _item(kind: str, content: str | bytes) -> list[dict[str, str]]:
    """Return one item as a list, an empty one where it is too large to be carried."""
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    text = base64.b64encode(data).decode("ascii")
    return [{"kind": kind, "data": text}] if len(text) <= _SHOWN_CHARACTERS else []
