"""The host's side of one run: what is asked, what came back until now, and how it ended.

What is covered: everything that crosses the wall is taken as written by the code itself. Output is
counted again, values are parsed under a limit, names of files are made harmless or dropped, and an
outcome outside of the closed set becomes ``lost``.
What is not covered: what a value, an output or a file *says*; that is for the guards.
"""

from __future__ import annotations

import base64
import binascii
import json
import mimetypes
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from agentkit.errors import SandboxError
from agentkit.sandbox.interface import Artifact, Execution, ExitReason, Limits, ResourceUsage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentkit.messages import JsonValue

__all__ = [
    "CODE_BYTES",
    "FLOOD_FACTOR",
    "OUTER_GRACE_S",
    "RunRecord",
    "frame_bytes",
    "request",
    "safe_name",
]

CODE_BYTES = 1 << 20
FLOOD_FACTOR = 16  # output is cut at its limit; code that goes on to this multiple is stopped
OUTER_GRACE_S = 0.5  # how long the host waits after a run's time before it kills from outside

_NAME_LENGTH = 200
_ARTIFACTS = 64
_VALUE_BYTES = 1 << 20
_NUMBER = 1e12  # larger than any honest count of seconds
_SMALL_BYTES = 4 << 20  # room for value, output and headers in a frame
_MEDIA_TYPES = mimetypes.MimeTypes()
_STREAMS = {1: "stdout", 2: "stderr"}
_FROM_INSIDE = {reason.value for reason in ExitReason}


def frame_bytes(limits: Limits) -> int:
    """Return the largest frame that a run under ``limits`` may send back."""
    return limits.file_bytes * 4 // 3 + _SMALL_BYTES


def safe_name(name: str) -> str | None:
    """Return ``name`` as a relative path inside a directory; None where it is none."""
    if not name or len(name) > _NAME_LENGTH or not name.isprintable() or "\\" in name:
        return None
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts:
        return None
    return str(path)


def request(
    code: str, files: Mapping[str, bytes], timeout_s: float | None, limits: Limits
) -> dict[str, Any]:
    """Return the request frame of a run. Raises ``SandboxError`` where the caller asks wrongly."""
    total = sum(len(data) for data in files.values())
    if total > limits.file_bytes:
        raise SandboxError(
            f"the files given take {total} bytes; the limit is {limits.file_bytes}",
            cure="give less, or raise Limits.file_bytes",
        )
    wrong = [name for name in files if safe_name(name) is None]
    if wrong:
        raise SandboxError(
            f"{wrong[0]!r} is no name for a file in the sandbox",
            cure="use relative names without '..', backslash or control characters",
        )
    seconds = limits.timeout_s if timeout_s is None else min(timeout_s, limits.timeout_s)
    if not seconds > 0:
        raise SandboxError(
            f"a timeout of {seconds} s leaves no time", cure="give timeout_s greater than 0"
        )
    return {
        "op": "run",
        "code": code,
        "timeout_s": seconds,
        "file_bytes": limits.file_bytes,
        "output_bytes": limits.output_bytes,
        "flood_bytes": limits.output_bytes * FLOOD_FACTOR,
        "reply_bytes": frame_bytes(limits),
        "files": {
            str(safe_name(name)): base64.b64encode(data).decode("ascii")
            for name, data in files.items()
        },
    }


class RunRecord:
    """Collects the frames of one run and makes the ``Execution`` of them."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
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
            self._text[stream].append(taken.decode("utf-8", "ignore"))

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
        artifacts, left_out = self._artifacts(frame)
        self._dropped += _integer(frame.get("dropped_output"))
        if exit_reason is ExitReason.OK:
            error = self._over(left_out)
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

    def _artifacts(self, frame: dict[str, Any]) -> tuple[tuple[Artifact, ...], list[str]]:
        """Return the files that were left, and the names of those that were not taken."""
        given = frame.get("artifacts")
        reported = frame.get("dropped_files")
        dropped = [_text(name) for name in reported] if isinstance(reported, list) else []
        taken: list[Artifact] = []
        room = self._limits.file_bytes
        for name, encoded in given.items() if isinstance(given, dict) else ():
            safe = safe_name(name)
            data = _bytes(encoded)
            if safe is None or data is None or len(data) > room or len(taken) == _ARTIFACTS:
                dropped.append(_text(name))
                continue
            room -= len(data)
            media_type, _ = _MEDIA_TYPES.guess_type(safe)
            taken.append(Artifact(safe, data, media_type or "application/octet-stream"))
        return tuple(taken), dropped

    def _over(self, dropped_files: list[str]) -> str:
        """Return what was over the limits as a sentence; empty where nothing was."""
        parts = []
        if self._dropped:
            parts.append(f"output was cut at {self._limits.output_bytes} bytes")
        if dropped_files:
            names = ", ".join(repr(name[:80]) for name in dropped_files[:5])
            parts.append(
                f"{len(dropped_files)} file(s) not taken, over {self._limits.file_bytes} bytes "
                f"in all, over {_ARTIFACTS} files or badly named: {names}"
            )
        return "; ".join(parts)


def _value(text: object) -> JsonValue:
    """Parse the last expression's JSON; a value that breaks the parser is no value."""
    if not isinstance(text, str) or len(text) > _VALUE_BYTES:
        return None
    try:
        value: JsonValue = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _bytes(encoded: object) -> bytes | None:
    if not isinstance(encoded, str):
        return None
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None


def _text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    return value[:2000].encode("utf-8", "backslashreplace").decode("utf-8")


def _integer(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 1 << 63 else 0


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and 0 <= value < _NUMBER else 0.0
