"""Guards: is this content safe? One pipeline, one ``Verdict``, at every boundary.

Detectors are signals; the deterministic gate over tool calls (``planner``) is the control.
"""

from agentkit.guards.build import DETECTOR_NAMES, build_pipeline
from agentkit.guards.code_scan import CodeScanDetector, scan_python
from agentkit.guards.detector import Detector, GuardContext, Turn
from agentkit.guards.hidden_text import HiddenTextDetector
from agentkit.guards.injection import InjectionDetector
from agentkit.guards.llama_guard import LlamaGuardDetector
from agentkit.guards.pipeline import CanaryResult, GuardPipeline, Judgement
from agentkit.guards.secrets import SecretsDetector
from agentkit.guards.verdict import Action, Boundary, Span, Verdict, most_restrictive

__all__ = [
    "DETECTOR_NAMES",
    "Action",
    "Boundary",
    "CanaryResult",
    "CodeScanDetector",
    "Detector",
    "GuardContext",
    "GuardPipeline",
    "HiddenTextDetector",
    "InjectionDetector",
    "Judgement",
    "LlamaGuardDetector",
    "SecretsDetector",
    "Span",
    "Turn",
    "Verdict",
    "build_pipeline",
    "most_restrictive",
    "scan_python",
]
