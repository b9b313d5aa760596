from __future__ import annotations

import json
import math
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.audit import canonical_json, digest
from agentkit.audit.canonical import MAX_DEPTH, parse_canonical
from agentkit.errors import AuditError

# Any text Python can hold: lone surrogates and keys that look like tags included.
TEXT = st.text(st.characters(codec=None), max_size=8)
TAGS = st.sampled_from(["$int", "$float", "$text", "$object", "$"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
JSON = st.recursive(
    SCALARS | st.integers(-(10**40), 10**40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT | TAGS, inner, max_size=4),
    max_leaves=12,
)


def alike(left: object, right: object) -> bool:
    """Equal, where NaN equals NaN and -0.0 is not 0.0."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(alike, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(alike(left[key], right[key]) for key in left)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        both_nan = left != left and right != right  # noqa: PLR0124  # NaN is what is asked for
        signs = math.copysign(1, left) == math.copysign(1, right) if left == 0 else True
        return both_nan or (left == right and signs)
    return left == right


@given(JSON)
def test_nothing_is_lost(value: object) -> None:
    spelled = canonical_json(value)
    back = parse_canonical(spelled)
    assert alike(value, back)
    assert canonical_json(back) == spelled


@given(JSON)
def test_the_spelling_is_json(value: object) -> None:
    json.loads(canonical_json(value))


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        # RFC 8785, section 3.2.2 and appendix B
        (
            {
                "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
                "string": '€$\u000f\u000aA\'\u0042\u0022\u005c\\"/',
                "literals": [None, True, False],
            },
            (
                '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
                '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
            ),
        ),
        ({"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7},
         '{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\U0001f600":5,"\ufb33":3}'),
        (2**53 - 1, "9007199254740991"),
        (2**53, '{"$int":"9007199254740992"}'),
        (9007199254740992.0, "9007199254740992"),
        (math.nan, '{"$float":"nan"}'),
        (-math.inf, '{"$float":"-inf"}'),
        (-0.0, '{"$float":"-0.0"}'),
        ("a\ud800", '{"$text":"61eda080"}'),
        ({"$int": "5"}, '{"$object":[["$int","5"]]}'),
    ],
)  # fmt: skip
def test_known_spellings(value: object, spelled: str) -> None:
    assert canonical_json(value).decode() == spelled
    assert alike(parse_canonical(spelled.encode()), value)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": 1}',
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b"1.0",
        b"1e0",
        b"-0",
        b"0.00001e1",
        b"9007199254740993",
        b'"\\u0041"',
        b'"\\ud800"',
        b"NaN",
        b"\xff",
        b"[1]\n",
        b"",
        b"[" * 100_000,
        b"1" * 5000,
        b'{"$int":"5"}',
        b'{"$int":"0x1fffffffffffffffff"}',
        b'{"$float":"1.5"}',
        b'{"$float":"x"}',
        b'{"$text":"61"}',
        b'{"$text":"zz"}',
        b'{"$object":[]}',
        b'{"$object":[["a"]]}',
        b'{"$object":[[1,2]]}',
        b'{"$object":[["$b",1],["$a",1]]}',
        b'{"$object":[["$a",1],["$a",1]]}',
        b'{"$new":1}',
        b'{"$a":1,"b":2}',
    ],
)
def test_a_second_spelling_of_a_value_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # any reason will do
        parse_canonical(data)


@given(st.binary(max_size=40))
def test_no_bytes_raise_anything_but_value_error(data: bytes) -> None:
    try:
        value = parse_canonical(data)
    except ValueError:
        return
    assert canonical_json(value) == data


@pytest.mark.parametrize("value", [b"x", {1: 2}, {"a": {1}}, object(), [1j]])
def test_what_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(AuditError) as caught:
        canonical_json(value)
    assert caught.value.cure


def test_depth_is_bounded_and_a_circle_is_refused() -> None:
    value: list[object] = []
    for _ in range(MAX_DEPTH - 1):
        value = [value]
    assert parse_canonical(canonical_json(value)) == value
    with pytest.raises(AuditError):
        canonical_json([value])
    circle: list[object] = []
    circle.append(circle)
    with pytest.raises(AuditError):
        canonical_json(circle)


@pytest.mark.parametrize("leaf", ["x", "é", 0.5, "$"])
def test_every_spelling_is_held_to_the_same_depth(leaf: object) -> None:
    value = leaf
    for _ in range(MAX_DEPTH):
        value = [value]
    assert parse_canonical(canonical_json(value)) == value
    with pytest.raises(AuditError, match="deeper"):
        canonical_json(value, depth=1)
    with pytest.raises(ValueError, match="deeper"):
        parse_canonical(b"[" + canonical_json(value) + b"]")


def test_many_shallow_levels_are_not_deep() -> None:
    value = [{"a": [number]} for number in range(MAX_DEPTH)]
    assert parse_canonical(canonical_json(value)) == value


def test_the_worst_spelling_of_the_deepest_value_can_be_read() -> None:
    value: object = "\ud800"
    for _ in range(MAX_DEPTH):
        value = {"$": value}
    assert parse_canonical(canonical_json(value)) == value


def test_integers_too_long_for_decimal_are_kept() -> None:
    huge = -(7**9000)
    assert parse_canonical(canonical_json(huge)) == huge


def test_text_enumerations_are_their_text() -> None:
    class Colour(StrEnum):
        RED = "red"

    assert canonical_json({"colour": Colour.RED}) == b'{"colour":"red"}'


def test_the_digest_depends_on_the_value_and_not_on_its_order() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": "1"})
    assert digest({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
