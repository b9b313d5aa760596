"""The command line: ``agentkit``. Each command is one small file; ``app`` lists them all."""

from agentkit.cli.app import main

__all__ = ["main"]
