"""The hostile payloads, and the canaries by which an escape would be noticed.

Each file of ``payloads/`` is one class. A payload names the exit reasons that are right for it, by
tier, and the sign by which an escape would show. Placeholders in its code, filled in here:
``{{file}}`` a readable file of the host with a secret in it, ``{{dir}}`` its directory,
``{{port}}`` a loopback port that counts connections and datagrams, ``{{env}}`` a variable of the
host's environment with a secret, ``{{pid}}`` the host process, which holds a secret in its memory.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ruamel.yaml import YAML

from agentkit.sandbox import ExitReason, Limits, Tier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentkit.sandbox import Execution

FOLDER = Path(__file__).parent / "payloads"
CLASSES = (
    "container_escape",
    "privilege_escalation",
    "reflected_attack",
    "post_exploitation",
    "resource_exhaustion",
)
_ENV = "AGENTKIT_TEST_CANARY"
LIMITS = Limits(timeout_s=1.0, memory_mib=128, processes=16)
GRACE_S = 1.0


@dataclass(frozen=True)
class Payload:
    """One piece of hostile code and what may become of it."""

    kind: str
    name: str
    code: str
    sign: str
    allowed: dict[Tier, frozenset[ExitReason]]

    def faults(self, hit: Execution, tier: Tier) -> list[str]:
        """Return what is wrong with how a run under ``LIMITS`` ended; empty where nothing is."""
        signs = []
        if hit.exit_reason not in self.allowed[tier]:
            signs.append(f"ended as {hit.exit_reason}: {hit.error}; {hit.value!r:.200}")
        if hit.exit_reason is not ExitReason.OK and not hit.error:
            signs.append("no reason was given")
        if hit.usage.wall_s > LIMITS.timeout_s + GRACE_S:
            signs.append(f"took {hit.usage.wall_s} s")
        if len(hit.stdout) + len(hit.stderr) > LIMITS.output_bytes:
            signs.append("output over its limit")
        return signs


def payloads_of(kind: str, *files: Path) -> list[Payload]:
    """Return the payloads of one class; ``files``: others than the shared one, of the same form."""
    found = []
    for path in files or (FOLDER / f"{kind}.yaml",):
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        for item in content["payloads"]:
            allowed = {**content["allowed"], **item.get("allowed", {})}
            reasons = {
                Tier(tier): frozenset(ExitReason(name) for name in names)
                for tier, names in allowed.items()
            }
            sign = item.get("sign", content["sign"])
            found.append(Payload(kind, item["id"], item["code"], sign, reasons))
    return found


class Canaries:
    """Secrets and doors of the host that no payload may touch."""

    def __init__(self, folder: Path, port: int, knocks: list[str]) -> None:
        self.folder = folder
        self.file = folder / "canary.txt"
        signs = ("file", "env", "memory")
        self._tokens = {sign: f"canary-{secrets.token_hex(12)}" for sign in signs}
        self._port = port
        self._knocks = knocks
        self.file.write_text(self._tokens["file"] + "\n", encoding="utf-8")
        os.environ[_ENV] = self._tokens["env"]

    def planted(self, payload: Payload) -> str:
        """Return the payload's code with the canaries' places filled in."""
        code = payload.code
        places = {
            "file": self.file, "dir": self.folder, "port": self._port, "env": _ENV,
            "pid": os.getpid(),
        }  # fmt: skip
        for name, place in places.items():
            code = code.replace("{{" + name + "}}", str(place))
        return code

    def touched(self, execution: Execution) -> list[str]:
        """Return the signs of an escape after a run; empty where all canaries are as they were."""
        seen = "".join(
            [execution.stdout, execution.stderr, execution.error, repr(execution.value)]
            + [a.name + a.data.decode("utf-8", "replace") for a in execution.artifacts]
        )
        signs = [f"{sign} secret read" for sign, token in self._tokens.items() if token in seen]
        if self.file.read_text(encoding="utf-8") != self._tokens["file"] + "\n":
            signs.append("canary file changed")
        if sorted(path.name for path in self.folder.iterdir()) != ["canary.txt"]:
            signs.append("file made on the host")
        if self._knocks:
            signs.append(f"reached the host's loopback: {self._knocks}")
        return signs


@contextmanager
def planted_canaries(folder: Path) -> Iterator[Canaries]:
    """Plant the canaries and listen; on leaving take them away again."""
    knocks: list[str] = []
    with (
        socket.create_server(("127.0.0.1", 0)) as stream,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
    ):
        port = stream.getsockname()[1]
        datagrams.bind(("127.0.0.1", port))
        for door in (stream, datagrams):
            door.settimeout(0.05)
        over = threading.Event()
        listener = threading.Thread(target=_listen, args=(stream, datagrams, knocks, over))
        listener.start()
        try:
            yield Canaries(folder, port, knocks)
        finally:
            over.set()
            listener.join()
            os.environ.pop(_ENV, None)


def _listen(
    stream: socket.socket, datagrams: socket.socket, knocks: list[str], over: threading.Event
) -> None:
    while not over.is_set():
        try:
            connection, _ = stream.accept()
            connection.close()
            knocks.append("connection")
        except TimeoutError:
            pass
        try:
            datagrams.recv(64)
            knocks.append("datagram")
        except TimeoutError:
            pass
