"""The wasm tier: CPython as a WebAssembly component, on wasmtime, in a worker process."""

from agentkit.sandbox.wasm.tier import WasmSandbox

__all__ = ["WasmSandbox"]
