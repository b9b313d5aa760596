import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from agentkit.spec import LoadedSpec, SpecProblems, load_spec

VALUE = "sk-correct-horse-battery"
REMOTE = "{source: remote, url: https://m.example.no/v1, id: m, api_key: '${MODEL_API_KEY}'}"


@pytest.fixture
def loaded(smallest: str, write: Callable[[str | bytes], Path]) -> LoadedSpec:
    path = write(smallest.replace("{source: embedded}", REMOTE))
    return load_spec(path, environ={"MODEL_API_KEY": VALUE, "UNUSED": "u"})


def test_the_secret_is_read_from_the_environment_and_named(loaded: LoadedSpec) -> None:
    assert loaded.spec.model.api_key.reveal() == VALUE
    assert loaded.secrets == ("MODEL_API_KEY",)


def test_no_way_to_show_a_specification_shows_the_secret(loaded: LoadedSpec) -> None:
    secret = loaded.spec.model.api_key
    shown = [
        repr(loaded),
        str(loaded.spec),
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>40}",
        "%s" % secret,  # noqa: UP031 - this way of formatting is tested too
        repr(loaded.spec.model_dump()),
        json.dumps(loaded.spec.model_dump(mode="json")),
        loaded.spec.model_dump_json(),
        repr(list(loaded.spec.model)),
        repr(vars(loaded.spec.model)),
    ]
    assert all(VALUE not in text for text in shown)
    assert all("MODEL_API_KEY" in text for text in shown)


def test_a_secret_is_not_pickled_and_a_copy_is_itself(loaded: LoadedSpec) -> None:
    secret = loaded.spec.model.api_key
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(loaded.spec)
    assert copy.deepcopy(secret) is copy.copy(secret) is secret


def test_secrets_compare_by_content(
    smallest: str, write: Callable[[str | bytes], Path], loaded: LoadedSpec
) -> None:
    path = write(smallest.replace("{source: embedded}", REMOTE))
    same = load_spec(path, environ={"MODEL_API_KEY": VALUE}).spec
    other = load_spec(path, environ={"MODEL_API_KEY": "sk-other-ø"}).spec
    assert same == loaded.spec
    assert hash(same.model.api_key) == hash(loaded.spec.model.api_key)
    assert other != loaded.spec
    assert same.model.api_key != VALUE


@pytest.mark.parametrize(
    "written",
    [
        VALUE,
        f"'prefix-{VALUE}'",
        f"[{VALUE}]",
        f"{{value: {VALUE}}}",
        f"!secret {VALUE}",
        f"&key {VALUE}",
        f'"{VALUE}',
        f"@{VALUE}",
        f"'{VALUE}' more",
        f"{VALUE}: x",
        f"|{VALUE}",
        f"*{VALUE}",
        f"\n    {VALUE}\n  {VALUE}",
        f"${{A}}{VALUE}",
    ],
)
def test_a_literal_key_is_refused_and_not_repeated(
    written: str, smallest: str, write: Callable[[str | bytes], Path]
) -> None:
    model = f"\n  source: remote\n  url: https://m.example.no/v1\n  id: m\n  api_key: {written}"
    with pytest.raises(SpecProblems) as raised:
        load_spec(write(smallest.replace(" {source: embedded}", model)), environ={"A": "a"})
    assert VALUE not in str(raised.value)
    assert VALUE not in repr(raised.value.problems)
