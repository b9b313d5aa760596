"""How well a model does what an agent needs of it."""

from __future__ import annotations
