"""Constrained decoding with llguidance: at each step, only tokens that keep the reply well-formed.

What is covered:
- A constrained call names a declared tool and its arguments match the tool's JSON Schema.
- Special tokens other than the end of the reply are outside every mask, so a constrained reply
  cannot open a header of its own.

What is not covered:
- Whether the call is wise: every call still passes the gate, with the same schema checked again.
- Formats such as ``date`` are matched by llguidance's own patterns, not by a calendar.
- A reply that is cut by its token limit is a prefix of a well-formed reply, not one.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from llguidance import LLMatcher
from llguidance.hf import from_tokenizer

from agentkit.errors import ModelError
from agentkit.model.lark import reply_lark, schema_lark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llguidance import LLTokenizer
    from transformers import PreTrainedTokenizerFast

    from agentkit.messages import FunctionDeclaration
    from agentkit.model.protocol import Constraint
    from agentkit.model.toolcalls import CallSyntax

__all__ = ["ReplyGrammar", "ReplyMatcher"]

_CACHED_GRAMMARS: Final = 32
_QUIET: Final = 0


class ReplyMatcher:
    """The state of one reply under its grammar. Not shared between threads."""

    def __init__(self, matcher: LLMatcher, vocabulary: int) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary

    @property
    def is_finished(self) -> bool:
        """Whether nothing but the end of the reply may follow, or it has been accepted."""
        return bool(self._matcher.is_stopped())

    @property
    def may_finish(self) -> bool:
        """Whether the reply so far is complete."""
        return bool(self._matcher.is_accepting())

    def mask(self, logits: torch.Tensor) -> None:
        """Set the logits of all tokens that cannot follow to -inf, in place.

        ``logits``: [vocabulary] or [1, vocabulary], any floating dtype and device.
        Raises ``ModelError`` where the grammar broke a limit of llguidance.
        """
        packed = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        self._check()
        bits = np.unpackbits(np.invert(packed), bitorder="little")[: self._vocabulary]
        width = min(logits.shape[-1], bits.shape[0])
        forbidden = bits[:width].view(np.bool_)
        if logits.device.type == "cpu" and logits.dtype is torch.float32:
            # In numpy, on this thread: torch would wake its thread pool for a 0.1 ms job, which
            # takes 20 ms where the cores are busy (measured).
            np.copyto(logits.detach()[..., :width].numpy(), -np.inf, where=forbidden)
        else:
            logits[..., :width].masked_fill_(
                torch.from_numpy(forbidden).to(logits.device), float("-inf")
            )
        if logits.shape[-1] > width:
            logits[..., width:] = float("-inf")

    def accept(self, token_id: int) -> None:
        """Go on with ``token_id``. Raises ``ModelError`` where it cannot follow."""
        if not self._matcher.consume_token(token_id):
            self._check()
            raise ModelError(
                f"token {token_id} does not fit the reply's grammar",
                cure="mask the logits before each token is chosen",
            )

    def fast_forward(self) -> list[int]:
        """Accept and return the tokens that are the only way on; empty where there is a choice."""
        forced: list[int] = self._matcher.compute_ff_tokens()
        for token_id in forced:
            self.accept(token_id)
        return forced

    def _check(self) -> None:
        if self._matcher.is_error():
            raise ModelError(
                f"constrained decoding failed: {_first_line(self._matcher.get_error())}",
                cure="simplify the tool's or the response's JSON Schema",
            )


class ReplyGrammar:
    """Compiles reply grammars for one tokenizer. Built once per model; safe between threads.

    ``vocab_size``: width of the model's logits. ``eos_token_ids``: ids that end a reply. Raises
    ``ModelError`` for a tokenizer that llguidance cannot read.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        vocab_size: int,
        eos_token_ids: Sequence[int],
    ) -> None:
        self._vocabulary = max(vocab_size, len(tokenizer))
        try:
            self._tokenizer: LLTokenizer = from_tokenizer(
                tokenizer, n_vocab=self._vocabulary, eos_token=list(eos_token_ids)
            )
        except Exception as error:  # its native part raises nearly anything
            raise ModelError(
                f"constrained decoding cannot read the tokenizer: {_first_line(str(error))}",
                cure="use a model whose tokenizer is byte-level or falls back to bytes",
            ) from error
        self._compiled: OrderedDict[str, LLMatcher] = OrderedDict()
        self._lock = Lock()

    def matcher(
        self,
        tools: Sequence[FunctionDeclaration],
        constraint: Constraint,
        syntax: CallSyntax,
        *,
        max_calls: int = 8,
    ) -> ReplyMatcher | None:
        """Return the state before a reply's first token, or None where any reply is right.

        Raises ``ModelError`` that names the tool whose schema llguidance cannot take.
        """
        lark = reply_lark(tools, constraint, syntax, max_calls=max_calls)
        if lark is None:
            return None
        key = hashlib.sha256(lark.encode()).hexdigest()
        with self._lock:
            compiled = self._compiled.get(key)
        if compiled is None:  # without the lock: seconds for a large one, and others need theirs
            compiled = self._compile(lark, tools, constraint)
        with self._lock:
            self._compiled[key] = compiled
            self._compiled.move_to_end(key)
            if len(self._compiled) > _CACHED_GRAMMARS:
                self._compiled.popitem(last=False)
            return ReplyMatcher(compiled.deep_copy(), self._vocabulary)

    def _compile(
        self, lark: str, tools: Sequence[FunctionDeclaration], constraint: Constraint
    ) -> LLMatcher:
        matcher = LLMatcher(self._tokenizer, LLMatcher.grammar_from_lark(lark), log_level=_QUIET)
        if not matcher.is_error():
            return matcher
        for tool in tools:
            self._check_schema(schema_lark(tool.parameters), f"the parameters of tool {tool.name}")
        if constraint.response_schema is not None:
            self._check_schema(schema_lark(constraint.response_schema), "the response schema")
        raise ModelError(
            f"the reply's grammar cannot be compiled: {_first_line(matcher.get_error())}",
            cure="declare fewer tools, or simplify their JSON Schemas",
        )

    def _check_schema(self, lark: str, what: str) -> None:
        complaint = LLMatcher.validate_grammar(LLMatcher.grammar_from_lark(lark), self._tokenizer)
        if complaint and not complaint.startswith("WARNING"):
            raise ModelError(
                f"{what} cannot be enforced while decoding: {_first_line(complaint)}",
                cure="leave that keyword out of the JSON Schema and check it in the tool itself",
            )


def _first_line(complaint: str) -> str:
    lines = [line.strip() for line in complaint.strip().splitlines()]
    return lines[0] if lines else "no reason given"
