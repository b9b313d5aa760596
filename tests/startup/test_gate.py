from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import anyio
import pytest

from agentkit.audit import read_events, verify
from agentkit.errors import AgentkitError, ModelError, StartupRefused, ToolError
from agentkit.progress import silent
from agentkit.spec import load_spec
from agentkit.startup import StartupCheck, start

if TYPE_CHECKING:
    from pathlib import Path

    from agentkit.startup import StartupReport

REMOTE = "model: {source: remote, url: 'http://127.0.0.1:9/v1', id: test, licence: apache-2.0}"
SCOUT = """model:
  source: local
  id: meta-llama/Llama-4-Scout-17B-16E-Instruct
  revision: 92f3b1597a195b523d8d9e5700e57e4fbb8f20d3"""
DEPLOYMENT = """deployment:
  principal: {name: Fjordtall AS, kind: company, country: "NO", affiliates: [], staff_countries: []}
  distribution: internal
  languages: [en]
  monthly_active_users: 100"""


def specification(
    folder: Path, *, model: str = REMOTE, deployment: str = DEPLOYMENT, rest: str = ""
) -> Path:
    path = folder / "agent.yaml"
    path.write_text(f"version: 1\nname: test\n{model}\n{deployment}\n{rest}\n")
    return path


def begin(path: Path) -> tuple[StartupReport, list[StartupCheck]]:
    seen: list[StartupCheck] = []

    async def main() -> StartupReport:
        async with AsyncExitStack() as stack:
            rooms = await start(load_spec(path), "run", stack, progress=silent, observe=seen.append)
            return rooms.report

    return anyio.run(main), seen


def bodies(folder: Path) -> list[tuple[str, dict[str, object]]]:
    return [
        (entry.record.kind.value, entry.record.body) for entry in read_events(folder / "audit-log")
    ]


def test_every_check_passes_and_is_recorded_with_the_licence_first(tmp_path: Path) -> None:
    report, seen = begin(specification(tmp_path, rest="tools: {python: {}}"))
    assert [check.name for check in seen] == [
        "licence",
        "audit",
        "tools",
        "sandbox",
        "guards",
        "model",
    ]
    assert report.checks == tuple(seen)
    assert "wasm" in seen[3].detail
    kinds = bodies(tmp_path)
    assert [body.get("check") for kind, body in kinds if kind == "startup"] == [
        check.name for check in seen
    ]
    assert kinds[0][1]["check"] == "licence"
    assert verify(tmp_path / "audit-log").ok


@pytest.mark.docker
def test_an_agent_in_the_docker_tier_starts(tmp_path: Path, docker_image: str) -> None:
    report, _ = begin(specification(tmp_path, rest="sandbox: {tier: docker}\ntools: {python: {}}"))
    (sandbox,) = [check for check in report.checks if check.name == "sandbox"]
    assert sandbox.detail.startswith("docker: CPython")
    assert "no network" in sandbox.detail


def test_an_eu_company_is_refused_llama_4_before_anything_is_fetched(tmp_path: Path) -> None:
    german = DEPLOYMENT.replace("Fjordtall AS", "Beispiel GmbH").replace('"NO"', "DE")
    with pytest.raises(StartupRefused) as refused:
        begin(specification(tmp_path, model=SCOUT, deployment=german))
    error = refused.value
    assert error.exit_code == 4
    assert "European Union" in error.message or "EU" in error.message
    assert error.clause
    assert "permitted here" in error.cure
    kinds = bodies(tmp_path)
    assert [kind for kind, _ in kinds[:2]] == ["startup", "refusal"]
    assert kinds[0][1]["check"] == "licence"
    assert kinds[1][1]["rule"] == error.rule


def test_a_norwegian_company_passes_the_same_clause(tmp_path: Path) -> None:
    with pytest.raises(AgentkitError) as stopped:
        begin(specification(tmp_path, model=SCOUT))
    # The hub is out of reach here: the licence permitted it and only the download failed.
    assert isinstance(stopped.value, ModelError)
    assert bodies(tmp_path)[0][1]["detail"].startswith("allow: meta-llama/Llama-4-Scout")


def test_an_unknown_model_without_stated_terms_is_refused(tmp_path: Path) -> None:
    unknown = REMOTE.replace(", licence: apache-2.0", "")
    with pytest.raises(StartupRefused) as refused:
        begin(specification(tmp_path, model=unknown))
    assert "model.licence" in refused.value.cure


def test_an_audit_path_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StartupRefused) as refused:
        begin(specification(tmp_path, rest="audit: {path: file/log}"))
    assert (refused.value.rule, refused.value.exit_code) == ("startup.audit", 8)


def test_a_missing_engine_is_refused_and_never_replaced_by_a_weaker_tier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    rest = "sandbox: {tier: docker}\ntools: {python: {}}"
    with pytest.raises(StartupRefused) as refused:
        begin(specification(tmp_path, rest=rest))
    error = refused.value
    assert (error.rule, error.exit_code) == ("startup.sandbox", 7)
    assert error.place.endswith("agent.yaml:9:11")
    assert error.cure
    assert bodies(tmp_path)[-1][0] == "refusal"


def test_a_guard_that_misses_its_canary_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentkit.guards.SecretsDetector.canary", "an innocent sentence")
    with pytest.raises(StartupRefused) as refused:
        begin(specification(tmp_path))
    assert (refused.value.rule, refused.value.exit_code) == ("startup.guards", 6)


def test_a_tool_that_does_not_load_has_its_place(tmp_path: Path) -> None:
    rest = "tools:\n  slugify:\n    function: nowhere:slugify"
    with pytest.raises(ToolError) as stopped:
        begin(specification(tmp_path, rest=rest))
    assert stopped.value.place.endswith("agent.yaml:11:5")
    assert stopped.value.exit_code == 9


def test_llama_guard_needs_a_licence_too(tmp_path: Path) -> None:
    german = DEPLOYMENT.replace('"NO"', "DE")
    guard = (
        "guards: {llama_guard: {version: 4, url: 'http://127.0.0.1:9/v1', "
        "id: meta-llama/Llama-Guard-4-12B, access: self_hosted}}"
    )
    with pytest.raises(StartupRefused) as refused:
        begin(specification(tmp_path, deployment=german, rest=guard))
    assert refused.value.place == "meta-llama/Llama-Guard-4-12B"


def test_a_second_writer_of_the_same_log_is_refused(tmp_path: Path) -> None:
    path = specification(tmp_path)

    async def main() -> None:
        async with AsyncExitStack() as stack:
            await start(load_spec(path), "one", stack, progress=silent, observe=lambda _: None)
            async with AsyncExitStack() as second:
                await start(load_spec(path), "two", second, progress=silent, observe=lambda _: None)

    with pytest.raises(StartupRefused) as refused:
        anyio.run(main)
    assert refused.value.rule == "startup.audit"
