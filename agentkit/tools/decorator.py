"""``@tool``: make a tool of a typed Python function.

The JSON Schema comes from the annotations (through pydantic), the description from the docstring's
first paragraph. Arguments are validated strictly before the function sees them, as the JSON that
they came as: a date is a string there, a tuple is an array, and ``"3"`` is still no integer.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_type_hints

import anyio
from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.errors import PydanticUserError

from agentkit.errors import ToolError
from agentkit.tools.declaration import Effect, Tool, ToolCall, ToolFunction

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkit.tools.endorsement import Endorsement
    from agentkit.tools.results import ResultFields, ResultReaders, ReturnRule

__all__ = ["tool"]

_EXACT = 2**53  # from here on a float is not sure to be the integer that was written


def tool(
    *,
    effect: Effect | str = Effect.EXTERNAL,
    returns: ReturnRule | ResultFields = "untrusted",
    sensitive: frozenset[str] | None = None,
    audience: frozenset[str] = frozenset(),
    content: frozenset[str] = frozenset(),
    endorsements: Mapping[str, tuple[Endorsement, ...]] | None = None,
    result_readers: ResultReaders = "user",
    idempotent: bool = False,
    name: str | None = None,
) -> Callable[[Callable[..., Any]], Tool]:
    """Return a decorator that makes a ``Tool`` of a plain or async function.

    What the declaration says is explained at ``Tool``. Example::

        @tool(effect="read", returns="inputs")
        def slugify(text: str) -> str:
            "Make a URL slug of a title."

    Raises ``ToolError`` where an annotation or the docstring is missing, where a parameter cannot
    be described to a model, and for an effect that there is not.
    """

    def decorate(function: Callable[..., Any]) -> Tool:
        tool_name = name or function.__name__
        model, schema = _arguments_model(tool_name, function)
        return Tool(
            name=tool_name,
            description=_description(tool_name, function),
            parameters=schema,
            function=_adapter(tool_name, function, model),
            effect=_effect(tool_name, effect),
            returns=returns,
            sensitive=sensitive,
            audience=audience,
            content=content,
            endorsements=endorsements or {},
            result_readers=result_readers,
            idempotent=idempotent,
        )

    return decorate


def _effect(name: str, given: Effect | str) -> Effect:
    try:
        return Effect(given)
    except ValueError:
        known = ", ".join(repr(str(one)) for one in Effect)
        raise ToolError(
            f"tool {name!r} has the effect {given!r}, which there is not",
            cure=f"use one of {known}",
        ) from None


def _description(name: str, function: Callable[..., Any]) -> str:
    text = inspect.getdoc(function)
    if not text:
        raise ToolError(
            f"tool {name!r} has no docstring", cure="say in one line what it does; models read it"
        )
    return " ".join(text.split("\n\n")[0].split())


def _arguments_model(
    name: str, function: Callable[..., Any]
) -> tuple[type[BaseModel], dict[str, Any]]:
    """Return the model that validates a function's arguments, and its JSON Schema."""
    fields: dict[str, Any] = {}
    try:
        hints = get_type_hints(function, include_extras=True)
        for parameter in inspect.signature(function).parameters.values():
            _check_parameter(name, parameter, hints)
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[parameter.name] = (hints[parameter.name], default)
        model = create_model(name, __config__=ConfigDict(extra="forbid", strict=True), **fields)
        return model, _schema(model)
    except (PydanticUserError, NameError) as error:
        raise ToolError(
            f"no JSON Schema can be made of the parameters of tool {name!r}: "
            + str(error).partition("\n")[0],
            cure="annotate them with types that JSON can carry, defined where the function is",
        ) from error


def _check_parameter(name: str, parameter: inspect.Parameter, hints: Mapping[str, Any]) -> None:
    if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
        raise ToolError(
            f"tool {name!r} takes *{parameter.name}", cure="name each parameter of a tool"
        )
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise ToolError(
            f"parameter {parameter.name!r} of tool {name!r} is positional only",
            cure="take the / out of the signature: arguments are given by name",
        )
    # Pydantic keeps these for itself: such a parameter would be missing from the schema.
    own = parameter.name.startswith("model_") and hasattr(BaseModel, parameter.name)
    if own or parameter.name.startswith("_"):
        raise ToolError(
            f"tool {name!r} cannot have a parameter of the name {parameter.name!r}",
            cure="give it another name, without _ at its beginning",
        )
    if parameter.name not in hints:
        raise ToolError(
            f"parameter {parameter.name!r} of tool {name!r} has no type",
            cure=f"annotate it, for example {parameter.name}: str",
        )


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema()
    schema.pop("title", None)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)
    schema.setdefault("properties", {})
    return schema


def _adapter(name: str, function: Callable[..., Any], model: type[BaseModel]) -> ToolFunction:
    async def call_function(call: ToolCall) -> str:
        arguments = _validated(name, model, call.arguments)
        values = {key: getattr(arguments, key) for key in type(arguments).model_fields}
        if inspect.iscoroutinefunction(function):
            result = await function(**values)
        else:
            result = await anyio.to_thread.run_sync(lambda: function(**values))
            if inspect.isawaitable(result):  # an async function that a decorator wraps
                result = await result
        return result if isinstance(result, str) else _as_text(name, result)

    return call_function


def _validated(name: str, model: type[BaseModel], arguments: Mapping[str, Any]) -> BaseModel:
    try:
        return model.model_validate_json(json.dumps(_whole_numbers(arguments)))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise ToolError(f"{name}: argument {where!r}: {first['msg']}") from error


def _whole_numbers(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value with 3.0 as 3: to JSON Schema both are the same integer."""
    if isinstance(value, Mapping):
        return {key: _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_whole_numbers(item) for item in value]
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < _EXACT
    return int(value) if is_whole else value


def _as_text(name: str, result: object) -> str:
    try:
        return json.dumps(result, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ToolError(
            f"tool {name!r} returned {type(result).__name__}, which is no JSON value",
            cure="return a str, a number, a list or a dict of these",
        ) from error
