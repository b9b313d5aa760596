"""``@tool``: make a tool of a typed Python function.

The JSON Schema comes from the annotations (through pydantic), the description from the docstring's
first paragraph. Arguments are validated strictly before the function sees them.
"""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any, get_type_hints

import anyio
from pydantic import ConfigDict, ValidationError, create_model

from agentkit.errors import ToolError
from agentkit.tools.declaration import Effect, Tool, ToolCall, ToolFunction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

    from agentkit.tools.endorsement import Endorsement
    from agentkit.tools.results import ResultFields, ResultReaders, ReturnRule

__all__ = ["tool"]


def tool(
    *,
    effect: Effect | str = Effect.EXTERNAL,
    returns: ReturnRule | ResultFields = "untrusted",
    sensitive: frozenset[str] | None = None,
    audience: frozenset[str] = frozenset(),
    content: frozenset[str] = frozenset(),
    endorsements: Mapping[str, tuple[Endorsement, ...]] | None = None,
    result_readers: ResultReaders = "user",
    name: str | None = None,
) -> Callable[[Callable[..., Any]], Tool]:
    """Return a decorator that makes a ``Tool`` of a plain or async function.

    What the declaration says is explained at ``Tool``. Example::

        @tool(effect="read", returns="inputs")
        def slugify(text: str) -> str:
            "Make a URL slug of a title."

    Raises ``ToolError`` where an annotation or the docstring is missing.
    """

    def decorate(function: Callable[..., Any]) -> Tool:
        tool_name = name or function.__name__
        model = _arguments_model(tool_name, function)
        return Tool(
            name=tool_name,
            description=_description(tool_name, function),
            parameters=_schema(model),
            function=_adapter(tool_name, function, model),
            effect=Effect(effect),
            returns=returns,
            sensitive=sensitive,
            audience=audience,
            content=content,
            endorsements=endorsements or {},
            result_readers=result_readers,
        )

    return decorate


def _description(name: str, function: Callable[..., Any]) -> str:
    text = inspect.getdoc(function)
    if not text:
        raise ToolError(
            f"tool {name!r} has no docstring", cure="say in one line what it does; models read it"
        )
    return " ".join(text.split("\n\n")[0].split())


def _arguments_model(name: str, function: Callable[..., Any]) -> type[BaseModel]:
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            raise ToolError(
                f"tool {name!r} takes *{parameter.name}", cure="name each parameter of a tool"
            )
        if parameter.name not in hints:
            raise ToolError(
                f"parameter {parameter.name!r} of tool {name!r} has no type",
                cure=f"annotate it, for example {parameter.name}: str",
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    return create_model(name, __config__=ConfigDict(extra="forbid", strict=True), **fields)


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema()
    schema.pop("title", None)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)
    schema.setdefault("properties", {})
    return schema


def _adapter(name: str, function: Callable[..., Any], model: type[BaseModel]) -> ToolFunction:
    async def call_function(call: ToolCall) -> str:
        try:
            arguments = model.model_validate(call.arguments)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(step) for step in first["loc"])
            raise ToolError(f"{name}: argument {where!r}: {first['msg']}") from error
        values = {key: getattr(arguments, key) for key in type(arguments).model_fields}
        if inspect.iscoroutinefunction(function):
            result = await function(**values)
        else:
            result = await anyio.to_thread.run_sync(lambda: function(**values))
        return result if isinstance(result, str) else _as_text(name, result)

    return call_function


def _as_text(name: str, result: object) -> str:
    try:
        return json.dumps(result, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ToolError(
            f"tool {name!r} returned {type(result).__name__}, which is no JSON value",
            cure="return a str, a number, a list or a dict of these",
        ) from error
