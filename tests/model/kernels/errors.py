"""How far a result is from the right one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def relative_error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Return the norm of the difference as a share of the norm of what is right."""
    return float((found.double() - wanted.double()).norm() / wanted.double().norm())
