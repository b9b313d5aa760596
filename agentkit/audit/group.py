"""Group commit: callers that arrive while the disk is busy share the next write.

There is no timer and no thread of its own. The first caller to find nobody writing writes for all
who wait, up to a limit; the rest sleep until their item is settled. A lone caller never waits for
company, and a crowd pays for one disk flush together.
"""

from __future__ import annotations

from contextlib import contextmanager
from threading import Condition
from typing import TYPE_CHECKING, Generic, TypeVar

from agentkit.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["GroupCommit"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Ticket(Generic[Item, Result]):
    """One caller's item and, once settled, its result or error."""

    __slots__ = ("error", "item", "result")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.result: Result | None = None
        self.error: AuditError | None = None


class GroupCommit(Generic[Item, Result]):
    """Serialises ``commit(items) -> results``, which runs in one thread at a time.

    ``commit`` must either return one result per item or raise ``AuditError`` for all of them.
    """

    def __init__(self, commit: Callable[[Sequence[Item]], Sequence[Result]], limit: int) -> None:
        self._commit = commit
        self._limit = limit
        self._changed = Condition()
        self._queue: list[_Ticket[Item, Result]] = []
        self._busy = False

    def submit(self, item: Item) -> Result:
        """Commit ``item`` and return its result; blocks. Raises ``AuditError``."""
        ticket: _Ticket[Item, Result] = _Ticket(item)
        with self._changed:
            self._queue.append(ticket)
        while True:
            with self._changed:
                while self._busy and ticket.result is None and ticket.error is None:
                    self._changed.wait()
                if ticket.result is not None:
                    return ticket.result
                if ticket.error is not None:
                    # Its own exception for each thread: a shared one would mix their tracebacks.
                    error = ticket.error
                    raise AuditError(
                        error.message, cure=error.cure, place=error.place
                    ) from error.__cause__
                batch = self._queue[: self._limit]
                del self._queue[: self._limit]
                self._busy = True
            self._settle(batch)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep every commit out while the block runs."""
        with self._changed:
            while self._busy:
                self._changed.wait()
            self._busy = True
        try:
            yield
        finally:
            self._release()

    def _settle(self, batch: list[_Ticket[Item, Result]]) -> None:
        try:
            results = self._commit([ticket.item for ticket in batch])
            for ticket, result in zip(batch, results, strict=True):
                ticket.result = result
        except AuditError as error:
            for ticket in batch:
                ticket.error = error
        except BaseException as error:
            failure = AuditError(
                f"writing the audit log was interrupted ({type(error).__name__})",
                cure="open the log again: it keeps what is whole",
            )
            for ticket in batch:
                ticket.error = failure
            raise
        finally:
            self._release()

    def _release(self) -> None:
        with self._changed:
            self._busy = False
            self._changed.notify_all()
