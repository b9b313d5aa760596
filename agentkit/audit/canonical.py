"""One spelling for every JSON value: RFC 8785, with tags for what RFC 8785 cannot spell.

RFC 8785 numbers are IEEE doubles and its strings are Unicode scalar values, yet a model may
propose a call with a 30-digit account number, a NaN or a lone surrogate, and such a call must be
on record like any other. Those values are spelled as objects of one key that begins with ``$``:

    integers beyond ±(2^53-1)          {"$int": "9007199254740993"}
    NaN, infinities, negative zero     {"$float": "nan"}
    strings with lone surrogates       {"$text": "<hex of UTF-8, surrogates passed>"}
    objects with a key that begins     {"$object": [[key, value], ...]}, in ascending order
      with $ or has lone surrogates

Decoding returns the value that was encoded, except that JSON does not tell ``1.0`` from ``1``.
What is no JSON at all (bytes, sets, keys that are not strings) or is nested deeper than
``MAX_DEPTH`` is refused with ``AuditError`` before anything is written: the caller must not go on.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import rfc8785

from agentkit.errors import AuditError

if TYPE_CHECKING:
    from agentkit.messages import JsonValue

__all__ = ["MAX_DEPTH", "canonical_json", "digest", "parse_canonical"]

MAX_DEPTH = 64
_SAFE_INTEGER = 2**53 - 1
_PLAIN = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
_DECIMAL_BITS = 2048  # 617 digits; Python refuses from 640 at its strictest setting


def canonical_json(value: object, *, depth: int = 0) -> bytes:
    """Return the one canonical spelling of ``value`` as UTF-8.

    ``depth``: how many levels of a larger value it will stand under. Raises ``AuditError`` where
    ``value`` is not JSON or reaches deeper than ``MAX_DEPTH``.
    """
    floats: list[float] = []
    encoded = _encode(value, depth, floats)
    if not floats:
        # Without fractions and beyond-ASCII keys, sorted keys and minimal escapes are the whole
        # rule, which the encoder in C obeys too.
        plain = _PLAIN.encode(encoded)
        if plain.isascii():
            return plain.encode()
    return rfc8785.dumps(encoded)


def digest(value: object) -> str:
    """Return the hex SHA-256 of the canonical spelling: what decisions and approvals bind to."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def parse_canonical(data: bytes) -> JsonValue:
    """Return the value that ``data`` spells; ValueError where it is not the canonical spelling."""
    odd: list[str] = []
    try:
        text = data.decode("utf-8")
        parsed = json.loads(
            text,
            parse_float=partial(_number, odd),
            parse_int=partial(_integer, odd),
            parse_constant=_refuse_constant,
        )
        if not odd and "$" not in text and text.isascii() and _is_flat(text):
            # No tags, so the value is its own encoding; see canonical_json for the rest.
            plain = _PLAIN.encode(parsed)
            if plain == text:
                return parsed  # type: ignore[no-any-return]  # json.loads returns Any
        value = _decode(parsed, 0)
        if canonical_json(value) == data:
            return value
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg}") from None
    except AuditError as error:
        raise ValueError(error.message) from None
    raise ValueError("not in canonical form")


def _encode(value: object, depth: int, floats: list[float]) -> JsonValue:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        plain = int(value)
        return plain if abs(plain) <= _SAFE_INTEGER else {"$int": _decimal(plain)}
    if isinstance(value, float):
        if not math.isfinite(value) or (value == 0 and math.copysign(1, value) < 0):
            return {"$float": float.__repr__(value)}
        floats.append(value)
        return float(value)
    if isinstance(value, str):
        plain_text = str.__str__(value)
        if _is_unicode(plain_text):
            return plain_text
        return {"$text": plain_text.encode("utf-8", "surrogatepass").hex()}
    if depth >= MAX_DEPTH:
        raise AuditError(
            f"the value, with what it stands in, is nested deeper than {MAX_DEPTH} levels",
            cure="refuse the call: what cannot be recorded must not run",
        )
    if isinstance(value, list | tuple):
        return [_encode(item, depth + 1, floats) for item in value]
    if isinstance(value, Mapping):
        return _encode_object(value, depth, floats)
    raise AuditError(
        f"a value of type {type(value).__name__} is not JSON",
        cure="record text, numbers, booleans, null, lists and objects only",
    )


def _encode_object(value: Mapping[object, object], depth: int, floats: list[float]) -> JsonValue:
    pairs: list[tuple[str, JsonValue]] = []
    plain = True
    for key, item in value.items():
        if not isinstance(key, str):
            raise AuditError(
                f"an object key of type {type(key).__name__} is not JSON",
                cure="use strings as keys",
            )
        plain = plain and not key.startswith("$") and _is_unicode(key)
        pairs.append((str.__str__(key), _encode(item, depth + 1, floats)))
    if plain:
        return dict(pairs)
    return {
        "$object": [[_encode(key, depth, floats), item] for key, item in sorted(pairs, key=_by_key)]
    }


def _by_key(pair: tuple[str, JsonValue]) -> str:
    return pair[0]


def _decode(value: object, depth: int) -> JsonValue:
    if depth > MAX_DEPTH * 3:  # a level of the value is at most three levels of its spelling
        raise ValueError("nested too deeply")
    if isinstance(value, list):
        return [_decode(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value  # type: ignore[return-value]  # json.loads gives only scalars here
    tag = next(iter(value)) if len(value) == 1 else ""
    if not tag.startswith("$"):
        return {key: _decode(item, depth + 1) for key, item in value.items()}
    return _decode_tag(tag, value[tag], depth)


def _decode_tag(tag: str, content: object, depth: int) -> JsonValue:
    if tag == "$object" and isinstance(content, list):
        pairs: dict[str, JsonValue] = {}
        for pair in content:
            if not isinstance(pair, list) or len(pair) != 2:  # noqa: PLR2004  # a pair is two
                raise ValueError("a $object that is no list of pairs")
            key = _decode(pair[0], depth + 1)
            if not isinstance(key, str):
                raise ValueError("a $object with a key that is no text")  # noqa: TRY004  # content, not a programming error
            pairs[key] = _decode(pair[1], depth + 1)
        return pairs
    if isinstance(content, str):
        if tag == "$int":
            return _from_decimal(content)
        if tag == "$float":
            return float(content)
        if tag == "$text":
            return bytes.fromhex(content).decode("utf-8", "surrogatepass")
    raise ValueError(f"an unknown tag {tag[:20]!r}")


def _is_flat(text: str) -> bool:
    """Tell whether ``text`` opens too few levels to be nested deeper than ``MAX_DEPTH``."""
    return text.count("{") + text.count("[") <= MAX_DEPTH


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _decimal(number: int) -> str:
    """Spell an integer of any size; in hexadecimal where a Python may refuse the decimal."""
    return str(number) if number.bit_length() <= _DECIMAL_BITS else hex(number)


def _from_decimal(digits: str) -> int:
    return int(digits, 16) if digits.lstrip("-").startswith("0x") else int(digits)


def _number(odd: list[str], digits: str) -> float:
    """Read a number with a fraction or exponent, and note that one was met."""
    odd.append(digits)
    return float(digits)


def _integer(odd: list[str], digits: str) -> int | float:
    """Read a number without fraction; beyond the safe range it was a double (``1e20``)."""
    try:
        number = int(digits)
    except ValueError:
        number = _SAFE_INTEGER + 1
    if abs(number) <= _SAFE_INTEGER and digits != "-0":
        return number
    return _number(odd, digits)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"the constant {name} is not JSON")
