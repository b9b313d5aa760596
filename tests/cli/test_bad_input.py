"""What users and machines get wrong: one clear error, its cure, its exit code, nothing lost."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from agentkit.audit import EventKind, read_events, verify
from tests.cli.fake_openai import Reply, serve
from tests.cli.fresh import PYTHON, SHOUT, environment, run_process, write_spec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EMBEDDED = """\
version: 1
name: small
model: {source: embedded}
deployment:
  principal: {name: Example AS, kind: company, country: "NO", affiliates: [], staff_countries: []}
  distribution: internal
"""


def missing_file(folder: Path) -> Path:
    return folder / "nowhere.yaml"


def wrong_yaml(folder: Path) -> Path:
    spec = write_spec(folder)
    spec.write_text("version: 1\n  name: [\n", encoding="utf-8")
    return spec


def unknown_model(folder: Path) -> Path:
    spec = write_spec(folder)
    spec.write_text(spec.read_text().replace("Qwen/Qwen3-30B-A3B", "nobody/knows-this"))
    return spec


def audit_under_a_file(folder: Path) -> Path:
    spec = write_spec(folder, more="audit: {path: ./in-the-way/log}\n")
    (folder / "in-the-way").write_text("a file")
    return spec


def no_engine(folder: Path) -> Path:
    return write_spec(folder, more=PYTHON + "sandbox: {tier: docker}\n")


def wrong_wheel(folder: Path) -> Path:
    from agentkit.model.embedded.wheel import WHEEL  # noqa: PLC0415 - it needs the local extra

    (folder / "wheels").mkdir(parents=True)
    (folder / "wheels" / WHEEL).write_bytes(b"not the wheel")
    spec = folder / "agent.yaml"
    spec.write_text(EMBEDDED, encoding="utf-8")
    return spec


def unknown_function(folder: Path) -> Path:
    return write_spec(folder, more=SHOUT.replace("my_tools:shout", "my_tools:whisper"))


def backend_down(folder: Path) -> Path:
    return write_spec(folder)  # port 9 of this machine: nobody listens


@pytest.mark.parametrize(
    ("make", "code", "said", "logged"),
    [
        (missing_file, 3, "nowhere.yaml", None),
        (wrong_yaml, 3, "agent.yaml:2:", None),
        (unknown_model, 4, "qwen3-30b-a3b", EventKind.REFUSAL),
        (audit_under_a_file, 8, "in-the-way", None),
        (no_engine, 7, "no Docker engine answers", EventKind.REFUSAL),
        (wrong_wheel, 5, "sha256", EventKind.REFUSAL),
        (unknown_function, 9, "whisper", EventKind.REFUSAL),
        (backend_down, 5, "127.0.0.1", EventKind.TURN_ENDED),
    ],
)
def test_bad_input_is_one_error_with_a_cure(
    tmp_path: Path,
    make: Callable[[Path], Path],
    code: int,
    said: str,
    logged: EventKind | None,
) -> None:
    spec = make(tmp_path)
    done = run_process(
        "run",
        spec,
        "Hei",
        env={
            "DOCKER_HOST": "unix:///nonexistent.sock",
            "AGENTKIT_WHEEL_DIR": str(tmp_path / "wheels"),
            "AGENTKIT_CACHE": str(tmp_path / "cache"),
        },
    )
    assert done.returncode == code, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert said in errors[0]
    cures = [line for line in done.stderr.splitlines() if line.startswith("  cure: ")]
    assert len(cures) == 1
    assert len(cures[0]) > len("  cure: ")
    assert "Traceback" not in done.stdout + done.stderr
    log = tmp_path / "audit-log"
    assert log.is_dir() == (logged is not None)
    if logged is not None:
        assert [*read_events(log)][-1].record.kind is logged
        assert verify(log).ok


def test_a_full_disk_behind_stdout_is_one_error() -> None:
    command = f"exec {sys.executable} -m agentkit.cli schema > /dev/full"
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, env=environment(), check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: the output cannot be written: No space left on device\n")
    assert done.stderr.count("\n") == 2


def test_what_was_logged_before_is_not_lost(tmp_path: Path) -> None:
    with serve(Reply("fine")) as fake:
        spec = write_spec(tmp_path, fake.url)
        assert run_process("run", spec, "Hei").returncode == 0
        before = [entry.record.leaf_hash for entry in read_events(tmp_path / "audit-log")]
        unknown_model(tmp_path)
        assert run_process("run", spec, "Hei").returncode == 4
    after = [entry.record.leaf_hash for entry in read_events(tmp_path / "audit-log")]
    assert after[: len(before)] == before
    assert len(after) > len(before)


def test_a_log_that_another_run_writes_is_an_error_not_a_wait(tmp_path: Path) -> None:
    from agentkit.audit import AuditLog  # noqa: PLC0415 - held open while the run is tried

    spec = write_spec(tmp_path)
    held = AuditLog.open(tmp_path / "audit-log")
    try:
        done = run_process("run", spec, "Hei")
    finally:
        held.close()
    assert done.returncode == 8
    assert "Traceback" not in done.stderr
    assert verify(tmp_path / "audit-log").ok
