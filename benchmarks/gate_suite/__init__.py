"""The gate's benchmark: toolsets, tasks, attacks, and a model that obeys everyone."""
