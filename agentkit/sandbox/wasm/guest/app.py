"""The guest: CPython inside WebAssembly, running one cell after the other in one namespace.

Built with componentize-py; imports are possible at build time only, so that everything a cell may
import is imported here. Nothing in this file is a wall: the wall is WebAssembly and the host, which
gives no file, socket or process at all. What stands here makes Python behave in spite of that.
"""

# mypy: ignore-errors
# The guest runs on another interpreter, beside modules that exist in its build only.

import base64
import builtins
import importlib
import io
import json
import random
import sys
import time

import wit_world

import cell
import memory_files
import waiting

STANDARD_LIBRARY = """
abc array ast asyncio base64 binascii bisect calendar cmath codecs collections collections.abc
colorsys configparser contextlib contextvars copy csv dataclasses datetime decimal difflib dis
email email.message email.utils encodings.ascii encodings.cp1252 encodings.idna encodings.latin_1
encodings.utf_16 encodings.utf_32 encodings.utf_8_sig enum errno fnmatch fractions functools gc
getpass glob graphlib gzip hashlib heapq hmac html html.entities html.parser http inspect io
ipaddress itertools json keyword linecache locale logging math mimetypes numbers operator os
os.path pathlib pickle platform posixpath pprint queue random re reprlib sched secrets select
selectors shlex shutil signal socket sqlite3 stat statistics string string.templatelib stringprep
struct subprocess sys tempfile textwrap threading time timeit token tokenize tomllib traceback
types typing unicodedata unittest unittest.mock urllib urllib.parse uuid warnings weakref
xml.dom.minidom xml.etree.ElementTree zipfile zlib zoneinfo _strptime
concurrent.futures doctest imaplib
""".split()

for _name in STANDARD_LIBRARY:
    try:
        importlib.import_module(_name)
    except ImportError:
        pass  # what CPython's WASI build leaves out is reported by the finder below
random.random()


class _NothingElse:
    """The last finder: an import that was not made at build time is an error, never a search."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        raise ModuleNotFoundError(
            f"No module named {name!r} in the wasm sandbox "
            "(it holds the standard library; the docker sandbox has packages)",
            name=name,
        )


sys.meta_path[:] = [
    finder
    for finder in sys.meta_path
    if getattr(finder, "__name__", "") in ("BuiltinImporter", "FrozenImporter")
] + [_NothingElse]
sys.path[:] = []


class _Stream(io.TextIOBase):
    """stdout or stderr: each write goes to the host at once, so that no trap can lose it."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, number):
        self._number = number

    def writable(self):
        return True

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if text:
            safe = text.encode("utf-8", "backslashreplace").decode("utf-8")
            wit_world.emit(self._number, safe)
        return len(text)


def _print(*values, sep=" ", end="\n", file=None, flush=False):
    """print() as one write: one crossing of the wall a line."""
    target = sys.stdout if file is None else file
    sep = " " if sep is None else sep
    end = "\n" if end is None else end
    target.write(sep.join(map(str, values)) + end)
    if flush:
        target.flush()


builtins.print = _print
memory_files.install()
waiting.install(wit_world.sleep)

_namespace = cell.fresh_namespace()


class WitWorld(wit_world.WitWorld):
    """The exports of world.wit."""

    def prepare(self):
        random.seed()
        return sys.version.split()[0]

    def run(self, request):
        asked = json.loads(request)
        memory_files.give({name: base64.b64decode(data) for name, data in asked["files"].items()})
        sys.stdin, sys.stdout, sys.stderr = io.StringIO(), _Stream(1), _Stream(2)
        outcome = cell.evaluate(asked["code"], _namespace)
        try:
            taken, outcome["dropped_files"] = memory_files.take(asked["file_bytes"])
            outcome["artifacts"] = {
                name: base64.b64encode(data).decode("ascii") for name, data in taken.items()
            }
            return json.dumps(outcome)
        except MemoryError:
            return json.dumps({**outcome, "exit": "memory", "error": "MemoryError", "artifacts": {}})
