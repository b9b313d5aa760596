"""What a model would need and how fast it could be here, before anything of it is downloaded.

Needs neither torch nor the network; the probe of the memory's speed is in ``plan.machine``.
"""

from agentkit.model.plan.estimate import FORMATS, FormatPlan, ModelPlan, plan_model
from agentkit.model.plan.machine import Machine, look_at_machine
from agentkit.model.plan.shape import ModelShape, read_shape
from agentkit.model.plan.sources import DEFAULT_MODELS, find_shape

__all__ = [
    "DEFAULT_MODELS",
    "FORMATS",
    "FormatPlan",
    "Machine",
    "ModelPlan",
    "ModelShape",
    "find_shape",
    "look_at_machine",
    "plan_model",
    "read_shape",
]
