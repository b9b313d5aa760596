"""The wasm tier: CPython as a WebAssembly component, on wasmtime, in a worker process.

Names are imported when asked for: the worker imports this package too, and each session waits for
it to start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentkit.sandbox.wasm.tier import WasmSandbox

__all__ = ["WasmSandbox"]


def __getattr__(name: str) -> type:
    if name != "WasmSandbox":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from agentkit.sandbox.wasm.tier import WasmSandbox  # noqa: PLC0415  see above

    return WasmSandbox
