"""The ``model`` section: which model answers, and how it samples."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field

from agentkit.model.protocol import GenerationSettings
from agentkit.spec.endpoint import Endpoint
from agentkit.spec.problems import quoted
from agentkit.spec.section import (
    Exactly,
    Fault,
    FilePath,
    HubId,
    LicenceId,
    Line,
    Section,
    distinct,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "EmbeddedModel",
    "GenerationSpec",
    "LocalModel",
    "ModelSpec",
    "PrefixSpec",
    "RemoteModel",
]

_COMMIT = re.compile(r"[0-9a-f]{40}")


class GenerationSpec(Section):
    """Sampling: how the next token is chosen, and when to stop."""

    max_tokens: Annotated[int, Field(ge=1, le=131_072)] = Field(
        default=512, description="At most this many tokens in one reply of the model."
    )
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] = Field(
        default=0.0, description="0 always takes the likeliest token; higher values vary more."
    )
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=1.0,
        description="Sample from the likeliest tokens that together have this probability.",
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        default=0, description="Makes a sampled run repeatable."
    )

    @property
    def settings(self) -> GenerationSettings:
        """The same, as a model takes it."""
        return GenerationSettings(self.max_tokens, self.temperature, self.top_p, self.seed)


class PrefixSpec(Section):
    """What is kept of prompts that were read, so that the next one that begins alike is quicker."""

    memory_mib: Annotated[int, Field(ge=0, le=1_048_576)] = Field(
        default=1024, description="At most this much memory beside that of running replies."
    )
    kv: Literal["auto", "int8"] = Field(
        default="auto",
        description="Number format of what is kept; int8 takes half of bf16 and rounds.",
    )
    spill: FilePath | None = Field(
        default=None,
        description="Folder for prefixes that memory has no room for; left out, they are"
        " forgotten. It holds what users wrote: keep it where their data may lie.",
    )
    spill_mib: Annotated[int, Field(ge=1, le=16_777_216)] = Field(
        default=8192, description="At most this much in the folder."
    )

    @classmethod
    def cross_check(cls, given: Mapping[str, object]) -> Iterator[Fault]:
        """Refuse a size for a folder that is not named."""
        if "spill_mib" in given and given.get("spill") is None:
            yield Fault(
                "spill_mib is given, and spill names no folder",
                "write spill: and a folder, or leave spill_mib out",
                ("spill_mib",),
                on_key=True,
            )


class EmbeddedModel(Section):
    """The small model that agentkit brings along: no download of weights by hand, no server."""

    source: Literal["embedded"] = Field(description="The small model that agentkit brings along.")
    generation: GenerationSpec = Field(
        default=GenerationSpec(), description="How the model samples."
    )


class LocalModel(Section):
    """Weights loaded into this process: a folder, or a pinned revision from the hub."""

    source: Literal["local"] = Field(description="Weights loaded into this process.")
    path: FilePath | None = Field(
        default=None, description="Folder of safetensors weights. Give exactly one of path and id."
    )
    id: HubId | None = Field(
        default=None,
        description="Model id on the Hugging Face hub. Give exactly one of path and id.",
    )
    revision: Line | None = Field(
        default=None,
        description="With id: the commit, 40 hex digits, because licences and weights are decided"
        " per revision. With path: what the folder's weights were taken from.",
    )
    licence: LicenceId | None = Field(
        default=None,
        description="The licence's id on model hubs. Needed where the model is not in agentkit's"
        " table; where it is, it must agree.",
    )
    base_model: HubId | None = Field(
        default=None, description="The model that these weights are or were made from."
    )
    dtype: Literal["bfloat16", "float32"] = Field(
        default="bfloat16",
        description="Number format of activations, and of all weights not made smaller.",
    )
    weights: Literal["auto", "bf16", "int8", "int4"] = Field(
        default="auto",
        description="Number format of the experts, which are most of a mixture's weights; auto is"
        " dtype. int8 and int4 are made from the checkpoint while it loads.",
    )
    linears: Literal["auto", "int8", "int4"] = Field(
        default="auto",
        description="Number format of all other linear layers; auto is dtype. Saves memory, costs"
        " speed.",
    )
    group: Annotated[
        int, Exactly((32, 64, 128), "write 32, the most exact, or 64 or 128, which are smaller")
    ] = Field(
        default=32, description="With int8 or int4: how many inputs of a weight share one scale."
    )
    packed_cache: bool = Field(
        default=True,
        description="Keep the packed weights in agentkit's cache, so that the next start maps them"
        " instead of packing again.",
    )
    adapters: Annotated[
        tuple[FilePath, ...], Field(strict=False, max_length=8), AfterValidator(distinct)
    ] = Field(
        default=(),
        description="Folders of LoRA adapters (peft's format) to merge into the weights, in order."
        " Each must name this model, or base_model, as its base.",
    )
    context_tokens: Annotated[int, Field(ge=64, le=16_777_216)] | None = Field(
        default=None,
        description="At most this many tokens in prompt and reply together; left out, as many as"
        " the model was made for.",
    )
    prefixes: PrefixSpec = Field(
        default=PrefixSpec(), description="What is kept of prompts that were read."
    )
    streams: Annotated[int, Field(ge=1, le=256)] = Field(
        default=8, description="At most this many replies are written at once, in shared passes."
    )
    queue: Annotated[int, Field(ge=0, le=65_536)] = Field(
        default=32,
        description="At most this many requests wait for a stream; the next one is refused.",
    )
    generation: GenerationSpec = Field(
        default=GenerationSpec(), description="How the model samples."
    )

    @classmethod
    def cross_check(cls, given: Mapping[str, object]) -> Iterator[Fault]:
        """Refuse all but exactly one of path and id, and an id not pinned to a commit."""
        path, hub_id, revision = (given.get(key) for key in ("path", "id", "revision"))
        formats = {given.get("weights"), given.get("linears")}
        if "group" in given and not formats & {"int8", "int4"}:
            yield Fault(
                "group is given, and neither weights nor linears is int8 or int4",
                "leave group out, or write weights: int8",
                ("group",),
                on_key=True,
            )
        if path is not None and hub_id is not None:
            yield Fault(
                "path and id are both given; they name two models",
                "keep path for weights on this machine, or id for a model of the hub",
                ("id",),
                on_key=True,
            )
        elif path is None and hub_id is None:
            yield Fault(
                "names no model: path or id is missing",
                "write path: ./weights/my-model, or id: owner/name with its revision",
                on_key=True,
            )
        elif hub_id is not None and revision is None:
            yield Fault(
                "the key revision is missing; what a hub id alone names can change",
                "add revision: and the commit's 40 hex digits, from the model's history",
                ("id",),
                on_key=True,
            )
        elif hub_id is not None and isinstance(revision, str) and not _COMMIT.fullmatch(revision):
            yield Fault(
                f"must be a commit of 40 hex digits, found the text {quoted(revision)}; a branch"
                " or tag can move",
                "copy the commit's hash from the model's history on the hub",
                ("revision",),
            )


class RemoteModel(Endpoint):
    """A model behind the OpenAI protocol."""

    source: Literal["remote"] = Field(description="A model behind the OpenAI protocol.")
    licence: LicenceId | None = Field(
        default=None,
        description="The licence's id on model hubs. Needed where the model is not in agentkit's"
        " table; where it is, it must agree.",
    )
    generation: GenerationSpec = Field(
        default=GenerationSpec(), description="How the model samples."
    )


ModelSpec: TypeAlias = Annotated[
    EmbeddedModel | LocalModel | RemoteModel, Field(discriminator="source")
]
"""The three ways to have a model, told apart by ``source``."""
