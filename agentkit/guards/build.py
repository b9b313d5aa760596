"""From names in ``agent.yaml`` to a pipeline. A name that does not exist is an error, not a gap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from agentkit.errors import GuardError
from agentkit.guards.hidden_text import HiddenTextDetector
from agentkit.guards.injection import InjectionDetector
from agentkit.guards.llama_guard import LlamaGuardDetector
from agentkit.guards.pipeline import GuardPipeline
from agentkit.guards.secrets import SecretsDetector

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from agentkit.guards.detector import Detector
    from agentkit.guards.llama_guard import ChatStyle
    from agentkit.guards.verdict import Boundary
    from agentkit.model.protocol import ChatModel

__all__ = ["DETECTOR_NAMES", "build_pipeline"]

DETECTOR_NAMES = ("hidden_text", "secrets", "injection", "llama_guard")
"""The names that may stand in a boundary's list."""


def build_pipeline(
    names_by_boundary: Mapping[Boundary, Sequence[str]],
    *,
    timeout_s: float,
    llama_guard: ChatModel | None = None,
    llama_guard_version: Literal[3, 4] = 4,
    llama_guard_categories: Mapping[str, str] | None = None,
    llama_guard_exclude: Collection[str] = (),
    llama_guard_style: ChatStyle = "conversation",
) -> GuardPipeline:
    """Build the detectors named for each boundary.

    ``names_by_boundary`` needs all four boundaries; an empty list is the user's decision that
    nothing is checked there. ``llama_guard``: the model behind the detector of that name;
    ``llama_guard_categories`` replaces the standard hazards, ``llama_guard_exclude`` drops some
    by key; ``llama_guard_style`` is explained at ``llama_guard``. Raises ``GuardError``.
    """
    unknown = sorted(
        {name for names in names_by_boundary.values() for name in names}.difference(DETECTOR_NAMES)
    )
    if unknown:
        raise GuardError(
            f"no such guard: {', '.join(unknown)}",
            cure=f"choose from {', '.join(DETECTOR_NAMES)}",
        )
    detectors: dict[str, Detector] = {
        "hidden_text": HiddenTextDetector(),
        "secrets": SecretsDetector(),
        "injection": InjectionDetector(),
    }
    if any("llama_guard" in names for names in names_by_boundary.values()):
        if llama_guard is None:
            raise GuardError(
                "the guard llama_guard is listed, but no model is given for it",
                cure="name a Llama Guard 3 or 4 model, or take llama_guard out of the lists",
            )
        detectors["llama_guard"] = LlamaGuardDetector(
            llama_guard,
            version=llama_guard_version,
            categories=llama_guard_categories,
            exclude=llama_guard_exclude,
            chat_style=llama_guard_style,
        )
    return GuardPipeline(
        {
            boundary: tuple(detectors[name] for name in names)
            for boundary, names in names_by_boundary.items()
        },
        timeout_s=timeout_s,
    )
