"""Code that means harm, or does it anyway: each ends with the right reason, and the next run works.

The failures of other sandboxes that gave rise to these are listed in docs/sandbox.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import pytest

from agentkit.sandbox import Execution, ExitReason, Limits, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

RunCells: TypeAlias = "Callable[..., list[Execution]]"

OK, ERROR, TIMEOUT = ExitReason.OK, ExitReason.ERROR, ExitReason.TIMEOUT
MEMORY, OUTPUT = ExitReason.MEMORY, ExitReason.OUTPUT
VIOLATION, LOST = ExitReason.VIOLATION, ExitReason.LOST

LIMITS = Limits(timeout_s=2.0, memory_mib=128, processes=16)

REDOS = "import re; re.match('(a+)+$', 'a' * 40 + 'b')"
RECURSION = "def f(n): return f(n + 1)\nf(0)"
C_RECURSION = "import sys; sys.setrecursionlimit(10 ** 6)\ndef f(n): return f(n + 1)\nf(0)"
JSON_RECURSION = "import json; json.loads('[' * 100_000)"
BIG_POWER = "x = 9 ** 9 ** 9"
SWALLOW = "while True:\n    try:\n        while True: pass\n    except BaseException: pass"
DUNDER = (
    "c = [k for k in ().__class__.__base__.__subclasses__() if k.__name__ == '_wrap_close']\n"
    "c[0].__init__.__globals__['system']('id > pwned.txt')"
)
BAD_ERROR = (
    "class E(Exception):\n    def __str__(self): raise SystemExit\n    __repr__ = __str__\nraise E"
)
NETWORK = "import socket; socket.create_connection(('1.1.1.1', 80), 1)"
RESOLVE = "import socket; socket.getaddrinfo('example.org', 80)"
METADATA = "import urllib.request as u; u.urlopen('http://169.254.169.254/', timeout=1)"
CLOSE_ALL = "import os; os.closerange(0, 4096); print('gone')"
EXIT = "import os; os._exit(7)"
ABORT = "import os; os.abort()"
SELF_KILL = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
SYSTEM = "import os; os.system('id')"
FORK_BOMB = "import os\nwhile True: os.fork()"
THREADS = (
    "import threading, time\n"
    "while True: threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"
)
EXCEPTHOOK = "import sys; sys.stdout = sys.stderr = None; 1 / 0"
BUILTINS = "import builtins; builtins.exec = builtins.print = builtins.compile = None; 1"
CTYPES = "import ctypes; ctypes.string_at(0)"
PASSWD = "open('/etc/shadow').read()"
FRAME = "import os; [os.write(fd, b'\\0\\0\\0\\2{}') for fd in range(3, 64)]"
KILL_FIRST = (
    "import os\nfor number in range(1, 65):\n    try: os.kill(1, number)\n    except OSError: pass"
)
FORGED_FILES = (
    "import json\nfiles = json.dumps(dict.fromkeys(range(65), ''))\n"
    'json.dumps = lambda *a, **k: \'{"exit": "ok", "artifacts": %s}\' % files'
)
NOEXEC = (
    "import os, shutil\nshutil.copy('/bin/true', 't')\nos.chmod('t', 0o755)\nos.execv('t', ['t'])"
)

WASM = [
    ("redos", REDOS, {TIMEOUT}),
    ("recursion", RECURSION, {ERROR}),
    ("unlimited recursion", C_RECURSION, {TIMEOUT, MEMORY}),
    ("recursion in C", JSON_RECURSION, {MEMORY, ERROR}),
    ("big power", BIG_POWER, {TIMEOUT, MEMORY}),
    ("loop that catches all", SWALLOW, {TIMEOUT}),
    ("dunder escape", DUNDER, {ERROR}),
    ("error that breaks printing", BAD_ERROR, {ERROR}),
    ("network", NETWORK, {VIOLATION, ERROR}),
    ("name resolution", RESOLVE, {VIOLATION, ERROR}),
    ("metadata service", METADATA, {VIOLATION, ERROR}),
    ("close all", CLOSE_ALL, {OK, ERROR, VIOLATION}),
    ("exit", EXIT, {LOST}),
    ("abort", ABORT, {LOST}),
    ("kill itself", SELF_KILL, {ERROR}),
    ("system", SYSTEM, {ERROR}),
    ("fork bomb", FORK_BOMB, {ERROR}),
    ("threads", THREADS, {ERROR}),
    ("no streams", EXCEPTHOOK, {ERROR}),
    ("no builtins", BUILTINS, {OK}),
    ("ctypes", CTYPES, {ERROR}),
    ("passwd", "open('/etc/passwd').read()", {ERROR}),
    ("raw open", "import os; os.open('/etc/passwd', 0)", {ERROR}),
    ("frames into descriptors", FRAME, {ERROR, VIOLATION}),
    (
        "host functions",
        "import wit_world; wit_world.emit(9, 'x'); wit_world.sleep(2 ** 63)",
        {TIMEOUT},
    ),
    ("wit flood", "import wit_world\nwhile True: wit_world.emit(1, 'x' * 99999)", {OUTPUT}),
    ("forged reply", 'import json; json.dumps = lambda *a, **k: \'{"exit": "lost"}\'', {VIOLATION}),
    ("forged files", FORGED_FILES, {VIOLATION}),
    ("unreadable reply", "import json; json.dumps = lambda *a, **k: '[' * 99999", {VIOLATION}),
    ("huge reply", "import json; json.dumps = lambda *a, **k: 'x' * (40 << 20)", {OUTPUT}),
    ("reply of no type", "import json; json.dumps = lambda *a, **k: 3", {LOST, VIOLATION}),
]

DOCKER = [
    ("redos", REDOS, {TIMEOUT}),
    ("recursion", RECURSION, {ERROR}),
    ("unlimited recursion", C_RECURSION, {TIMEOUT, MEMORY}),
    ("recursion in C", JSON_RECURSION, {ERROR}),
    ("big power", BIG_POWER, {TIMEOUT, MEMORY}),
    ("loop that catches all", SWALLOW, {TIMEOUT}),
    ("dunder escape", DUNDER, {OK, ERROR}),
    ("error that breaks printing", BAD_ERROR, {ERROR}),
    ("network", NETWORK, {ERROR}),
    ("name resolution", RESOLVE, {ERROR}),
    ("metadata service", METADATA, {ERROR}),
    ("close all", CLOSE_ALL, {LOST}),
    ("exit", EXIT, {LOST}),
    ("abort", ABORT, {LOST}),
    ("kill itself", SELF_KILL, {LOST}),
    ("fork bomb", FORK_BOMB, {ERROR, TIMEOUT, LOST}),
    (
        "fork bomb of the shell",
        "import os; os.system('f(){ f|f& };f; sleep 60')",
        {OK, TIMEOUT, LOST},
    ),
    ("threads", THREADS, {ERROR, TIMEOUT, MEMORY}),
    ("no streams", EXCEPTHOOK, {ERROR}),
    ("no builtins", BUILTINS, {OK}),
    ("ctypes", CTYPES, {LOST, ERROR}),
    ("shadow", PASSWD, {ERROR}),
    ("frames into descriptors", FRAME, {ERROR, VIOLATION}),
    ("forged frame", "import os; os.write(11, b'\\0\\0\\0\\2{}')", {VIOLATION}),
    ("forged length", "import os; os.write(11, b'\\xff' * 8)", {VIOLATION}),
    ("kill process 1", KILL_FIRST, {OK}),
    ("realtime signal", "import os; os.kill(os.getpid(), 40)", {LOST}),
    ("kill all", "import os; os.kill(-1, 9)", {OK, ERROR, LOST}),
    ("memory of process 1", "open('/proc/1/mem', 'rb')", {ERROR}),
    ("streams of process 1", "import os; os.open('/proc/1/fd/1', os.O_WRONLY)", {ERROR}),
    ("list streams of process 1", "import os; os.listdir('/proc/1/fd')", {ERROR}),
    ("write to the root", "open('/usr/x', 'w')", {ERROR}),
    ("write to the runner", "open('/opt/agentkit-sandbox/agentkit/sandbox/cell.py', 'w')", {ERROR}),
    ("remount", "import os; assert os.system('mount -o remount,rw /') == 0", {ERROR}),
    (
        "no programs in tmpfs",
        NOEXEC,
        {ERROR},
    ),
    (
        "children outlive",
        "import subprocess; subprocess.Popen(['sh', '-c', 'setsid sleep 99 &']); 1",
        {OK},
    ),
    (
        "many processes of memory",
        "import os\nfor _ in range(8): os.fork()\nx = ['%d' % i * 999 for i in range(10 ** 6)]",
        {MEMORY, TIMEOUT, ERROR, LOST},
    ),
    ("fill the disk", "open('x', 'wb').write(b'x' * (64 << 20))", {ERROR}),
    ("many files", "for i in range(10 ** 6): open(str(i), 'w')", {ERROR}),
    ("deep folders", "import os\nwhile True: os.mkdir('d'); os.chdir('d')", {ERROR}),
    ("stop itself", "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)", {TIMEOUT}),
    ("traced", "import sys; sys.settrace(lambda *a: 1 / 0); 1", {ERROR, OK}),
]


def _hold(
    run_cells: RunCells, sandbox: Sandbox, cases: list[tuple[str, str, set[ExitReason]]]
) -> None:
    """Run all cases in one session, each followed by an innocent one."""
    codes: list[str | None] = []
    for _, code, _ in cases:
        codes += [code, "print('alive'); 1 + 1", None]
    executions = run_cells(sandbox, *codes, limits=LIMITS)
    wrong = []
    for (name, _, wanted), hit, after in zip(cases, executions[::2], executions[1::2], strict=True):
        if hit.exit_reason not in wanted:
            wrong.append((name, hit.exit_reason, hit.error))
        if hit.usage.wall_s > LIMITS.timeout_s + 1:
            wrong.append((name, "took", hit.usage.wall_s))
        if name != "no builtins" and (after.value, after.stdout) != (2, "alive\n"):
            wrong.append((name, "next run", after))
        if hit.exit_reason is not OK and not hit.error:
            wrong.append((name, "no reason given", hit))
    assert wrong == []


def test_wasm_stands_and_says_what_happened(wasm: Sandbox, run_cells: RunCells) -> None:
    _hold(run_cells, wasm, WASM)


@pytest.mark.docker
def test_docker_stands_and_says_what_happened(docker_sandbox: Sandbox, run_cells: RunCells) -> None:
    _hold(run_cells, docker_sandbox, DOCKER)


@pytest.mark.docker
def test_links_and_odd_files_are_no_artifacts(docker_sandbox: Sandbox, run_cells: RunCells) -> None:
    code = (
        "import os\n"
        "os.symlink('/etc/passwd', 'passwd.txt')\n"
        "os.symlink('/proc/1/environ', 'environ.txt')\n"
        "os.symlink('/etc', 'etc')\n"
        "os.makedirs('sub/dir'); open('sub/dir/fine.json', 'w').write('{}')\n"
        "open('bad\\nname', 'w').write('x')\n"
    )
    (execution,) = run_cells(docker_sandbox, code)
    assert [(a.name, a.media_type) for a in execution.artifacts] == [
        ("sub/dir/fine.json", "application/json")
    ]
    assert execution.exit_reason is OUTPUT
    assert "badly named" in execution.error
