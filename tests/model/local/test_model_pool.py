"""One copy of the weights for several agents."""

from __future__ import annotations

import shutil
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from agentkit import Agent, ModelPool
from agentkit.audit import read_events
from agentkit.errors import ModelError, StartupRefused
from agentkit.messages import Message
from agentkit.model import GenerationSettings
from agentkit.progress import silent
from agentkit.spec import LoadedSpec, load_spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkit.model import ChatModel

pytestmark = pytest.mark.anyio
BASE = "allenai/OLMoE-1B-7B-0125-Instruct"
SHORT = GenerationSettings(max_tokens=3)


@pytest.fixture
def checkpoint(tmp_path: Path, tiny_directory: Path) -> Path:
    return Path(shutil.copytree(tiny_directory, tmp_path / "weights"))


@pytest.fixture
def written(tmp_path: Path, checkpoint: Path) -> Callable[..., LoadedSpec]:
    """Write specifications over one tiny checkpoint, each with a folder and a log of its own."""

    def write(name: str, *, more: str = "", country: str = "NO") -> LoadedSpec:
        path = tmp_path / name / "agent.yaml"
        path.parent.mkdir()
        path.write_text(
            f"version: 1\nname: {name}\n"
            f"model: {{source: local, path: {checkpoint}, licence: apache-2.0,"
            f" base_model: {BASE}, dtype: float32, packed_cache: false{more}}}\n"
            f"deployment: {{principal: {{name: A, kind: company, country: {country!r},"
            " affiliates: []}, distribution: internal, languages: [en]}\n"
        )
        return load_spec(path)

    return write


async def say(model: ChatModel) -> int:
    async with aclosing(model.generate([Message.user("hello")], settings=SHORT)) as deltas:
        return len([delta async for delta in deltas])


async def test_the_same_section_is_loaded_once(written: Callable[..., LoadedSpec]) -> None:
    found: list[ChatModel] = []

    async def ask(loaded: LoadedSpec) -> None:
        found.append(await models.get(loaded, silent))

    async with ModelPool() as models:
        async with anyio.create_task_group() as group:
            for number in range(3):
                cool = f", generation: {{temperature: 0.{number}}}"
                group.start_soon(ask, written(f"agent{number}", more=cool))
        assert found[0] is found[1] is found[2]
        other = await models.get(written("other", more=", streams: 2"), silent)
        assert other is not found[0]
        assert await say(other)


async def test_what_the_section_says_reaches_the_model(
    written: Callable[..., LoadedSpec], tmp_path: Path
) -> None:
    cold = f"prefixes: {{memory_mib: 0, kv: int8, spill: {tmp_path / 'cold'}}}"
    more = f", context_tokens: 512, streams: 1, {cold}"
    async with ModelPool() as models:
        model = await models.get(written("first", more=more), silent)
        assert model.info.context_tokens == 512
        for text in ("hello world " * 20, "the weather " * 20, "get_weather " * 20):
            async with aclosing(model.generate([Message.user(text)], settings=SHORT)) as deltas:
                assert [delta async for delta in deltas]
        assert list((tmp_path / "cold").rglob("*"))
    assert not list((tmp_path / "cold").rglob("*.safetensors"))


async def test_an_agent_that_leaves_takes_no_model_with_it(
    written: Callable[..., LoadedSpec],
) -> None:
    first, second = written("first"), written("second")
    async with ModelPool() as models:
        async with Agent.open(first, models=models) as agent:
            report = agent.report
        model = await models.get(second, silent)
        assert await say(model)
        async with Agent.open(second, models=models) as agent:
            assert agent.report.checks[-1].detail == report.checks[-1].detail
    for loaded in (first, second):
        first_record = next(iter(read_events(loaded.path.parent / "audit-log"))).record
        assert first_record.body["check"] == "licence"
    with pytest.raises(ModelError):
        await say(model)


async def test_the_licence_is_decided_for_each_agent(written: Callable[..., LoadedSpec]) -> None:
    async with ModelPool() as models:
        await models.get(written("first"), silent)
        refused = written("second").path
        text = refused.read_text().replace(BASE, "meta-llama/Llama-3.2-11B-Vision")
        refused.write_text(text.replace("'NO'", "'FR'"))
        with pytest.raises(StartupRefused):
            async with Agent.open(refused, models=models):
                pass


async def test_a_closed_pool_gives_nothing(written: Callable[..., LoadedSpec]) -> None:
    models = ModelPool()
    with pytest.raises(ModelError, match="not open") as refusal:
        await models.get(written("first"), silent)
    assert "agent.yaml:3" in str(refusal.value)


async def test_what_failed_to_load_is_tried_again(
    written: Callable[..., LoadedSpec], checkpoint: Path
) -> None:
    loaded = written("first")
    config = checkpoint / "config.json"
    text = config.read_text()
    async with ModelPool() as models:
        config.write_text("{")
        with pytest.raises(ModelError):
            await models.get(loaded, silent)
        config.write_text(text)
        assert await say(await models.get(loaded, silent))
