"""Keep the event loop free of what sandboxed code can make large.

A thread shares the interpreter's lock: it helps between calls into C code, not inside of one. So
whatever goes through here is bounded by its caller too.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import anyio.to_thread

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LARGE", "aside"]

LARGE = 16 * 1024
"""Characters of JSON or code that take about as long to read as a hop to a thread."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def aside(large: bool, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Return what ``function`` returns; in a thread where its work is ``large``, for a hop costs
    more than a small one. Whoever is cancelled meanwhile does not wait for it.
    """
    if not large:
        return function(*args, **kwargs)
    call = partial(function, *args, **kwargs)
    return await anyio.to_thread.run_sync(call, abandon_on_cancel=True)
