"""Every row on releases: section 1.b.i, 1.b.iii and 1.b.v, named by its clause."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentkit.licensing import LICENCES, TrainedModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkit.licensing import LicenceDecision

SCOUT = "meta-llama/Llama-4-Scout-17B-16E-Instruct"
LLAMA_31 = "meta-llama/Llama-3.1-8B-Instruct"
LLAMA_33 = "meta-llama/Llama-3.3-70B-Instruct"
LLAMA_3 = "meta-llama/Meta-Llama-3-8B-Instruct"
LLAMA_2 = "meta-llama/Llama-2-7b-chat-hf"
NOTICE = (
    "Llama 4 is licensed under the Llama 4 Community License, "
    "Copyright © Meta Platforms, Inc. All Rights Reserved."
)
SHIPPED = {"ships_licence": True, "attribution": "Built with Llama", "notice": NOTICE}
PRODUCT = {"distribution": "product", **SHIPPED}
HOSTED = {"distribution": "hosted_api", "access": "managed_api", **SHIPPED}


def _row(clause: str, rule: str, outcome: str, **facts: object) -> tuple[object, ...]:
    return pytest.param(rule, outcome, facts, id=clause)


RELEASE = [
    _row("1.b.i(A) internal", "llama.copy_of_agreement", "record"),
    _row("1.b.i(A) shipped", "llama.copy_of_agreement", "allow", **PRODUCT),
    _row(
        "1.b.i(A) missing", "llama.copy_of_agreement", "deny", **{**PRODUCT, "ships_licence": False}
    ),
    _row(
        "1.b.i(A) unknown",
        "llama.copy_of_agreement",
        "review",
        **{**PRODUCT, "ships_licence": None},
    ),
    _row("1.b.i(A) distribution unknown", "llama.copy_of_agreement", "review", distribution=None),
    _row("1.b.i(A) managed API", "llama.copy_of_agreement", "record", **HOSTED),
    _row(
        "1.b.i(A) own API for others",
        "llama.copy_of_agreement",
        "deny",
        **{**HOSTED, "access": "self_hosted", "ships_licence": False},
    ),
    _row("1.b.i(B) internal", "llama.attribution", "record"),
    _row("1.b.i(B) shown", "llama.attribution", "allow", **PRODUCT),
    _row("1.b.i(B) missing", "llama.attribution", "deny", **{**PRODUCT, "attribution": None}),
    _row(
        "1.b.i(B) wrong text",
        "llama.attribution",
        "deny",
        **{**PRODUCT, "attribution": "Uses Llama"},
    ),
    _row("1.b.i(B) hosted API", "llama.attribution", "review", **{**HOSTED, "attribution": None}),
    _row("1.b.i(B) hosted API, shown", "llama.attribution", "allow", **HOSTED),
    _row(
        "1.b.i(B) own API for others",
        "llama.attribution",
        "deny",
        **{**HOSTED, "access": "self_hosted", "attribution": None},
    ),
    _row("1.b.i(B) distribution unknown", "llama.attribution", "review", distribution=None),
    _row("1.b.iii internal", "llama.notice_file", "record"),
    _row("1.b.iii exact", "llama.notice_file", "allow", **PRODUCT),
    _row(
        "1.b.iii among others",
        "llama.notice_file",
        "allow",
        **{**PRODUCT, "notice": f"A\n{NOTICE}\nB"},
    ),
    _row("1.b.iii missing", "llama.notice_file", "deny", **{**PRODUCT, "notice": None}),
    _row(
        "1.b.iii inexact",
        "llama.notice_file",
        "deny",
        **{**PRODUCT, "notice": NOTICE.replace("©", "(c)")},
    ),
    _row("1.b.iii distribution unknown", "llama.notice_file", "review", distribution=None),
]

NAMES = [
    _row("1.b.i name: no model", "llama.name_prefix", "record"),
    _row(
        "1.b.i name: right",
        "llama.name_prefix",
        "allow",
        trained_models=(TrainedModel("fjordbank/Llama-Fjord", distributed=True),),
    ),
    _row(
        "1.b.i name: wrong",
        "llama.name_prefix",
        "deny",
        trained_models=(TrainedModel("fjordbank/Fjord-Llama", distributed=True),),
    ),
    _row(
        "1.b.i name: wrong, internal",
        "llama.name_prefix",
        "allow",
        trained_models=(TrainedModel("Fjord", distributed=False),),
    ),
    _row(
        "1.b.i name: wrong, unknown",
        "llama.name_prefix",
        "review",
        trained_models=(TrainedModel("Fjord"),),
    ),
    _row(
        "1.b.i name: fine-tuner without a model", "llama.name_prefix", "review", role="fine_tuner"
    ),
    _row(
        "1.b.i name: fine-tuner, not stated",
        "llama.name_prefix",
        "review",
        role="fine_tuner",
        trained_models=None,
    ),
    *(
        _row(
            f"1.b.v Llama 2, {role}, not stated",
            "llama.improving_other_models",
            outcome,
            model=LLAMA_2,
            role=role,
            trained_models=None,
        )
        for role, outcome in [("fine_tuner", "review"), ("deployer", "record")]
    ),
    _row(
        "1.b.i name: Llama 3 in front",
        "llama.name_prefix",
        "deny",
        model=LLAMA_3,
        trained_models=(TrainedModel("Llama-Fjord", distributed=True, derives_from_llama=True),),
    ),
    _row(
        "1.b.v Llama 2",
        "llama.improving_other_models",
        "deny",
        model=LLAMA_2,
        trained_models=(TrainedModel("Fjord", derives_from_llama=False),),
    ),
    _row(
        "1.b.v Llama 3",
        "llama.improving_other_models",
        "deny",
        model=LLAMA_3,
        trained_models=(TrainedModel("Fjord", derives_from_llama=False),),
    ),
    _row(
        "1.b.v Llama 3, unknown",
        "llama.improving_other_models",
        "review",
        model=LLAMA_3,
        trained_models=(TrainedModel("Llama 3 Fjord"),),
    ),
    _row(
        "1.b.v Llama 3, derivative",
        "llama.improving_other_models",
        "record",
        model=LLAMA_3,
        trained_models=(TrainedModel("Llama 3 Fjord", derives_from_llama=True),),
    ),
    *(
        _row(
            f"1.b.v absent: {model}",
            "llama.improving_other_models",
            "record",
            model=model,
            trained_models=(TrainedModel("Fjord", derives_from_llama=False),),
        )
        for model in (LLAMA_31, LLAMA_33, SCOUT)
    ),
]


@pytest.mark.parametrize(("rule", "outcome", "facts"), [*RELEASE, *NAMES])
def test_row(holds: Callable[..., None], rule: str, outcome: str, facts: dict[str, object]) -> None:
    holds(rule, outcome, facts)


def test_the_notice_is_the_exact_sentence_of_the_licence() -> None:
    llama = LICENCES["llama4"].llama
    assert llama is not None
    assert llama.notice == NOTICE
    assert LICENCES["llama3"].llama.notice == (  # type: ignore[union-attr]  # it has Llama terms
        "Meta Llama 3 is licensed under the Meta Llama 3 Community License, "
        "Copyright © Meta Platforms, Inc. All Rights Reserved."
    )


def test_notices_required_of_a_product(judge: Callable[..., LicenceDecision]) -> None:
    assert judge().required_notices == ()
    assert judge(**PRODUCT).required_notices == ("Built with Llama", NOTICE)
    assert judge(**HOSTED).required_notices == ("Built with Llama",)
    assert judge(LLAMA_3, **PRODUCT).required_notices[0] == "Built with Meta Llama 3"
    assert judge("openai/gpt-oss-20b", **PRODUCT).required_notices == ()
