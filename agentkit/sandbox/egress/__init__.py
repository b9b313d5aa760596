"""The one way out of a container: an allowlist by name and by resolved address, all audited."""

from agentkit.sandbox.egress.door import EgressDoor
from agentkit.sandbox.egress.proxy import serve
from agentkit.sandbox.egress.wires import Wires

__all__ = ["EgressDoor", "Wires", "serve"]
