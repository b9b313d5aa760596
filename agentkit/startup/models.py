"""From a specification's ``model`` section to a running model. Heavy imports happen here only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio.to_thread

from agentkit.cache import default_cache_directory
from agentkit.errors import ModelError
from agentkit.model.remote import RemoteModel as RemoteChatModel
from agentkit.spec import EmbeddedModel, RemoteModel

if TYPE_CHECKING:
    from agentkit.model import ChatModel
    from agentkit.progress import Progress
    from agentkit.spec import LlamaGuardSpec, LoadedSpec

__all__ = ["open_guard_model", "open_model"]


async def open_model(loaded: LoadedSpec, progress: Progress) -> ChatModel:
    """Load or connect to the model that answers. Raises ``ModelError`` with a cure."""
    model = loaded.spec.model
    if isinstance(model, RemoteModel):
        return _remote(model)
    try:
        from agentkit.model.embedded import load_embedded  # noqa: PLC0415 - torch stays optional
        from agentkit.model.local import (  # noqa: PLC0415 - torch stays optional
            BatchPolicy,
            PrefixPolicy,
            WeightFormat,
            load_local,
        )
    except ModuleNotFoundError as error:
        raise ModelError(
            f"models in this process need the package {error.name!r}",
            cure="pip install 'agentkit-gated[local]', or use a model with source: remote",
            place=loaded.place("model"),
        ) from error

    def load() -> ChatModel:
        if isinstance(model, EmbeddedModel):
            return load_embedded(progress=progress)
        path = loaded.resolve(model.path) if model.path else None
        return load_local(
            str(path or model.id),
            revision=model.revision,
            dtype=model.dtype,
            progress=progress,
            weights=WeightFormat(model.weights, model.linears, model.group),
            packed_cache=default_cache_directory() if model.packed_cache else None,
            adapters=[loaded.resolve(adapter) for adapter in model.adapters],
            base_model=model.base_model,
            context_tokens=model.context_tokens,
            prefixes=PrefixPolicy(
                model.prefixes.memory_mib << 20,
                model.prefixes.kv,
                loaded.resolve(model.prefixes.spill) if model.prefixes.spill else None,
                model.prefixes.spill_mib << 20,
            ),
            batch=BatchPolicy(model.streams, model.queue),
        )

    return await anyio.to_thread.run_sync(load)


def open_guard_model(guard: LlamaGuardSpec) -> ChatModel:
    """Connect to the server that runs Llama Guard."""
    return _remote(guard)


def _remote(endpoint: RemoteModel | LlamaGuardSpec) -> ChatModel:
    return RemoteChatModel(
        endpoint.url,
        endpoint.id,
        revision=endpoint.revision or "",
        api_key=endpoint.api_key.reveal() if endpoint.api_key else None,
        timeout_s=endpoint.timeout_s,
    )
