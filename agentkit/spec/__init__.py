"""The agent's specification: agent.yaml, strictly checked, every error with its place and fix."""

from agentkit.spec.approvals import ApprovalsSpec, ApproverSpec, StateSpec
from agentkit.spec.budgets import BudgetsSpec
from agentkit.spec.deployment import DeploymentSpec, PrincipalSpec, ReviewSpec, TrainedModelSpec
from agentkit.spec.guards import GuardsSpec, LlamaGuardSpec
from agentkit.spec.json_schema import agent_json_schema
from agentkit.spec.load import LoadedSpec, load_spec
from agentkit.spec.model import EmbeddedModel, GenerationSpec, LocalModel, ModelSpec, RemoteModel
from agentkit.spec.policies import PoliciesSpec
from agentkit.spec.problems import Problem, SpecProblems
from agentkit.spec.schema import AgentSpec, AuditSpec, LimitsSpec, OutputSpec
from agentkit.spec.secret import Secret
from agentkit.spec.templates import read_template, template_names
from agentkit.spec.tools import SandboxSpec, ToolSpec

__all__ = [
    "AgentSpec",
    "ApprovalsSpec",
    "ApproverSpec",
    "AuditSpec",
    "BudgetsSpec",
    "DeploymentSpec",
    "EmbeddedModel",
    "GenerationSpec",
    "GuardsSpec",
    "LimitsSpec",
    "LlamaGuardSpec",
    "LoadedSpec",
    "LocalModel",
    "ModelSpec",
    "OutputSpec",
    "PoliciesSpec",
    "PrincipalSpec",
    "Problem",
    "RemoteModel",
    "ReviewSpec",
    "SandboxSpec",
    "Secret",
    "SpecProblems",
    "StateSpec",
    "ToolSpec",
    "TrainedModelSpec",
    "agent_json_schema",
    "load_spec",
    "read_template",
    "template_names",
]
