"""One writer: an exclusive lock on the log's directory, held until it is closed or dies."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from agentkit.errors import AuditError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["WriterLock"]


class WriterLock:
    """``flock`` on the file ``lock``; the system lets go of it however the process ends."""

    def __init__(self, directory: Path) -> None:
        """Take the lock. Raises ``AuditError`` where another writer holds it, and OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(directory / "lock", flags, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise AuditError(
                "another process is writing this audit log",
                cure="end that process, or give this one a directory of its own",
                place=str(directory),
            ) from error
        except OSError:
            os.close(self._descriptor)
            raise

    def release(self) -> None:
        """Let go of the lock."""
        os.close(self._descriptor)
