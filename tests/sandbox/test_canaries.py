"""The canaries do sing: the same signs, touched by code that runs without any wall."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from agentkit.sandbox import Execution, ExitReason
from tests.sandbox.payload_set import Canaries, Payload, planted_canaries

if TYPE_CHECKING:
    from pathlib import Path

ESCAPES = {
    "file secret read": "print(open('{{file}}').read())",
    "env secret read": "import os; print(os.environ['{{env}}'])",
    "canary file changed": "open('{{file}}', 'a').write('x')",
    "file made on the host": "open('{{dir}}/escaped', 'w').write('x')",
    "reached the host's loopback": (
        "import socket\nsocket.create_connection(('127.0.0.1', {{port}}))\n"
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {{port}}))\n"
        "import time; time.sleep(0.5)"
    ),
}


def run_without_walls(code: str, canaries: Canaries) -> list[str]:
    planted = canaries.planted(Payload("escape", "escape", code, "", {}))
    done = subprocess.run(
        [sys.executable, "-c", planted], capture_output=True, text=True, check=True, timeout=60
    )
    return canaries.touched(Execution(ExitReason.OK, done.stdout, done.stderr))


@pytest.mark.parametrize(("sign", "code"), ESCAPES.items())
def test_each_kind_of_escape_is_noticed(sign: str, code: str, tmp_path: Path) -> None:
    with planted_canaries(tmp_path) as canaries:
        signs = run_without_walls(code, canaries)
    assert len(signs) == 1
    assert signs[0].startswith(sign)


def test_innocent_code_touches_nothing(tmp_path: Path) -> None:
    with planted_canaries(tmp_path) as canaries:
        assert run_without_walls("print('hello')", canaries) == []
