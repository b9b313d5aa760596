"""The request frame of a run: what the caller asks, checked before a worker hears of it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from agentkit.errors import SandboxError
from agentkit.sandbox.artifacts import ARTIFACTS, safe_name
from agentkit.sandbox.hostcalls import declared

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentkit.sandbox.interface import HostFunction, ImportAllowlist, Limits

__all__ = ["CODE_BYTES", "FLOOD_FACTOR", "OUTER_GRACE_S", "frame_bytes", "request"]

CODE_BYTES = 1 << 20
FLOOD_FACTOR = 16  # output is cut at its limit; code that goes on to this multiple is stopped
OUTER_GRACE_S = 0.5  # how long the host waits after a run's time before it kills from outside

_SMALL_BYTES = 4 << 20  # room for value, output and headers in a frame
_SHOWN_CHARACTERS = 12 << 20
_ESCAPED = 6  # the most bytes that JSON makes of one byte of text
_SEED_BITS = 64


def frame_bytes(limits: Limits) -> int:
    """Return the largest frame that a run under ``limits`` may send back: a result or a call."""
    result = limits.file_bytes * 4 // 3 + _shown(limits)
    return max(result, limits.call_bytes * _ESCAPED) + _SMALL_BYTES


def _shown(limits: Limits) -> int:
    """Return how many characters of base64 a run may show."""
    return min(limits.file_bytes * 4 // 3, _SHOWN_CHARACTERS)


def request(
    code: str,
    limits: Limits,
    *,
    files: Mapping[str, bytes],
    timeout_s: float | None,
    functions: Mapping[str, HostFunction],
    imports: ImportAllowlist | None,
    seed: int | None,
    now: float | None,
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
    if now is not None and not 0 <= now < 1 << 33:
        raise SandboxError(f"{now} is no time of day", cure="give seconds since 1970")
    if seed is not None and not 0 <= seed < 1 << _SEED_BITS:
        raise SandboxError(f"{seed} is no seed", cure=f"give 0 or more, below 2**{_SEED_BITS}")
    return {
        "op": "run",
        "code": code,
        "timeout_s": seconds,
        "file_bytes": limits.file_bytes,
        "file_count": ARTIFACTS,
        "shown_room": _shown(limits),
        "output_bytes": limits.output_bytes,
        "flood_bytes": limits.output_bytes * FLOOD_FACTOR,
        "reply_bytes": frame_bytes(limits),
        "files": {
            str(safe_name(name)): base64.b64encode(data).decode("ascii")
            for name, data in files.items()
        },
        "functions": declared(functions),
        "call_bytes": limits.call_bytes,
        "imports": None if imports is None else sorted(imports.modules),
        "seed": seed,
        "now": now,
    }
