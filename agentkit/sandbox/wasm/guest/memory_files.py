"""open() and a few neighbours over a dict: the guest has no file system, and needs none.

Relative names only. What the host gives can be read; what a cell writes stays for later cells and
is handed to the host once after each cell that changed it.
"""

# mypy: ignore-errors
# The guest runs on another interpreter, beside modules that exist in its build only.

import builtins
import errno
import io
import os
import os.path
import posixpath
import weakref

_files = {}
_changed = set()
_open_files = weakref.WeakSet()


class _File(io.BytesIO):
    """One open file; its content enters the dict at each flush and at its close."""

    def __init__(self, name, data, mode):
        super().__init__(data)
        self.name = name
        self.mode = mode
        self._writes = mode != "rb"
        self._appends = "a" in mode
        if self._appends:
            self.seek(0, io.SEEK_END)

    def readable(self):
        return "r" in self.mode or "+" in self.mode

    def writable(self):
        return self._writes

    def read(self, size=-1):
        if not self.readable():
            raise io.UnsupportedOperation("not readable")
        return super().read(size)

    def write(self, data):
        if not self._writes:
            raise io.UnsupportedOperation("not writable")
        if self._appends:
            self.seek(0, io.SEEK_END)
        return super().write(data)

    def flush(self):
        if not self.closed and self._writes:
            _files[self.name] = self.getvalue()
            _changed.add(self.name)

    def close(self):
        if not self.closed:
            self.flush()
        super().close()


def _key(path):
    text = os.fsdecode(path)
    name = posixpath.normpath(text)
    if not text or name.startswith("/") or name == "." or name.split("/")[0] == "..":
        raise PermissionError(errno.EACCES, "outside of the sandbox's own files", text)
    return name


def _open(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None,
          closefd=True, opener=None):
    if isinstance(file, int):
        raise PermissionError(errno.EACCES, "file descriptors are not available in the sandbox")
    name = _key(file)
    kind = mode.replace("b", "").replace("t", "")
    if kind.rstrip("+") not in ("r", "w", "a", "x") or ("b" in mode and "t" in mode):
        raise ValueError(f"invalid mode: {mode!r}")
    known = name in _files
    if kind[0] == "r" and not known:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", name)
    if kind[0] == "x" and known:
        raise FileExistsError(errno.EEXIST, "File exists", name)
    data = _files[name] if kind[0] in "ra" and known else b""
    raw = _File(name, data, kind[0] + "b" + ("+" if "+" in kind else ""))
    if kind[0] in "wx":
        raw.flush()
    result = raw if "b" in mode else io.TextIOWrapper(
        raw, encoding=encoding or "utf-8", errors=errors, newline=newline)
    _open_files.add(result)
    return result


def _listdir(path="."):
    return sorted(_files) if posixpath.normpath(os.fsdecode(path)) in (".", "/") else _missing(path)


def _missing(path):
    raise FileNotFoundError(errno.ENOENT, "No such file or directory", os.fsdecode(path))


def _exists(path):
    try:
        return _key(path) in _files
    except (OSError, TypeError, ValueError):
        return False


def _remove(path, *, dir_fd=None):
    if _files.pop(_key(path), None) is None:
        _missing(path)
    _changed.discard(_key(path))


def _getsize(path):
    return len(_files[_key(path)]) if _exists(path) else _missing(path)


def _mkdir(name, mode=0o777, exist_ok=False, *, dir_fd=None):
    _key(name)  # names may hold slashes as they are; a directory needs no making


def install():
    """Put the dict in the place of the file system."""
    builtins.open = io.open = _open
    os.listdir, os.remove, os.unlink = _listdir, _remove, _remove
    os.path.exists = os.path.isfile = os.path.lexists = _exists
    os.path.getsize = _getsize
    os.mkdir = os.makedirs = _mkdir


def give(files):
    """Add the host's files; they are not artifacts unless a cell changes them."""
    for name, data in files.items():
        _files[_key(name)] = data
        _changed.discard(name)


def take(limit, count):
    """Return the files that were written since the last call, and the names left out.

    ``limit``: bytes of all files together. ``count``: files at most.
    """
    for file in list(_open_files):
        if not file.closed:
            file.flush()
    taken, left_out = {}, []
    for name in sorted(_changed & set(_files)):
        if len(_files[name]) <= limit and len(taken) < count:
            limit -= len(_files[name])
            taken[name] = _files[name]
        else:
            left_out.append(name)
    _changed.clear()
    return taken, left_out
