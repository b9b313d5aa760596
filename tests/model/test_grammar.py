"""Constrained decoding against real tokenizers: what random logits under a mask can write."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import torch

from agentkit.errors import ModelError
from agentkit.messages import FunctionDeclaration
from agentkit.model.grammar import ReplyGrammar, ReplyMatcher
from agentkit.model.protocol import Constraint, ToolCallDelta
from agentkit.model.toolcalls import CallSyntax, parse_calls, render_calls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedTokenizerFast

WEATHER = FunctionDeclaration(
    "get_weather",
    "Return the weather of a city",
    {
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 8},
            "days": {"type": "integer", "minimum": 1, "maximum": 16},
            "units": {"enum": ["metric", "imperial"]},
        },
        "required": ["city"],
    },
)
CLOCK = FunctionDeclaration("now", "Return the time", {"type": "object", "properties": {}})
ODD = FunctionDeclaration(
    "odd.name-2",
    "Keys that are no identifiers, a reference, nesting",
    {
        "type": "object",
        "properties": {
            "a b": {"$ref": "#/$defs/level"},
            "flags": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2},
        },
        "required": ["a b", "flags"],
        "$defs": {"level": {"enum": ["low", "high", None]}},
    },
)
REFERENCE = FunctionDeclaration(
    "refer",
    "A reference in a schema that pythonic calls can say",
    {
        "type": "object",
        "properties": {"level": {"$ref": "#/$defs/level"}},
        "required": ["level"],
        "$defs": {"level": {"enum": [True, None, 1]}},
    },
)
TOOLS = (WEATHER, CLOCK, ODD, REFERENCE)
REQUIRED = Constraint("required")


@pytest.fixture(scope="module")
def grammar(byte_level: PreTrainedTokenizerFast) -> ReplyGrammar:
    stops = byte_level.convert_tokens_to_ids(["<|eot|>", "<|eom|>", "<|end_of_text|>"])
    return ReplyGrammar(byte_level, len(byte_level), stops)


def started(
    grammar: ReplyGrammar,
    tools: Sequence[FunctionDeclaration],
    constraint: Constraint = REQUIRED,
    syntax: CallSyntax = CallSyntax.JSON,
    **more: int,
) -> ReplyMatcher:
    matcher = grammar.matcher(tools, constraint, syntax, **more)
    assert matcher is not None
    return matcher


def takes(matcher: ReplyMatcher, tokenizer: PreTrainedTokenizerFast, text: str) -> bool:
    """Whether the whole text is a complete reply under the grammar."""
    try:
        for token_id in tokenizer(text, add_special_tokens=False)["input_ids"]:
            logits = torch.zeros(len(tokenizer))
            matcher.mask(logits)
            if logits[token_id] != 0:
                return False
            matcher.accept(token_id)
    except ModelError:
        return False
    return matcher.may_finish


def sampled(
    matcher: ReplyMatcher, tokenizer: PreTrainedTokenizerFast, seed: int, *, ends: bool = True
) -> str:
    """Write a reply with random logits under the mask; end it once it may end, if ``ends``."""
    generator = torch.Generator().manual_seed(seed)
    stop = tokenizer.eos_token_id
    ids: list[int] = []
    for _ in range(600):
        ids += matcher.fast_forward()
        logits = torch.randn(1, len(tokenizer), generator=generator)
        matcher.mask(logits)
        if matcher.is_finished or (ends and logits[0, stop] > float("-inf")):
            return tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        token_id = int(logits.argmax())
        if token_id == stop:
            return tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        ids.append(token_id)
        matcher.accept(token_id)
    raise AssertionError(tokenizer.decode(ids))


@pytest.mark.parametrize("syntax", CallSyntax)
def test_random_logits_can_only_write_valid_calls(
    grammar: ReplyGrammar, byte_level: PreTrainedTokenizerFast, syntax: CallSyntax
) -> None:
    schemas: dict[str, Any] = {tool.name: tool.parameters for tool in TOOLS}
    seen: set[str] = set()
    for seed in range(24):
        text = sampled(started(grammar, TOOLS, syntax=syntax, max_calls=3), byte_level, seed)
        reply = parse_calls(text, syntaxes=[syntax, CallSyntax.JSON], declared=schemas)
        assert reply.calls, text
        for call in reply.calls:
            assert isinstance(call, ToolCallDelta), text
            jsonschema.validate(call.arguments, schemas[call.name])
            seen.add(call.name)
    assert seen == set(schemas)


@pytest.mark.parametrize("syntax", CallSyntax)
def test_rendered_calls_fit_the_grammar(
    grammar: ReplyGrammar, byte_level: PreTrainedTokenizerFast, syntax: CallSyntax
) -> None:
    calls = [
        ToolCallDelta("get_weather", {"city": "Å<b>\"'\\", "days": 3}),
        ToolCallDelta("now", {}),
    ]
    text = render_calls(calls, syntax)
    if syntax is CallSyntax.TAG:
        text = text.replace("\\u003c", "<")  # the grammar writes it plainly, both read the same
    assert takes(started(grammar, TOOLS, syntax=syntax), byte_level, text)


def test_pythonic_arguments_keep_their_order_and_may_be_left_out(
    grammar: ReplyGrammar, byte_level: PreTrainedTokenizerFast
) -> None:
    def fits(text: str) -> bool:
        return takes(started(grammar, TOOLS, syntax=CallSyntax.PYTHONIC), byte_level, text)

    assert fits('[get_weather(city="Oslo")]')
    assert fits('[get_weather(city="Oslo", units="metric")]')
    assert fits('[get_weather(city="Oslo", days=3, units="metric"), now()]')
    assert fits("[refer(level=null)]")
    assert not fits("[get_weather(days=3)]")
    assert not fits('[get_weather(days=3, city="Oslo")]')
    assert not fits('[get_weather(city="Oslo", days=17)]')
    assert not fits('[get_weather(city="Oslo",days=3)]')
    assert not fits("[]")


def test_a_tool_that_pythonic_cannot_say_is_called_in_json(
    grammar: ReplyGrammar, byte_level: PreTrainedTokenizerFast
) -> None:
    text = '{"name": "odd.name-2", "arguments": {"a b": "low", "flags": [true]}}'
    assert takes(started(grammar, TOOLS, syntax=CallSyntax.PYTHONIC), byte_level, text)


@pytest.mark.parametrize("syntax", CallSyntax)
@pytest.mark.parametrize("choice", ["auto", "none"])
def test_free_text_is_free_unless_it_starts_as_a_call(
    grammar: ReplyGrammar, byte_level: PreTrainedTokenizerFast, syntax: CallSyntax, choice: str
) -> None:
    def fits(text: str) -> bool:
        return takes(started(grammar, TOOLS, Constraint(choice), syntax), byte_level, text)

    for text in ["Hello.", '{"answer": 42}', "[1] says so", "<b>", "get_weather is a tool", "\nHi"]:
        assert fits(text), text
    for text in [
        '{"name": "rm", "arguments": {}}',
        ' {"name": "now", "arguments": {"x": 1}}',
        "<function=rm>{}</function>",
        "[ now (1)]",
        '[{"name": "rm"}]',
        "{'name': 'now'}",
    ]:
        assert not fits(text), text


@pytest.mark.parametrize("syntax", CallSyntax)
def test_calls_are_allowed_with_auto_and_not_with_none(
    grammar: ReplyGrammar, byte_level: PreTrainedTokenizerFast, syntax: CallSyntax
) -> None:
    text = render_calls([ToolCallDelta("now", {})], syntax)
    assert takes(started(grammar, TOOLS, Constraint("auto"), syntax), byte_level, text)
    assert not takes(started(grammar, TOOLS, Constraint("none"), syntax), byte_level, text)


def test_required_takes_no_text(grammar: ReplyGrammar, byte_level: PreTrainedTokenizerFast) -> None:
    assert not takes(started(grammar, TOOLS), byte_level, "Hello")
    assert not takes(started(grammar, TOOLS), byte_level, "")


def test_max_calls_bounds_the_reply(
    grammar: ReplyGrammar, byte_level: PreTrainedTokenizerFast
) -> None:
    one = '{"name": "now", "arguments": {}}'
    assert takes(started(grammar, TOOLS, max_calls=2), byte_level, f"{one}\n{one}")
    assert not takes(started(grammar, TOOLS, max_calls=1), byte_level, f"{one}\n{one}")


def test_nothing_to_constrain(grammar: ReplyGrammar) -> None:
    assert grammar.matcher((), Constraint(), CallSyntax.JSON) is None
    assert grammar.matcher((), Constraint("none"), CallSyntax.JSON) is None


def test_required_without_tools_is_an_error(grammar: ReplyGrammar) -> None:
    with pytest.raises(ModelError, match="no tool is declared"):
        grammar.matcher((), REQUIRED, CallSyntax.JSON)


def test_response_schema(grammar: ReplyGrammar, byte_level: PreTrainedTokenizerFast) -> None:
    constraint = Constraint(
        response_schema={
            "type": "object",
            "properties": {"ok": {"type": "boolean"}},
            "required": ["ok"],
            "additionalProperties": False,
        }
    )
    for seed in range(4):
        text = sampled(started(grammar, (), constraint), byte_level, seed)
        assert isinstance(json.loads(text)["ok"], bool)
    assert takes(started(grammar, TOOLS, constraint), byte_level, '{"ok": true}')
    for call in (
        '{"name": "now", "arguments": {}}\n{"name": "now", "arguments": {}}',
        '{"name": "refer", "arguments": {"level": null}}',
        '{"name": "odd.name-2", "arguments": {"a b": "low", "flags": []}}',
    ):
        for syntax in (CallSyntax.JSON, CallSyntax.PYTHONIC):
            assert takes(started(grammar, TOOLS, constraint, syntax), byte_level, call)
    tagged = '<function=refer>{"level": true}</function>'
    assert takes(started(grammar, TOOLS, constraint, CallSyntax.TAG), byte_level, tagged)
    assert not takes(started(grammar, TOOLS, constraint), byte_level, "Hello")


def test_special_tokens_are_outside_every_mask(
    grammar: ReplyGrammar, byte_level: PreTrainedTokenizerFast
) -> None:
    matcher = started(grammar, TOOLS, Constraint("auto"))
    matcher.accept(byte_level("Hello", add_special_tokens=False)["input_ids"][0])
    logits = torch.zeros(len(byte_level))
    matcher.mask(logits)
    for token in ("<|header_start|>", "<|header_end|>", "<|python_start|>", "<|begin_of_text|>"):
        assert logits[byte_level.convert_tokens_to_ids(token)] == float("-inf")
    for token in ("<|eot|>", "<|eom|>", "<|end_of_text|>"):
        assert logits[byte_level.convert_tokens_to_ids(token)] == 0


@pytest.mark.parametrize("stop", ["<|eot|>", "<|eom|>"])
def test_each_stop_token_finishes(
    grammar: ReplyGrammar, byte_level: PreTrainedTokenizerFast, stop: str
) -> None:
    matcher = started(grammar, [CLOCK])
    assert not matcher.is_finished
    assert takes(matcher, byte_level, '{"name": "now", "arguments": {}}')
    matcher.accept(byte_level.convert_tokens_to_ids(stop))
    assert matcher.is_finished


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("wider", [0, 64])
def test_masks_of_every_width_and_dtype_agree(
    byte_level: PreTrainedTokenizerFast, grammar: ReplyGrammar, dtype: torch.dtype, wider: int
) -> None:
    flat = torch.zeros(len(byte_level), dtype=torch.float64)
    started(grammar, [CLOCK]).mask(flat)
    logits = torch.zeros(1, len(byte_level) + wider, dtype=dtype)
    started(grammar, [CLOCK]).mask(logits)
    assert torch.equal(logits[0, : len(byte_level)].double(), flat)
    assert torch.isinf(logits[0, len(byte_level) :]).all()
    assert torch.isfinite(logits).any()


def test_a_token_outside_the_grammar_is_an_error(
    grammar: ReplyGrammar, byte_level: PreTrainedTokenizerFast
) -> None:
    with pytest.raises(ModelError, match=r"constrained decoding failed|does not fit"):
        started(grammar, [CLOCK]).accept(byte_level.convert_tokens_to_ids("<|header_start|>"))


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        ({"type": "banana"}, "Invalid type"),
        ({"type": "string", "pattern": "(?=a)b"}, "look-ahead|regex"),
        ({"not": {"type": "string"}}, "not"),
        ({"$ref": "http://127.0.0.1:9/schema.json"}, "not present|retriev"),
    ],
)
def test_a_schema_that_cannot_be_enforced_names_its_tool(
    grammar: ReplyGrammar, schema: dict[str, object], complaint: str
) -> None:
    bad = FunctionDeclaration("bad", "", {"type": "object", "properties": {"x": schema}})
    with pytest.raises(ModelError, match=r"parameters of tool bad") as failure:
        grammar.matcher([CLOCK, bad], REQUIRED, CallSyntax.JSON)
    assert failure.value.cure
    with pytest.raises(ModelError, match="response schema"):
        grammar.matcher((), Constraint(response_schema={"type": "banana"}), CallSyntax.JSON)


def test_a_name_that_no_call_can_carry_is_an_error(grammar: ReplyGrammar) -> None:
    odd = FunctionDeclaration('a", "b', "", {"type": "object", "properties": {}})
    with pytest.raises(ModelError, match="cannot be the name of a tool"):
        grammar.matcher([odd], REQUIRED, CallSyntax.JSON)


def test_compiled_grammars_are_kept_by_content_and_bounded(grammar: ReplyGrammar) -> None:
    for number in range(40):
        tool = FunctionDeclaration(f"tool_{number}", "", CLOCK.parameters)
        started(grammar, [tool])
        started(grammar, [tool])
    assert len(grammar._compiled) == 32
