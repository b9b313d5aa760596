"""Models that several agents of one process share: loaded once, written to in shared passes.

    async with ModelPool() as models:
        async with Agent.open("clerk.yaml", models=models) as clerk: ...
        async with Agent.open("analyst.yaml", models=models) as analyst: ...

What is covered: agents share a model of this process where their ``model`` sections ask for the
same one, sampling aside; it is loaded once however many ask at the same time, and closed with the
pool. Licences, guards, gates, budgets and audit logs stay each agent's own; the licence is decided
before the pool is asked.
What is not covered: agents of one model can tell from its speed, and from how fast a prompt is
read, that others are there and share its beginning; give those who must not a pool each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import anyio

from agentkit.errors import ModelError
from agentkit.spec import LocalModel
from agentkit.startup.models import open_model

if TYPE_CHECKING:
    from agentkit.model import ChatModel
    from agentkit.progress import Progress
    from agentkit.spec import LoadedSpec

__all__ = ["ModelPool"]


class ModelPool:
    """An asynchronous context; agents that are opened with it must be closed before it."""

    def __init__(self) -> None:
        self._models: dict[str, ChatModel] = {}
        self._lock = anyio.Lock()
        self._open = False

    async def __aenter__(self) -> Self:
        self._open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._open = False
        with anyio.CancelScope(shield=True):
            async with self._lock:
                while self._models:
                    await self._models.popitem()[1].aclose()

    async def get(self, loaded: LoadedSpec, progress: Progress) -> ChatModel:
        """Return the model of this process that ``loaded`` asks for, loaded at the first asking.

        Raises ``ModelError`` where it cannot be loaded; the next who asks tries again.
        """
        key = _identity(loaded)
        async with self._lock:
            if not self._open:
                raise ModelError(
                    "the pool of models is not open",
                    cure="open it around all of its agents: async with ModelPool() as models",
                    place=loaded.place("model"),
                )
            if key not in self._models:
                self._models[key] = await open_model(loaded, progress)
            return self._models[key]


def _identity(loaded: LoadedSpec) -> str:
    """Return all that decides which weights are loaded and how, with absolute paths."""
    model = loaded.spec.model
    text = model.model_dump_json(exclude={"generation"})
    if not isinstance(model, LocalModel):
        return text
    paths = [model.path, model.prefixes.spill, *model.adapters]
    return "\n".join([text, *(str(loaded.resolve(path)) for path in paths if path)])
