"""Llama model cards: languages and inputs beyond what the publisher supports.

The cards put further languages and more than five images out of scope unless the developer takes
responsibility. A passed evaluation of the deployment, or a reviewer, is how that is taken.
Source: ``models/llama4/MODEL_CARD.md``, "Supported languages" and "Out-of-scope"; 3.x likewise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.licensing.findings import Finding, Outcome

if TYPE_CHECKING:
    from agentkit.licensing.case import LlamaCase, LlamaRule

__all__ = ["CARD_RULES"]

_SAME = {"fil": "tl", "in": "id"}  # Filipino is standardised Tagalog; "in" is Indonesian's old code


def languages(case: LlamaCase) -> Finding:
    """Each of the deployment's languages is supported by the card or was evaluated."""
    rule, clause = "llama.languages", f"{case.terms.version} model card, Out-of-scope"
    supported, used = case.model.languages, case.deployment.languages
    if supported is None:
        reason = "the table holds no list of supported languages for this model"
        return Finding(rule, clause, Outcome.RECORD, reason)
    if not used:
        return Finding(
            rule,
            clause,
            Outcome.REVIEW,
            "the languages of the deployment are not known",
            "state deployment.languages, such as [en, nb]",
        )
    beyond = [code for code in used if _SAME.get(code, code) not in supported]
    open_ = ", ".join(code for code in beyond if code not in case.deployment.language_evaluations)
    if open_:
        return Finding(
            rule,
            clause,
            Outcome.REVIEW,
            f"outside the languages the card supports, and not evaluated here: {open_}",
            f"evaluate this deployment in {open_} and state language_evaluations, or have a "
            "reviewer take responsibility",
        )
    how = f"supported or evaluated here ({', '.join(beyond)})" if beyond else "supported"
    return Finding(rule, clause, Outcome.ALLOW, f"{', '.join(used)}: {how}")


def images(case: LlamaCase) -> Finding:
    """Hold images per prompt against the tested number; video comes only as frames."""
    rule, clause = "llama.images", f"{case.terms.version} model card, Out-of-scope, note 2"
    tested, used = case.model.max_images, case.deployment.images_per_prompt
    if tested is None:
        return Finding(rule, clause, Outcome.RECORD, "the table holds no tested number of images")
    if used is None or used > tested:
        count = "an unknown number of" if used is None else str(used)
        return Finding(
            rule,
            clause,
            Outcome.REVIEW,
            f"{count} images per prompt; the publisher tested {tested}",
            f"send at most {tested} images (video frames count), or have a reviewer confirm tests",
        )
    reason = f"{used} images per prompt, tested to {tested}; no native video, only frames"
    return Finding(rule, clause, Outcome.ALLOW, reason)


CARD_RULES: tuple[LlamaRule, ...] = (languages, images)
