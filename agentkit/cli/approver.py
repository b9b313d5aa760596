"""Asking the person at the terminal.

What is covered: the question goes to the controlling terminal itself, so nothing that is piped
into the command can answer it; what was typed before the question appeared is thrown away; hidden
characters in arguments are written out; anything but a plain yes is a no; without a terminal, or
in the background, the answer is no. There is no option that says yes in advance.

What is not covered: who sits at the terminal. The name given is the operating system's, or the
operator's word (``--approver``).
"""

from __future__ import annotations

import os
import pwd
import select
import termios
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio.to_thread

from agentkit.cli.untrusted import clean, spelled
from agentkit.planner import Approval

if TYPE_CHECKING:
    from agentkit.planner import ApprovalRequest

__all__ = ["TerminalApprover", "os_user"]

_TERMINAL = "/dev/tty"
_POLL_S = 0.2
_ATTEMPTS = 3
_ANSWER_BYTES = 1024
_YES = frozenset({"y", "yes"})
_NO = frozenset({"", "n", "no"})


def os_user() -> str:
    """Return the name of the user whose rights this process has; environment variables may lie."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


@dataclass(frozen=True, slots=True)
class TerminalApprover:
    """An approver that asks on the controlling terminal. ``name``: whose answers they are."""

    name: str
    terminal: str = _TERMINAL

    async def decide(self, request: ApprovalRequest) -> Approval:
        """Ask, and wait as long as the turn may last."""
        gone = threading.Event()
        try:
            return await anyio.to_thread.run_sync(
                self._decide, request, gone, abandon_on_cancel=True
            )
        finally:
            gone.set()  # however the turn ended, the thread must not wait for an answer any more

    def _decide(self, request: ApprovalRequest, gone: threading.Event) -> Approval:
        flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
        try:
            terminal = os.open(self.terminal, flags)
        except OSError:
            return _refusal(request, "there is no terminal to ask on")
        try:
            if os.tcgetpgrp(terminal) != os.getpgrp():
                return _refusal(request, "the command runs in the background")
            termios.tcflush(terminal, termios.TCIFLUSH)
            _write(terminal, _question(request, self.name))
            return self._answer(terminal, gone)
        except (OSError, termios.error):
            return _refusal(request, "the terminal went away")
        finally:
            os.close(terminal)

    def _answer(self, terminal: int, gone: threading.Event) -> Approval:
        for _ in range(_ATTEMPTS):
            words = _read_line(terminal, gone).strip().lower()
            if words in _YES:
                return Approval(approved=True, approver=self.name)
            if words in _NO:
                break
            _write(terminal, "Please answer y or n. [y/N] ")
        return Approval(approved=False, approver=self.name)


def _question(request: ApprovalRequest, name: str) -> str:
    decision = request.decision
    evidence = [
        f"    {spelled(item.path)} = {spelled(item.value)}  from {spelled(item.origin)}"
        for item in decision.evidence
    ]
    shown = [f"    | {line}" for line in spelled(request.shown).split("\n")]
    lines = [
        "",
        "Approval needed",
        f"  what      {spelled(request.subject)}  ({spelled(request.call_id)})",
        f"  rule      {decision.rule}: {clean(decision.reason)}",
        *(["  evidence", *evidence] if evidence else []),
        "  exactly this will be used",
        *shown,
        f"Approve it as {spelled(name)}? [y/N] ",
    ]
    return "\n".join(lines)


def _read_line(terminal: int, gone: threading.Event) -> str:
    """Return what was typed, or nothing where nobody waits for it any more."""
    while not gone.is_set():
        readable, _, _ = select.select([terminal], [], [], _POLL_S)
        if readable and not gone.is_set():
            return os.read(terminal, _ANSWER_BYTES).decode("utf-8", "replace")
    return ""


def _write(terminal: int, text: str) -> None:
    data = text.encode("utf-8", "backslashreplace")
    while data:
        data = data[os.write(terminal, data) :]


def _refusal(request: ApprovalRequest, why: str) -> Approval:
    return Approval(
        approved=False, approver="", comment=f"{request.subject} was not approved: {why}"
    )
