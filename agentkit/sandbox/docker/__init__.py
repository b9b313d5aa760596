"""The docker tier: CPython in a hardened container, for code that needs real packages."""

from agentkit.sandbox.docker.image import build_image
from agentkit.sandbox.docker.tier import DockerSandbox

__all__ = ["DockerSandbox", "build_image"]
