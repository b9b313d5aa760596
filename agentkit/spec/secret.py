"""Secrets: named in agent.yaml as ``${NAME}``, read from the environment, shown nowhere.

What is covered: ``repr``, ``str``, formatting, comparison by content, pydantic dumps (which give
the reference back), pickling and copying of a ``Secret`` never yield its value; a value written
into the file itself is refused without being quoted.

What is not covered: the process's own memory and environment, and whoever calls ``reveal``.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from pydantic_core import core_schema

from agentkit.spec.section import REFERENCE, Fault, faults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

__all__ = ["Environment", "Secret"]


@dataclass(slots=True)
class Environment:
    """Where references are looked up while a file is validated; remembers ``used`` names."""

    variables: Mapping[str, str]
    used: set[str] = field(default_factory=set)


class Secret:
    """A value that is used and never shown. ``reference``: the variable's name it came from."""

    __slots__ = ("_value", "reference")

    def __init__(self, reference: str, value: str) -> None:
        self.reference = reference
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself; call it where it is sent, and keep no copy."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret(${{{self.reference}}})"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        same = hmac.compare_digest(self._value.encode(), other._value.encode())
        return same and self.reference == other.reference

    def __hash__(self) -> int:
        return hash(self.reference)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            _validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda secret: f"${{{secret.reference}}}", when_used="always"
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {
            "type": "string",
            "pattern": r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}$",
            "examples": ["${MODEL_API_KEY}"],
        }


def _validate(value: object, info: core_schema.ValidationInfo) -> Secret:
    """Return the secret that ``value`` refers to; no fault quotes ``value``, it may be a key."""
    if isinstance(value, Secret):
        return value
    found = REFERENCE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise faults(
            Fault(
                "secrets do not belong in the file (what stands here is not shown)",
                "put the key into an environment variable and write ${NAME} here; if the file"
                " was ever shared, replace the key",
            )
        )
    name = found[1]
    if not isinstance(info.context, Environment):
        raise faults(Fault(f"${{{name}}} has no environment", "load the file with load_spec"))
    if name not in info.context.variables:
        raise faults(
            Fault(f"the environment variable {name} is not set", f"set it: export {name}=…")
        )
    secret = info.context.variables[name]
    if not secret.strip() or not secret.isprintable():
        raise faults(
            Fault(
                f"the environment variable {name} is empty or holds control characters",
                f"set it to the key alone: export {name}=…",
            )
        )
    info.context.used.add(name)
    return Secret(name, secret)
