"""The wall itself: which WebAssembly engine runs the guest, and the little that it may import.

Runs inside the worker process only. What is covered: the guest's memory and stack are bounded, its
time ends at an epoch deadline, and of WASI it gets clocks, random bytes and empty lists; any other
import ends the run and is named in the result. What is not covered: a flaw in wasmtime's compiler;
for that the worker process has limits of its own and nothing worth reading.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import resource
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import wasmtime
from wasmtime import component

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "ENGINE_CONFIG",
    "Guest",
    "Resident",
    "Stopped",
    "Walls",
    "compile_component",
    "make_engine",
]

ENGINE_CONFIG = "epoch;component;stack=2MiB;reserve=4GiB"
_STACK_BYTES = 2 << 20  # the most that wasmtime allows; deeper recursion is a trap
# What the worker's own code may take while a cell runs.
_OWN_BYTES = 48 << 20
_REASON_LENGTH = 300
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_UNKNOWN_IMPORT = re.compile(r"unknown import: `([^`]+)`")


class Stopped(Exception):
    """The guest was ended from outside. ``reason``: an ``ExitReason`` value."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        self.message = message
        super().__init__(message)


def make_engine() -> wasmtime.Engine:
    """Return the engine; its configuration is part of the compiled guest's identity."""
    config = wasmtime.Config()
    config.epoch_interruption = True
    config.wasm_component_model = True
    config.max_wasm_stack = _STACK_BYTES
    config.memory_reservation = 4 << 30
    return wasmtime.Engine(config)


def compile_component(wasm: bytes) -> bytes:
    """Compile a component ahead of time to native code for this machine (11-18 s)."""
    return bytes(component.Component(make_engine(), wasm).serialize())


class Walls:
    """The host functions of all instances, and the limits of the run that is going on.

    ``emit``: takes a stream number and a text, may raise ``Stopped``. ``call``: takes a name and
    arguments as JSON text, returns the answer as JSON text, may raise ``Stopped``. ``seed``: where
    given, random bytes come from it, the same for each instance (see ``use_random``).
    """

    def __init__(
        self,
        emit: Callable[[int, str], None],
        call: Callable[[str, str], str],
        seed: int | None,
    ) -> None:
        self.deadline = float("inf")
        self._emit = emit
        self._call = call
        self._seed = seed
        self._own_random = self._random = self.new_random()
        self._clock_offset_ns = 0

    def begin_run(self, seed: int | None, now: float | None) -> None:
        """Set the random bytes and the wall clock of one run; None is the session's own."""
        if seed is not None:
            self._random = random.Random(seed)  # noqa: S311  as below
        self._clock_offset_ns = 0 if now is None else int(now * 1e9) - time.time_ns()

    def end_run(self, seed: int | None) -> None:
        """Take a run's own random bytes away again."""
        if seed is not None:
            self._random = self._own_random

    def use_random(self, source: random.Random) -> None:
        """Give random bytes of ``source`` from now on: of the instance that runs next."""
        self._own_random = self._random = source

    def new_random(self) -> random.Random:
        """Return the random bytes of one more instance, from their beginning."""
        return random.SystemRandom() if self._seed is None else random.Random(self._seed)  # noqa: S311  a seed is asked for to repeat a run

    def _sleep(self, _store: object, nanoseconds: int) -> None:
        remaining = self.deadline - time.monotonic()
        time.sleep(max(0.0, min(nanoseconds / 1e9, remaining)))
        if nanoseconds / 1e9 >= remaining:
            raise Stopped("timeout", "the time was over while the code slept")

    @staticmethod
    def _violate(_store: object, what: str) -> None:
        raise Stopped("violation", what[:_REASON_LENGTH])

    def link(self, engine: wasmtime.Engine, guest: component.Component) -> component.Linker:
        """Return a linker: the functions below, and a trap for every other import."""
        given: dict[str, dict[str, Callable[..., Any]]] = {
            "wasi:cli/environment": {
                "get-environment": lambda _store: [],
                "get-arguments": lambda _store: [],
                "initial-cwd": lambda _store: None,
            },
            "wasi:filesystem/preopens": {"get-directories": lambda _store: []},
            "wasi:random/random": {
                "get-random-bytes": lambda _store, count: self._random.randbytes(count),
                "get-random-u64": lambda _store: self._random.getrandbits(64),
            },
            "wasi:clocks/monotonic-clock": {
                "now": lambda _store: time.monotonic_ns(),
                "resolution": lambda _store: 1,
            },
            "wasi:clocks/wall-clock": {
                "now": lambda _store: _wall_clock(time.time_ns() + self._clock_offset_ns),
                "resolution": lambda _store: _wall_clock(1),
            },
        }
        linker = component.Linker(engine)
        linker.allow_shadowing = True
        linker.define_unknown_imports_as_traps(guest)
        with linker.root() as root:
            root.add_func("emit", lambda _store, stream, text: self._emit(stream, text))
            root.add_func("sleep", self._sleep)
            root.add_func("call", lambda _store, name, text: self._call(name, text))
            root.add_func("violate", self._violate)
            for name in guest.type.imports(engine):
                functions = given.get(name.partition("@")[0])
                if functions:
                    with root.add_instance(name) as instance:
                        for function_name, function in functions.items():
                            instance.add_func(function_name, function)
        return linker


def _wall_clock(nanoseconds: int) -> SimpleNamespace:
    return SimpleNamespace(seconds=nanoseconds // 10**9, nanoseconds=nanoseconds % 10**9)


class Resident:
    """What this process holds, as the kernel counts it; read before each run, so cheaply."""

    def __init__(self) -> None:
        self._statm: int | None = None
        with contextlib.suppress(OSError):  # a kernel without /proc
            self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def bytes(self) -> int:
        """Return what it holds now; without /proc, what it held at most."""
        if self._statm is None:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(os.pread(self._statm, 128, 0).split()[1]) * _PAGE_BYTES


class Guest:
    """One instance of the guest: one Python interpreter. After ``Stopped`` it must be dropped."""

    def __init__(
        self,
        engine: wasmtime.Engine,
        linker: component.Linker,
        guest: component.Component,
        memory_bytes: int,
        resident: Resident,
        *,
        source: random.Random,
    ) -> None:
        """``source``: the instance's own random bytes; ``Walls`` must give them already."""
        self.random = source
        self._memory_bytes = memory_bytes
        self._resident = resident
        self._resident_before = 0
        self._store = wasmtime.Store(engine)
        self._store.set_limits(memory_size=memory_bytes)
        self._store.set_epoch_deadline(1 << 62)
        instance = linker.instantiate(self._store, guest)
        self._run = _function(instance, self._store, "run")
        self.python_version = str(_function(instance, self._store, "prepare")(self._store))

    def warm_up(self, request: str) -> None:
        """Run a cell that does nothing: what each run touches is in memory for the first real one.

        Before ``arm``, and without a result: whatever fails here fails again where it is told.
        """
        with contextlib.suppress(wasmtime.WasmtimeError, wasmtime.Trap):
            self._run(self._store, request)

    def arm(self) -> None:
        """Make the engine's next epoch end what this instance is running."""
        self._store.set_epoch_deadline(1)

    def close(self) -> None:
        """Give the instance's memory back at once, whoever still refers to it."""
        self._store.close()

    def run(self, request: str) -> str:
        """Run one cell. Raises ``Stopped`` where the walls ended it."""
        self._resident_before = self._resident.bytes()
        try:
            return str(self._run(self._store, request))
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            raise self._stopped(str(error)) from error

    def _stopped(self, trap: str) -> Stopped:
        unknown = _UNKNOWN_IMPORT.search(trap)
        if unknown:
            name = re.sub(r"@[0-9.]+", "", unknown[1])
            if name.startswith("wasi:cli/exit"):
                return Stopped("lost", "the code ended its own interpreter")
            return Stopped("violation", f"the code reached for {name}, which the walls do not give")
        if "wasm trap: interrupt" in trap:
            return Stopped("timeout", "the time was over")
        if "call stack exhausted" in trap:
            return Stopped("memory", "the stack was exhausted")
        # CPython says MemoryError by itself; what is left are crashes of its C code, and only how
        # much this run has grown tells whether memory was the cause.
        grown = self._resident.bytes() - self._resident_before
        if grown > self._memory_bytes // 2 + _OWN_BYTES:
            return Stopped("memory", "the memory was exhausted")
        last = trap.strip().rpartition("\n")[2].strip()
        return Stopped("lost", f"the interpreter crashed: {last}")


def _function(instance: component.Instance, store: wasmtime.Store, name: str) -> component.Func:
    """Return an export that knows its type; a ``Func`` asks the engine for it at each call."""
    function = instance.get_func(store, name)
    if function is None:
        raise RuntimeError(f"the guest has no export {name!r}")
    read = function.type(store)
    known = SimpleNamespace(params=read.params, result=read.result)
    function.type = lambda _store: known
    return function
