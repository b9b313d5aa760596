"""What Python code reaches for, by name: the tables of the code scan.

Denied is only what the sandbox forbids anyway (processes, network, native code) and what has no
use but to leave it (walks over dunder attributes, frames). Everything else is noted.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BUILT_STRING_CALLS",
    "DENIED_ATTRIBUTES",
    "DENIED_MEMBERS",
    "DENIED_MODULES",
    "DENIED_NAMES",
    "NOTED_MODULES",
]


def _by_member(groups: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(
        {member: category for category, members in groups.items() for member in members.split()}
    )


DENIED_MODULES = _by_member(
    {
        "code.process": "subprocess pty posix _posixsubprocess multiprocessing signal nt",
        "code.network": (
            "socket _socket ssl ftplib smtplib poplib imaplib nntplib telnetlib socketserver "
            "xmlrpc requests httpx aiohttp urllib3 websockets websocket paramiko grpc pycurl "
            "urllib.request http.client http.server multiprocessing.connection"
        ),
        "code.native": "ctypes _ctypes cffi _cffi_backend mmap fcntl resource termios",
        "code.interpreter": (
            "builtins importlib imp runpy code codeop gc inspect pdb bdb sysconfig site zipimport "
            "pkgutil faulthandler _thread _imp _frozen_importlib"
        ),
    }
)
"""Module (or dotted submodule) → why it is denied."""

NOTED_MODULES = _by_member(
    {
        "code.os": "os sys platform",
        "code.files": "pathlib shutil tempfile glob fileinput",
        "code.deserialise": "pickle marshal shelve dill cloudpickle joblib",
        "code.concurrency": "threading asyncio concurrent",
    }
)
"""Module → category that is noted and allowed."""

DENIED_MEMBERS = MappingProxyType(
    {
        "os": _by_member(
            {
                "code.process": (
                    "system popen fork forkpty kill killpg abort _exit posix_spawn posix_spawnp "
                    "execl execle execlp execlpe execv execve execvp execvpe spawnl spawnle "
                    "spawnlp spawnlpe spawnv spawnve spawnvp spawnvpe startfile pidfd_open setuid "
                    "setgid chroot ptrace register_at_fork"
                )
            }
        ),
        "sys": _by_member(
            {
                "code.interpreter": (
                    "modules meta_path path_hooks settrace setprofile _getframe "
                    "_current_frames addaudithook setrecursionlimit"
                )
            }
        ),
        "asyncio": _by_member(
            {
                "code.process": "create_subprocess_exec create_subprocess_shell subprocess",
                "code.network": (
                    "open_connection start_server open_unix_connection start_unix_server"
                ),
            }
        ),
        "concurrent.futures": _by_member({"code.process": "ProcessPoolExecutor"}),
        "urllib": _by_member({"code.network": "request"}),
        "http": _by_member({"code.network": "client server"}),
    }
)
"""Module → member → why that member is denied."""

_INSIDES = (
    "__subclasses__ __globals__ __builtins__ __bases__ __base__ __mro__ mro __code__ __closure__ "
    "__getattribute__ __reduce__ __reduce_ex__ __loader__ __spec__ __import__ __self__ __func__ "
    "__subclasshook__ f_globals f_locals f_back f_builtins f_code gi_frame gi_code cr_frame "
    "cr_code ag_frame ag_code tb_frame co_code co_consts"
)
DENIED_ATTRIBUTES = frozenset(_INSIDES.split(" "))
"""Attributes that lead from an object to the interpreter's insides."""

DENIED_NAMES = frozenset({"__builtins__", "__loader__", "__spec__", "__import__", "breakpoint"})
"""Names that stand for the interpreter itself."""

BUILT_STRING_CALLS = frozenset({"eval", "exec", "compile"})
"""Built-ins that run text: allowed for written-out text, which is then scanned too."""
