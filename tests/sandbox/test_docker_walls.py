"""Each wall of the container, as the engine states it and as code inside meets it."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import anyio.to_thread
import docker
import pytest

from agentkit.sandbox import Execution, ExitReason, Limits, Sandbox
from agentkit.sandbox.docker import walls
from agentkit.sandbox.docker.processes import standing

if TYPE_CHECKING:
    from collections.abc import Callable

RunCells: TypeAlias = "Callable[..., list[Execution]]"

pytestmark = pytest.mark.docker


def _inspect(container: str) -> dict[str, Any]:
    client = docker.from_env()
    try:
        return dict(client.api.inspect_container(container))
    finally:
        client.close()


def test_the_engine_states_every_wall(docker_sandbox: Sandbox) -> None:
    async def main() -> dict[str, Any]:
        async with docker_sandbox.session() as session:
            container = session._worker.container_id  # type: ignore[attr-defined]  # behind the protocol
            return await anyio.to_thread.run_sync(_inspect, container)

    found = anyio.run(main)
    host = found["HostConfig"]
    assert host["NetworkMode"] == "none"
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert not host["Privileged"]
    assert host["ReadonlyRootfs"]
    assert host["Memory"] == host["MemorySwap"] > 0
    assert host["PidsLimit"] == 66
    assert host["CpuQuota"] > 0
    assert host["IpcMode"] == "private"
    assert host["CgroupnsMode"] == "private"
    assert host["PidMode"] == host["UTSMode"] == ""
    assert host["AutoRemove"]
    assert not host["Binds"]
    assert not host["Devices"]
    assert found["Mounts"] == []
    assert found["Config"]["User"] == "65534:65534"
    assert found["Image"].startswith("sha256:")
    assert found["Config"]["Image"] == found["Image"], "started by digest, never by a tag"
    assert any(option.startswith("no-new-privileges") for option in host["SecurityOpt"])
    assert any("SCMP_ACT_ERRNO" in option for option in host["SecurityOpt"])
    limits = {limit["Name"]: limit["Hard"] for limit in host["Ulimits"]}
    assert limits == {"fsize": 16 << 20, "nofile": 256, "core": 0, "sigpending": 1024,
                      "msgqueue": 0, "memlock": 0}  # fmt: skip
    for mount, options in host["Tmpfs"].items():
        assert {"noexec", "nosuid", "nodev"} <= set(options.split(",")), mount
        assert "size=" in options


SYSTEM_CALLS = {
    "ptrace": 101, "mount": 165, "umount2": 166, "unshare": 272, "setns": 308, "bpf": 321,
    "keyctl": 250, "add_key": 248, "request_key": 249, "userfaultfd": 323, "io_uring_setup": 425,
    "io_uring_enter": 426, "io_uring_register": 427, "perf_event_open": 298, "kexec_load": 246,
    "kexec_file_load": 320, "reboot": 169, "swapon": 167, "swapoff": 168, "chroot": 161,
    "process_vm_readv": 310, "process_vm_writev": 311, "pivot_root": 155, "init_module": 175,
    "finit_module": 313, "delete_module": 176, "open_by_handle_at": 304, "name_to_handle_at": 303,
    "syslog": 103, "acct": 163, "settimeofday": 164, "quotactl": 179, "memfd_create": 319,
    "execveat": 322, "vmsplice": 278, "splice": 275, "tee": 276, "msgget": 68, "semget": 64,
    "shmget": 29, "mq_open": 240, "pidfd_getfd": 438, "mknod": 133, "mknodat": 259,
    "modify_ldt": 154, "fanotify_init": 300, "seccomp": 317, "move_mount": 429, "fsopen": 430,
    "fsconfig": 431, "fsmount": 432, "fspick": 433, "open_tree": 428, "mount_setattr": 442,
    "kcmp": 312, "iopl": 172, "ioperm": 173, "sethostname": 170, "setdomainname": 171,
    "clock_settime": 227, "clock_adjtime": 305, "adjtimex": 159, "vhangup": 153, "uselib": 134,
    "ustat": 136, "sysfs": 139, "nfsservctl": 180, "lookup_dcookie": 212, "migrate_pages": 256,
    "move_pages": 279, "mbind": 237, "set_mempolicy": 238, "remap_file_pages": 216,
    "memfd_secret": 447, "process_madvise": 440, "landlock_create_ruleset": 444,
    "pkey_alloc": 330, "mincore": 27, "mlockall": 151, "get_kernel_syms": 177,
    "query_module": 178, "create_module": 174, "io_setup": 206,
}  # fmt: skip
NAMESPACES = {
    "mount": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000,
    "user": 0x10000000, "pid": 0x20000000, "net": 0x40000000,
}  # fmt: skip
SOCKETS = {"netlink": 16, "packet": 17, "alg": 38, "vsock": 40, "bluetooth": 31, "xdp": 44,
           "can": 29, "tipc": 30, "key": 15}  # fmt: skip
TRY_THEM = f"""
import ctypes, errno, platform
libc = ctypes.CDLL(None, use_errno=True)

def call(*args):
    ctypes.set_errno(0)
    return libc.syscall(*map(ctypes.c_long, args)), ctypes.get_errno()

DENIED = (-1, errno.EPERM)
let = [n for n, k in {SYSTEM_CALLS!r}.items() if call(k, 0, 0, 0, 0, 0) != DENIED]
for name, flag in {NAMESPACES!r}.items():
    let += [f'clone {{name}}'] * (call(56, flag | 17, 0, 0, 0, 0) != DENIED)
    let += [f'clone {{name}} high'] * (call(56, 1 << 32 | flag | 17, 0, 0, 0, 0) != DENIED)
    let += [f'unshare {{name}}'] * (call(272, flag) != DENIED)
let += ['clone3'] * (call(435, 0, 0) != (-1, errno.ENOSYS))
for name, family in {SOCKETS!r}.items():
    let += [f'socket {{name}}'] * (call(41, family, 3, 0) != DENIED)
for request in (0x5412, 0x541C, 0x5414, 0x40049409, 0x6601, 0x8905, 0x8933):
    for high in (0, 1 << 32, -1 << 32):  # the kernel reads the low half only
        let += [f'ioctl {{request:x}} {{high:x}}'] * (call(16, 0, request | high, 0) != DENIED)
let += ['personality'] * (call(135, 0x0040000) != DENIED)
[platform.machine(), let]
"""


def test_each_forbidden_system_call_is_tried_and_refused(
    docker_sandbox: Sandbox, run_cells: RunCells
) -> None:
    (execution,) = run_cells(docker_sandbox, TRY_THEM)
    assert execution.ok, execution
    assert execution.value == ["x86_64", []], "the numbers above are of x86_64"


# mov eax, 20; int 0x80; ret: the 32-bit gate, where other numbers mean other calls
OLD_GATE = (
    "import ctypes, mmap\n"
    "page = mmap.mmap(-1, 4096, prot=7)\n"
    "page.write(bytes.fromhex('b814000000cd80c3'))\n"
    "ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()"
)
X32 = "import ctypes; ctypes.CDLL(None).syscall(ctypes.c_long(0x40000000 | 101), 0, 0, 0)"


@pytest.mark.parametrize("code", [OLD_GATE, X32], ids=["int 0x80", "x32"])
def test_other_calling_conventions_end_the_code(
    docker_sandbox: Sandbox, run_cells: RunCells, code: str
) -> None:
    hit, after = run_cells(docker_sandbox, code, "1 + 1")
    assert hit.exit_reason is ExitReason.VIOLATION
    assert "system call" in hit.error
    assert after.value == 2


def test_a_message_queue_cannot_carry_state_over_a_reset(
    docker_sandbox: Sandbox, run_cells: RunCells
) -> None:
    (execution,) = run_cells(docker_sandbox, "open('/dev/mqueue/q', 'w')")
    assert "Read-only file system" in execution.error


def test_what_is_seen_from_inside(docker_sandbox: Sandbox, run_cells: RunCells) -> None:
    code = (
        "import os\n"
        "status = dict(line.split(':\\t', 1) for line in open('/proc/self/status'))\n"
        "mounts = [line.split()[:4] for line in open('/proc/self/mounts')]\n"
        "privileged = [os.path.join(r, f) for r, _, fs in os.walk('/usr') for f in fs\n"
        "  if os.lstat(os.path.join(r, f)).st_mode & 0o6000]\n"
        "[{k: status[k].split() for k in ('Uid', 'CapBnd', 'CapEff', 'NoNewPrivs', 'Seccomp')},\n"
        " [m[1] for m in mounts if 'rw' in m[3].split(',') and m[2] == 'tmpfs'],\n"
        " os.listdir('/sys/class/net'), open('/proc/self/cgroup').read(), privileged,\n"
        " os.path.exists('/var/run/docker.sock'), sorted(os.environ)]"
    )
    (execution,) = run_cells(docker_sandbox, code)
    assert isinstance(execution.value, list), execution
    status, writable, interfaces, groups, privileged, engine, names = execution.value
    none = ["0000000000000000"]
    assert status == {"Uid": ["65534"] * 4, "CapBnd": none, "CapEff": none, "NoNewPrivs": ["1"],
                      "Seccomp": ["2"]}  # fmt: skip
    assert {"/work", "/tmp", "/dev/shm"} <= set(writable)  # noqa: S108  the container's own
    assert interfaces == ["lo"]
    assert "docker" not in groups
    assert privileged == []
    assert engine is False
    assert not [name for name in names if "KEY" in name or "TOKEN" in name]


def test_the_profile_is_a_list_of_what_is_allowed() -> None:
    profile = json.loads((Path(walls.__file__).parent / "seccomp.json").read_text("utf-8"))
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    for rule in profile["syscalls"]:
        assert rule["action"] in {"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"}
        for argument in rule.get("args", ()):
            assert argument["op"] in {"SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"}, rule


def test_limits_reach_the_engine() -> None:
    options = walls.host_options(Limits(memory_mib=100, processes=7), 0.5, None)
    assert options["pids_limit"] == 9
    assert options["cpu_quota"] * 2 == options["cpu_period"]
    assert options["mem_limit"] == options["memswap_limit"]


MARKS = """
import os, resource
refused = []
for change in (
    lambda: resource.prlimit(1, resource.RLIMIT_FSIZE, (10, 10)),
    lambda: os.setpriority(os.PRIO_PROCESS, 1, 19),
    lambda: os.setpriority(os.PRIO_USER, 0, 19),
    lambda: os.sched_setaffinity(1, {0}),
):
    try: change()
    except PermissionError: refused.append(True)
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
os.setpriority(os.PRIO_PROCESS, 0, 5)
os.sched_setaffinity(0, os.sched_getaffinity(0))
resource.prlimit(1, resource.RLIMIT_NOFILE)
for directory in ('/work', '/tmp'):
    os.utime(directory, ns=(12345, 12345))
    os.chmod(directory, 0o500)
len(refused)
"""
LOOK = """
import os, resource
open('/work/a', 'w').close(), open('/tmp/b', 'w').close()
[resource.getrlimit(resource.RLIMIT_NOFILE)[0], os.getpriority(os.PRIO_PROCESS, 0),
 [oct(os.stat(d).st_mode & 0o7777) for d in ('/work', '/tmp', '/dev/shm')],
 any(os.stat(d).st_atime_ns == 12345 for d in ('/work', '/tmp'))]
"""


def test_a_reset_container_is_as_it_was_at_its_start(
    docker_sandbox: Sandbox, run_cells: RunCells
) -> None:
    before, marked, after = run_cells(docker_sandbox, LOOK, MARKS, None, LOOK)
    assert marked.value == 4, marked
    assert before.ok
    assert after.value == before.value


def test_what_interpreters_inherit_of_the_runner_is_compared() -> None:
    before = standing()
    assert standing() == before
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0 if soft else 1, hard))
    try:
        assert standing() != before
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
