"""Try a tier: one line of code through the whole path, the same for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.errors import SandboxError

if TYPE_CHECKING:
    from agentkit.sandbox.interface import Sandbox

__all__ = ["python_version"]


async def python_version(sandbox: Sandbox, cure: str) -> str:
    """Return the version of the Python that answers inside. Raises ``SandboxError`` with ``cure``
    where none does.
    """
    async with sandbox.session() as session:
        execution = await session.run("import sys; sys.version.split()[0]")
    if not execution.ok or not isinstance(execution.value, str):
        raise SandboxError(
            f"the {sandbox.tier} sandbox did not answer: {execution.exit_reason}: "
            f"{execution.error}",
            cure=cure,
        )
    return execution.value
