"""The host's side of one run: what is asked, what came back until now, and how it ended.

What is covered: everything that crosses the wall is taken as written by the code itself. Output is
counted again, values are parsed under a limit, names of files are made harmless or dropped, and an
outcome outside of the closed set becomes ``lost``.
What is not covered: what a value, an output or a file *says*; that is for the guards.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NoReturn

from agentkit.sandbox.artifacts import ARTIFACTS, taken_artifacts
from agentkit.sandbox.aside import LARGE
from agentkit.sandbox.interface import Artifact, Execution, ExitReason, Limits, ResourceUsage
from agentkit.strict_json import unique_keys

if TYPE_CHECKING:
    from agentkit.messages import JsonValue
    from agentkit.sandbox.interface import OutputObserver, Stream

__all__ = ["RunRecord", "is_large"]

_VALUE_BYTES = 1 << 20
_NUMBER = 1e12  # larger than any honest count of seconds
_STREAMS: dict[int, Stream] = {1: "stdout", 2: "stderr"}
_FROM_INSIDE = {reason.value for reason in ExitReason}


def is_large(frame: dict[str, Any]) -> bool:
    """Whether a ``result`` frame holds so much that it is not to be read in the event loop."""
    value = frame.get("value")
    return bool(frame.get("artifacts") or frame.get("shown")) or (
        isinstance(value, str) and len(value) > LARGE
    )


class RunRecord:
    """Collects the frames of one run and makes the ``Execution`` of them.

    ``observe`` is told of output as it comes, up to the limit.
    """

    def __init__(self, limits: Limits, observe: OutputObserver | None = None) -> None:
        self._limits = limits
        self._observe = observe
        self._text: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._kept = 0
        self._dropped = 0

    def output(self, frame: dict[str, Any]) -> None:
        """Take an ``output`` frame; what is over the limit is counted and dropped."""
        stream = _STREAMS.get(_integer(frame.get("stream")), "stderr")
        text = frame.get("text")
        if not isinstance(text, str):
            return
        data = text.encode("utf-8", "backslashreplace")
        room = max(self._limits.output_bytes - self._kept, 0)
        taken = data[:room]
        self._kept += len(taken)
        self._dropped += len(data) - len(taken)
        if taken:
            kept = taken.decode("utf-8", "ignore")
            self._text[stream].append(kept)
            if self._observe is not None:
                self._observe(stream, kept)

    def stopped(
        self, reason: ExitReason, error: str, wall_s: float, *, state_lost: bool = True
    ) -> Execution:
        """Return the execution of a run that was ended from outside of the code."""
        return self._execution(
            reason, error=error, usage=ResourceUsage(wall_s=wall_s), state_lost=state_lost
        )

    def finished(self, frame: dict[str, Any], wall_s: float) -> Execution:
        """Return the execution that a ``result`` frame describes."""
        reason = frame.get("exit")
        if not isinstance(reason, str) or reason not in _FROM_INSIDE:
            return self.stopped(ExitReason.LOST, "the sandbox's answer made no sense", wall_s)
        exit_reason = ExitReason(reason)
        error = _text(frame.get("error")) or str(exit_reason)
        artifacts, left_out = taken_artifacts(frame, self._limits.file_bytes)
        reported = frame.get("dropped_files")
        left_out += reported if isinstance(reported, list) else []
        count = len(left_out) + _integer(frame.get("dropped_more"))
        self._dropped += _integer(frame.get("dropped_output"))
        if exit_reason is ExitReason.OK:
            error = self._over(count, left_out)
            exit_reason = ExitReason.OUTPUT if error else ExitReason.OK
        usage = ResourceUsage(
            wall_s=wall_s,
            cpu_s=_number(frame.get("cpu_s")),
            peak_memory_bytes=_integer(frame.get("peak_memory_bytes")),
        )
        return self._execution(
            exit_reason,
            error=error,
            value=_value(frame.get("value")),
            artifacts=artifacts,
            usage=usage,
            state_lost=frame.get("state_lost") is True,
        )

    def _execution(
        self,
        reason: ExitReason,
        *,
        error: str,
        usage: ResourceUsage,
        value: JsonValue = None,
        artifacts: tuple[Artifact, ...] = (),
        state_lost: bool = False,
    ) -> Execution:
        return Execution(
            exit_reason=reason,
            stdout="".join(self._text["stdout"]),
            stderr="".join(self._text["stderr"]),
            value=value,
            error=error,
            artifacts=artifacts,
            usage=ResourceUsage(
                wall_s=usage.wall_s,
                cpu_s=usage.cpu_s,
                peak_memory_bytes=usage.peak_memory_bytes,
                output_bytes=self._kept + self._dropped,
            ),
            state_lost=state_lost,
        )

    def _over(self, count: int, dropped_files: list[object]) -> str:
        """Return what was over the limits as a sentence; empty where nothing was."""
        parts = []
        if self._dropped:
            parts.append(f"output was cut at {self._limits.output_bytes} bytes")
        if count:
            names = ", ".join(repr(_text(name)[:80]) for name in dropped_files[:5])
            parts.append(
                f"{count} file(s) not taken, over {self._limits.file_bytes} bytes "
                f"in all, over {ARTIFACTS} files or badly named: {names}"
            )
        return "; ".join(parts)


def _value(text: object) -> JsonValue:
    """Parse the last expression's JSON; a value that breaks the parser is no value."""
    if not isinstance(text, str) or len(text) > _VALUE_BYTES:
        return None
    try:
        value: JsonValue = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]} is no finite number")
    return value


# Not as strict as for a call's arguments: a cell's large integer is its value.
_DECODER = json.JSONDecoder(
    object_pairs_hook=unique_keys, parse_constant=_refuse_constant, parse_float=_finite
)


def _text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    return value[:2000].encode("utf-8", "backslashreplace").decode("utf-8")


def _integer(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 1 << 63 else 0


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and 0 <= value < _NUMBER else 0.0
