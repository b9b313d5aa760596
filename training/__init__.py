"""How the weights that agentkit ships were made; no part of the installed package."""
