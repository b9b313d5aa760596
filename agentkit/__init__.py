"""agentkit: tool-using assistants that a bank, a hospital or a ministry may run."""

__version__ = "0.1.0"
