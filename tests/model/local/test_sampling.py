from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.errors import ModelError
from agentkit.model.local.sampling import Sampler, check_settings
from agentkit.model.protocol import GenerationSettings

LOGITS = torch.tensor([0.0, 2.0, 1.0, float("-inf"), 2.0])


def test_greedy_takes_the_lowest_of_equals() -> None:
    assert Sampler(GenerationSettings()).pick(LOGITS) == 1


def test_a_seed_repeats_and_another_differs() -> None:
    flat = torch.zeros(1000)

    def run(seed: int) -> list[int]:
        sampler = Sampler(GenerationSettings(temperature=1.0, seed=seed))
        return [sampler.pick(flat) for _ in range(20)]

    assert run(7) == run(7)
    assert run(7) != run(8)


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    logits = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05]))
    sampler = Sampler(GenerationSettings(temperature=1.0, top_p=0.79))
    counts = Counter(sampler.pick(logits) for _ in range(500))
    assert set(counts) == {0, 1}
    assert 0.5 < counts[0] / 500 < 0.75  # 0.5 / 0.8 = 0.625


@given(
    st.lists(st.floats(-30, 30) | st.just(-math.inf), min_size=2, max_size=30),
    st.floats(0, 3),
    st.floats(0.01, 1),
)
@settings(max_examples=100, deadline=None)
def test_a_forbidden_token_is_never_picked(
    values: list[float], temperature: float, top_p: float
) -> None:
    sampler = Sampler(GenerationSettings(temperature=temperature, top_p=top_p))
    if max(values) == -math.inf:
        with pytest.raises(ModelError):
            sampler.pick(torch.tensor(values))
    else:
        assert values[sampler.pick(torch.tensor(values))] != -math.inf


@pytest.mark.parametrize(
    "settings_",
    [
        GenerationSettings(temperature=-1),
        GenerationSettings(temperature=math.nan),
        GenerationSettings(temperature=math.inf),
        GenerationSettings(top_p=0),
        GenerationSettings(top_p=1.5),
        GenerationSettings(top_p=math.nan),
        GenerationSettings(max_tokens=0),
    ],
)
def test_settings_without_sense_are_refused(settings_: GenerationSettings) -> None:
    with pytest.raises(ModelError) as caught:
        check_settings(settings_)
    assert caught.value.cure


def test_not_a_number_is_an_error_not_a_token() -> None:
    with pytest.raises(ModelError, match="no usable logits"):
        Sampler(GenerationSettings()).pick(torch.tensor([0.0, math.nan]))
