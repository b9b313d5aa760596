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

import bindings
import cell
import display
import memory_files
import waiting

STANDARD_LIBRARY = """
__future__ _strptime abc argparse array ast asyncio base64 binascii bisect cProfile calendar cmath
code codecs codeop collections collections.abc colorsys concurrent.futures configparser contextlib
contextvars copy copyreg csv dataclasses datetime decimal difflib dis doctest email email.message
email.mime.multipart email.mime.text email.parser email.policy email.utils encodings.ascii
encodings.base64_codec encodings.big5 encodings.cp1250 encodings.cp1251 encodings.cp1252
encodings.cp437 encodings.cp850 encodings.euc_jp encodings.gb18030 encodings.gbk
encodings.hex_codec encodings.idna encodings.iso8859_1 encodings.iso8859_15 encodings.koi8_r
encodings.latin_1 encodings.mac_roman encodings.punycode encodings.raw_unicode_escape
encodings.rot_13 encodings.shift_jis encodings.unicode_escape encodings.utf_16
encodings.utf_16_be encodings.utf_16_le encodings.utf_32 encodings.utf_8_sig encodings.zlib_codec
enum errno fnmatch fractions functools gc getopt getpass gettext glob graphlib gzip hashlib heapq
hmac html html.entities html.parser http http.client http.cookies importlib importlib.metadata
importlib.util inspect io ipaddress itertools json json.tool keyword linecache locale logging
logging.config logging.handlers math mimetypes numbers operator optparse os os.path pathlib pickle
pickletools pkgutil platform plistlib posixpath pprint profile pstats pyclbr queue quopri random re
reprlib runpy sched secrets select selectors shelve shlex shutil signal socket sqlite3 stat
statistics string string.templatelib stringprep struct subprocess symtable sys sysconfig tabnanny
tarfile tempfile textwrap threading time timeit token tokenize tomllib traceback tracemalloc types
typing unicodedata unittest unittest.mock urllib urllib.error urllib.parse urllib.request uuid
warnings weakref xml.dom.minidom xml.etree.ElementTree xml.sax xml.sax.saxutils zipfile zipimport
zlib zoneinfo
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

NAMED = 5
_namespace = cell.fresh_namespace()


def _call(name, arguments):
    return json.loads(wit_world.call(name, arguments))


class WitWorld(wit_world.WitWorld):
    """The exports of world.wit."""

    def __init__(self):
        self._restricted = self._seeded = False

    def prepare(self):
        random.seed()
        return sys.version.split()[0]

    def run(self, request):
        asked = json.loads(request)
        memory_files.give({name: base64.b64decode(data) for name, data in asked["files"].items()})
        if asked["seed"] is not None or self._seeded:
            random.seed(asked["seed"])
            self._seeded = asked["seed"] is not None
        if asked["imports"] is not None and not self._restricted:
            bindings.restrict_imports(asked["imports"], wit_world.violate)
            self._restricted = True
        sys.stdin, sys.stdout, sys.stderr = io.StringIO(), _Stream(1), _Stream(2)
        bindings.bind(_namespace, asked["functions"], _call)
        outcome = cell.evaluate(
            asked["code"], _namespace, display.shown, display.figures, asked["shown_room"]
        )
        bindings.unbind(_namespace, asked["functions"])
        try:
            taken, left_out = memory_files.take(asked["file_bytes"], asked["file_count"])
            outcome["dropped_files"] = left_out[:NAMED]
            outcome["dropped_more"] = len(left_out[NAMED:])
            outcome["artifacts"] = {
                name: base64.b64encode(data).decode("ascii") for name, data in taken.items()
            }
            return json.dumps(outcome)
        except MemoryError:
            bare = {"exit": "memory", "error": "MemoryError", "artifacts": {}, "shown": []}
            return json.dumps({**outcome, **bare})
