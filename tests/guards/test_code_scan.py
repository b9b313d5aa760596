from __future__ import annotations

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.guards import Action, Boundary, CodeScanDetector, GuardContext, scan_python

# What an analyst's assistant writes; none of it may be blocked.
BENIGN = [
    "print(sum(range(10)))",
    "import math\nprint(math.sqrt(2), math.pi ** 2)",
    "import statistics\ndata = [1.5, 2.5, -3.0]\nprint(statistics.mean(data))",
    "import statistics as st\nprint(st.median([3, 1, 2]), st.stdev([1, 2, 3]))",
    "from datetime import datetime, timedelta\nprint(datetime(2026, 1, 1) + timedelta(days=90))",
    "import datetime\nprint(datetime.date(2026, 5, 17))",
    "import re\nprint(re.findall(r'\\d+', 'a1b22'))",
    "import re\npattern = re.compile('[a-z]+')\nprint(pattern.sub('x', 'abc'))",
    "import json\nprint(json.dumps({'navn': 'Åse'}, ensure_ascii=False))",
    "import json\ndata = json.loads('[1, 2]')\nprint(data[0])",
    "import csv\nwith open('sales.csv') as f:\n    print(len(list(csv.DictReader(f))))",
    "import csv, io\nprint(list(csv.reader(io.StringIO('a,b\\n1,2'))))",
    "from collections import Counter\nprint(Counter('fjord').most_common(3))",
    "from collections import defaultdict\nd = defaultdict(list)\nd['a'].append(1)",
    "from collections import OrderedDict, deque\nq = deque(maxlen=3)\nq.append(1)",
    "import pandas as pd\ndf = pd.read_csv('salg.csv')\nprint(df.sum())",
    "import pandas as pd\ndf = pd.DataFrame({'a': [1]})\nprint(df.eval('b = a + 1'))",
    "import numpy as np\nx = np.linspace(0, 1, 100)\nprint(x.mean(), x @ x)",
    "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.savefig('plot.png')",
    "import numpy as np\nprint(np.linalg.solve(np.eye(2), np.ones(2)))",
    (
        "class P:\n    def __init__(self, x):\n        self.x = x\n    def __repr__(self):\n"
        "        return f'{self.__class__.__name__}({self.x})'\nprint(P(1))"
    ),
    "class Q(dict):\n    def __init__(self):\n        super().__init__()\nprint(Q())",
    "from dataclasses import dataclass\n@dataclass\nclass Row:\n    a: int\nprint(Row(1))",
    "def fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\nprint(fib(20))",
    "def gen():\n    while True:\n        yield 1\ng = gen()\nprint(next(g))",
    "n = 27\nwhile True:\n    n = n // 2 if n % 2 else 3 * n\n    if n == 1:\n        break",
    "from fractions import Fraction\nprint(Fraction(1, 3) + Fraction(1, 6))",
    "from decimal import Decimal, getcontext\ngetcontext().prec = 50\nprint(Decimal(1) / 7)",
    "import itertools\nprint(list(itertools.combinations('abc', 2)))",
    "import functools\nprint(functools.reduce(lambda a, b: a * b, range(1, 6)))",
    "import random\nrandom.seed(1)\nprint(random.sample(range(100), 5))",
    "import textwrap, string\nprint(textwrap.fill('lorem ipsum', 5), string.digits)",
    "from pathlib import Path\nPath('ut.txt').write_text('hei')\nprint(Path('ut.txt').stat())",
    "import os\nprint(os.listdir('.'), os.path.join('a', 'b'), os.getcwd())",
    "import sys\nprint(sys.version, file=sys.stderr)",
    "import sqlite3\nc = sqlite3.connect(':memory:')\nprint(c.execute('select 1').fetchall())",
    "import zlib, hashlib, base64\nprint(hashlib.sha256(zlib.compress(b'a')).hexdigest())",
    "import xml.etree.ElementTree as ET\nprint(ET.fromstring('<a><b/></a>').tag)",
    "from zoneinfo import ZoneInfo\nprint(ZoneInfo('Europe/Oslo'))",
    "from urllib.parse import urlparse\nprint(urlparse('https://example.org/a').netloc)",
    "text = 'import os; os.system is only a word here'\nprint(text.split())",
    "url = 'https://example.org/data.csv'\nprint(f'kilde: {url}')",
    "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    print(type(error).__name__, error)",
    "result = {k: v for k, v in zip('abc', range(3)) if v % 2 == 0}\nprint(result)",
    "match (1, 2):\n    case (x, y):\n        print(x + y)",
    "total = eval('2 ** 10')\nprint(total)",
    "name = 'mean'\nimport statistics\nprint(getattr(statistics, name)([1, 2]))",
    "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    return 1",
    "values = [\n" + "".join(f"    {i}.5,\n" for i in range(2000)) + "]\nprint(max(values))",
    "print('{:.2f} {name}'.format(3.14159, name='pi'))",
    "from enum import Enum\nclass F(Enum):\n    A = 1\nprint([m.value for m in F])",
    "import this_does_not_exist",
]

DENIED = [
    ("import subprocess", "code.process"),
    ("import os\nos.system('id')", "code.process"),
    ("import os as o\nx = o\nx.popen('id')", "code.process"),
    ("from os import execv as harmless", "code.process"),
    ("from os import *", "code.process"),
    ("import pandas as pd\npd.io.common.os.system('id')", "code.process"),
    ("import os\ngetattr(os, 'sys' + 'tem')('id')", "code.process"),
    ("import asyncio\nasyncio.create_subprocess_exec('id')", "code.process"),
    ("import socket", "code.network"),
    ("import urllib.request as u", "code.network"),
    ("from urllib import request", "code.network"),
    ("import http.client", "code.network"),
    ("import pandas as pd\npd.read_csv('https://example.org/x.csv')", "code.network"),
    ("from ctypes import CDLL", "code.native"),
    ("import importlib", "code.interpreter"),
    ("import sys\nsys.modules['os']", "code.interpreter"),
    ("().__class__.__bases__[0].__subclasses__()", "code.dunder"),
    ("getattr((), '__sub' + 'classes__')", "code.dunder"),
    ("getattr((), f'__mro__')", "code.dunder"),
    ("'{0.__init__.__globals__}'.format(print)", "code.dunder"),
    ("match 1:\n    case object(__subclasses__=x):\n        pass", "code.dunder"),
    ("__builtins__['open']", "code.dunder"),
    ("globals()['__builtins__']", "code.dunder"),
    ("__import__('os')", "code.dunder"),
    ("__\uff49mport__('os')", "code.dunder"),
    ("try:\n    1/0\nexcept Exception as e:\n    e.__traceback__.tb_frame", "code.dunder"),
    ("eval(input())", "code.dynamic"),
    ("run = exec", "code.dynamic"),
    ("eval('__import__(\"os\")')", "code.dunder"),
    ("exec('import socket')", "code.network"),
    ("getattr(x, ''.join(parts))", "code.dynamic"),
]


def test_there_are_enough_benign_programs() -> None:
    assert len(set(BENIGN)) >= 40


@pytest.mark.parametrize("code", BENIGN)
def test_analysts_code_is_allowed(code: str) -> None:
    verdict = scan_python(code)
    assert verdict.action is Action.ALLOW, verdict.reason


@pytest.mark.parametrize(("code", "category"), DENIED)
def test_what_the_sandbox_forbids_is_blocked(code: str, category: str) -> None:
    verdict = scan_python(code)
    assert verdict.action is Action.BLOCK
    assert category in verdict.categories
    assert verdict.spans
    assert "line " in verdict.reason


@pytest.mark.parametrize(
    ("code", "category"),
    [
        ("while True:\n    pass", "code.endless_loop"),
        ("x = 'a' * 10**10", "code.resource"),
        ("9 ** 9 ** 9", "code.resource"),
        ("open('/etc/passwd').read()", "code.file_reach"),
        ("open('../secret')", "code.file_reach"),
        ("import pickle", "code.deserialise"),
        ("def f(:", "code.syntax"),
    ],
)
def test_the_rest_is_noted_and_allowed(code: str, category: str) -> None:
    verdict = scan_python(code)
    assert (verdict.action, verdict.categories) == (Action.ALLOW, (category,))


@pytest.mark.parametrize(
    "code",
    [
        "def f(:\n    import subprocess",
        "type X = int\nimport socket\nx = = 1",
        "x = = 1\nos.system('id')",
        "x = = 1\n().__subclasses__()",
        "x = = 1\neval('1')",
    ],
)
def test_code_that_does_not_parse_is_searched_by_words(code: str) -> None:
    verdict = scan_python(code)
    assert verdict.action is Action.BLOCK
    assert "code.syntax" in verdict.categories or "type X" in code


def test_allowed_imports() -> None:
    allowed = frozenset({"math"})
    assert scan_python("import math", allowed_imports=allowed).action is Action.ALLOW
    verdict = scan_python("import math\nimport json", allowed_imports=allowed)
    assert verdict.categories == ("code.import_not_allowed",)
    assert "line 2 imports json" in verdict.reason


@pytest.mark.parametrize(
    "code",
    [
        "(" * 100_000,
        "[1," * 40_000,
        "not " * 30_000 + "1",
        "-" * 130_000 + "1",
        "a" + ".a" * 60_000,
        "f" + "()" * 60_000,
        "lambda:" * 18_000 + "1",
        "if a:\n 1\n" + "elif a:\n 1\n" * 11_000,
        "1 if a else " * 10_000 + "1",
        "a=" * 60_000 + "1",
        "f'{" * 40_000,
        "x = 1\n" * 170_000,
        "x = 1\x00",
        "\ud800 = 1",
    ],
)
def test_attacks_on_the_parser_are_blocked(code: str) -> None:
    verdict = scan_python(code)
    assert (verdict.action, verdict.categories) == (Action.BLOCK, ("code.unjudgeable",))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "(",
                ")",
                "[",
                "'",
                '"',
                "\\",
                "\n",
                " ",
                "f'{",
                "}",
                "#",
                "if x:",
                "a",
                "=",
                ".",
                "\x00",
                "\ud800",
                "import ",
                "os",
                "é",
                "\r",
                "lambda:",
                "\t",
                "'''",
                "eval(",
            ]
        ),
        max_size=60,
    ).map("".join)
)
def test_no_source_raises(code: str) -> None:
    verdict = scan_python(code)
    assert verdict.action in (Action.ALLOW, Action.BLOCK)
    assert all(0 <= span.start < span.end <= len(code) for span in verdict.spans)


def test_detector_blocks_its_canary() -> None:
    detector = CodeScanDetector()
    context = GuardContext.of(Boundary.TOOL_ARGUMENTS)
    assert anyio.run(detector.judge, detector.canary, context).action is Action.BLOCK
