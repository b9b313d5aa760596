"""The loss curve as an SVG picture, drawn by hand: nothing to install."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["draw_curve"]

_WIDTH, _HEIGHT, _MARGIN = 720, 360, 48
_FLOOR, _CEILING = 0.02, 4.0


def draw_curve(log: Path, picture: Path) -> None:
    """Draw training loss (mean of 20 steps) and validation loss over steps, logarithmically."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    if not lines:
        return
    last = max(line["step"] for line in lines)
    losses = [(line["step"], line["loss"]) for line in lines]
    means = [
        (losses[n][0], sum(loss for _, loss in losses[max(0, n - 19) : n + 1]) / min(n + 1, 20))
        for n in range(0, len(losses), 5)
    ]
    checks = [(line["step"], line["validation"]) for line in lines if "validation" in line]

    def place(step: float, loss: float) -> str:
        span = math.log(_CEILING / _FLOOR)
        height = math.log(min(max(loss, _FLOOR), _CEILING) / _FLOOR) / span
        x = _MARGIN + step / last * (_WIDTH - 2 * _MARGIN)
        return f"{x:.1f},{_HEIGHT - _MARGIN - height * (_HEIGHT - 2 * _MARGIN):.1f}"

    marks = ""
    for loss in (0.03, 0.1, 0.3, 1.0, 3.0):
        y = place(0, loss).split(",")[1]
        marks += (
            f'<line x1="{_MARGIN}" x2="{_WIDTH - _MARGIN}" y1="{y}" y2="{y}" stroke="#ddd"/>'
            f'<text x="8" y="{y}" font-size="11">{loss}</text>'
        )
    curves = "".join(
        f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" '
        f'points="{" ".join(place(*point) for point in points)}"/>'
        for colour, points in (("#88a", means), ("#c33", checks))
    )
    legend = (
        f'<text x="{_MARGIN}" y="{_HEIGHT - 12}" font-size="12">steps 0-{last}; '
        "grey-blue: training loss, red: validation loss (logarithmic)</text>"
    )
    picture.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'font-family="sans-serif"><rect width="100%" height="100%" fill="white"/>'
        f"{marks}{curves}{legend}</svg>\n"
    )
