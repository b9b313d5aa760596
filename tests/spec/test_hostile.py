"""Whatever stands in the file, it ends in a specification or a SpecError."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentkit.errors import SpecError
from agentkit.spec import SpecProblems, load_spec, read_template, template_names

QUIET = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
FULL = (Path(__file__).parent / "full.yaml").read_text()
VALID = [FULL, *(read_template(name)["agent.yaml"] for name in template_names())]
TOKENS = st.sampled_from(
    [
        *[
            ":",
            "-",
            "?",
            ",",
            "[",
            "]",
            "{",
            "}",
            "&",
            "*",
            "!",
            "|",
            ">",
            "%",
            "@",
            "`",
            "'",
            '"',
            "#",
            "~",
            "\\",
            "\n",
            "\t",
            "\r",
        ],
        *("\n  ", ": ", "- ", "---\n", "...\n", "<<: ", "&a ", "*a", "!!python/x ", "%YAML 1.1\n"),
        *("version: 1\n", "model: ", "tools:\n", "${A}", "\\x", "\\U00110000", "|2-", ">+\n"),
        *("9" * 5000, "0x", "1e999", "-.inf", ".nan", "null", "true", "\ufeff", "\x85", "\u2028"),
    ]
)


def loads_or_says_why(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    found = None
    try:
        load_spec(path, environ={"MODEL_API_KEY": "k", "GUARD_API_KEY": "k"})
    except SpecError as error:
        found = error
    if found is not None:
        assert found.place.startswith(str(path))
        assert found.cure
    if isinstance(found, SpecProblems):
        assert all(problem.line >= 1 and problem.column >= 1 for problem in found.problems)
        assert all(problem.message and problem.fix for problem in found.problems)


@QUIET
@given(content=st.binary(max_size=300))
def test_any_bytes(tmp_path: Path, content: bytes) -> None:
    loads_or_says_why(tmp_path / "agent.yaml", content)


@QUIET
@given(parts=st.lists(TOKENS | st.text(max_size=5), max_size=40))
def test_any_mixture_of_yaml(tmp_path: Path, parts: list[str]) -> None:
    loads_or_says_why(tmp_path / "agent.yaml", "".join(parts).encode("utf-8", "surrogatepass"))


@QUIET
@given(data=st.data(), text=st.sampled_from(VALID), part=TOKENS | st.text(max_size=5))
def test_a_valid_file_with_a_damage(
    tmp_path: Path, data: st.DataObject, text: str, part: str
) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 20)))
    damaged = text[:start] + part + text[end:]
    loads_or_says_why(tmp_path / "agent.yaml", damaged.encode("utf-8", "surrogatepass"))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "path", "id", "x", "api_key"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
KEYS = [
    *("version", "name", "instructions", "model", "deployment", "sandbox", "tools"),
    *("guards", "limits", "audit"),
]


@QUIET
@given(content=st.dictionaries(st.sampled_from(KEYS), VALUES))
def test_any_value_at_any_key(tmp_path: Path, content: dict[str, object]) -> None:
    # JSON is YAML, but for its words for what JSON lacks
    text = json.dumps(content).replace("NaN", ".nan").replace("Infinity", ".inf")
    loads_or_says_why(tmp_path / "agent.yaml", text.encode())


@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        "{a: " * 100_000,
        "- " * 100_000,
        "? " * 100_000,
        "a: &a [b]\n" * 50_000,
        "- x\n" * 20_000,
        "a: " + "x" * 900_000,
        'a: "' + "\\u0041" * 100_000 + '"',
        "a: " + "9" * 100_000,
        "&a [" + "*a," * 50_000 + "]",
        "".join(f"k{n}: v\n" for n in range(20_000)),
    ],
    ids=lambda content: content[:8],
)
def test_bombs_are_refused(content: str, write: Callable[[str | bytes], Path]) -> None:
    with pytest.raises(SpecError):
        load_spec(write(content))
