"""The ``guards`` section: which detectors stand at which boundary."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from agentkit.spec.endpoint import Endpoint
from agentkit.spec.section import Exactly, Section, distinct

__all__ = ["GuardsSpec", "LlamaGuardSpec"]

GuardName = Literal["hidden_text", "injection", "secrets"]
Guards = Annotated[tuple[GuardName, ...], Field(strict=False), AfterValidator(distinct)]


class LlamaGuardSpec(Endpoint):
    """Llama Guard on a server, judging what users say and what the model answers."""

    version: Annotated[int, Exactly((3, 4), "write 3 or 4, as in the model's name")] = Field(
        description="Llama Guard's generation; it decides prompt and parsing."
    )
    template: Literal["server", "agentkit"] = Field(
        default="server",
        description="Who writes the task around the turns: the server, by the checkpoint's own"
        " chat template, or agentkit, for a server that adds only the control tokens.",
    )


class GuardsSpec(Section):
    """Detectors per boundary; what is left out is on. A detector that fails or is late blocks."""

    user_input: Guards = Field(
        default=("hidden_text", "injection", "secrets"), description="What the user says."
    )
    tool_arguments: Guards = Field(
        default=("hidden_text", "secrets"), description="What the model passes to a tool."
    )
    tool_result: Guards = Field(
        default=("hidden_text", "injection", "secrets"), description="What a tool returns."
    )
    model_output: Guards = Field(
        default=("hidden_text", "secrets"), description="What the model answers."
    )
    timeout_s: Annotated[float, Field(gt=0.0, le=600.0)] = Field(
        default=5.0, description="Seconds for all detectors of one boundary; later means blocked."
    )
    llama_guard: LlamaGuardSpec | None = Field(
        default=None, description="Adds Llama Guard to user_input and model_output."
    )
