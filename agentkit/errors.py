"""Everything that can go wrong, as one tree.

A message says what was wrong; ``place`` says where (``agent.yaml:7:3``, a path, a model id);
``cure`` says what to do next. The command line prints these three and exits with ``exit_code``,
which is one number per class of failure:

    AgentkitError                     1   the class to catch
    ├── SpecError                     3   agent.yaml is wrong (usage errors of the shell are 2)
    ├── StartupRefused                4   a startup rule forbids running
    ├── ModelError                    5   a model cannot be loaded or does not answer
    │   ├── WeightsMismatch           5   a file's hash is not the pinned one
    │   └── BackendError              5   a remote backend failed or answered nonsense
    │       └── BackendRefused        5   it did not take the request, so nothing was used
    ├── GuardError                    6   a guard is misconfigured (a *blocking* guard is a verdict)
    ├── SandboxError                  7   a sandbox tier is absent or broke
    │   └── SandboxBusy               7   the pool's queue is full, or the wait for it was too long
    ├── AuditError                    8   the audit log cannot be written or read
    │   └── AuditDamaged              8   the log's content contradicts itself
    ├── ToolError                     9   a tool is declared wrongly or failed
    ├── TurnStopped                  10   a turn ended without an answer
    │   └── RunSuspended             11   it waits for a person and can be resumed later
    ├── StateError                   12   the store of runs and approvals cannot be used
    └── ApprovalError                13   a person's decision is unknown, expired, used or forged
"""

from __future__ import annotations

__all__ = [
    "AgentkitError",
    "ApprovalError",
    "AuditDamaged",
    "AuditError",
    "BackendError",
    "BackendRefused",
    "GuardError",
    "ModelError",
    "RunSuspended",
    "SandboxBusy",
    "SandboxError",
    "SpecError",
    "StartupRefused",
    "StateError",
    "ToolError",
    "TurnStopped",
    "WeightsMismatch",
]


class AgentkitError(Exception):
    """Base of all errors that agentkit raises on purpose.

    ``message``: what was wrong. ``place``: where, empty if nowhere in particular.
    ``cure``: what to do next, empty only where nothing can be done.
    """

    exit_code: int = 1

    def __init__(self, message: str, *, cure: str = "", place: str = "") -> None:
        self.message = message
        self.cure = cure
        self.place = place
        super().__init__(self.render())

    def render(self) -> str:
        """Return the whole error as text: ``place: message`` and, on a second line, the cure."""
        head = f"{self.place}: {self.message}" if self.place else self.message
        return f"{head}\n  cure: {self.cure}" if self.cure else head


class SpecError(AgentkitError):
    """The agent specification is wrong; ``place`` is ``file:line:column``."""

    exit_code = 3


class StartupRefused(AgentkitError):
    """A startup rule forbids running. ``rule`` is its id, ``clause`` the text it rests on.

    ``exit_code`` tells the class of what is missing where it is not a licence: a refusal for want
    of a sandbox tier leaves with the sandbox's code.
    """

    exit_code = 4

    def __init__(
        self,
        message: str,
        *,
        rule: str,
        clause: str,
        cure: str,
        place: str = "",
        exit_code: int | None = None,
    ) -> None:
        self.rule = rule
        self.clause = clause
        if exit_code is not None:
            self.exit_code = exit_code
        super().__init__(f"{message} [rule {rule}; {clause}]", cure=cure, place=place)


class ModelError(AgentkitError):
    """A model cannot be loaded, or failed while generating."""

    exit_code = 5


class WeightsMismatch(ModelError):
    """A downloaded or cached file does not have the pinned hash; it was not used."""


class BackendError(ModelError):
    """A remote model backend failed, or its answer broke the protocol."""


class BackendRefused(BackendError):
    """A remote model backend did not take the request: no token was read or written."""


class GuardError(AgentkitError):
    """A guard cannot be built as configured."""

    exit_code = 6


class SandboxError(AgentkitError):
    """A sandbox tier is absent, or its machinery (not the guest's code) broke."""

    exit_code = 7


class SandboxBusy(SandboxError):
    """All interpreters of a pool are leased and the caller would have to wait too long.

    ``reason``: ``queue`` (too many wait already) or ``wait`` (this one waited its limit out).
    """

    def __init__(self, message: str, *, reason: str, cure: str) -> None:
        self.reason = reason
        super().__init__(message, cure=cure)


class AuditError(AgentkitError):
    """The audit log cannot be opened, written or read."""

    exit_code = 8


class AuditDamaged(AuditError):
    """The audit log's content contradicts itself; nothing was changed or dropped."""


class ToolError(AgentkitError):
    """A tool is declared wrongly, or reported a failure of its own."""

    exit_code = 9


class TurnStopped(AgentkitError):
    """A turn ended without an answer. ``reason`` is one of a closed set, see ``planner``."""

    exit_code = 10

    def __init__(self, message: str, *, reason: str, cure: str = "", place: str = "") -> None:
        self.reason = reason
        super().__init__(message, cure=cure, place=place)


class RunSuspended(TurnStopped):
    """A turn waits for people; nothing it asks about has run, and ``Agent.resume`` goes on.

    ``requests``: the ids of the open questions, as ``agentkit approvals`` names them.
    """

    exit_code = 11

    def __init__(self, run_id: str, requests: tuple[str, ...]) -> None:
        self.run_id = run_id
        self.requests = requests
        count = len(requests)
        super().__init__(
            f"run {run_id} waits for {count} approval{'s' if count > 1 else ''}: "
            + ", ".join(requests),
            reason="suspended",
            cure="decide with `agentkit approvals`, then continue with `agentkit runs resume`",
        )


class StateError(AgentkitError):
    """The store of runs and approvals cannot be opened, read or written."""

    exit_code = 12


class ApprovalError(AgentkitError):
    """A person's decision does not count: unknown, expired, used, voided or not theirs."""

    exit_code = 13
