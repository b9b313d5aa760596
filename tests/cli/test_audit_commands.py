from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from agentkit.audit import AuditEvent, AuditLog, EventKind, erase, verify
from agentkit.errors import AuditDamaged, AuditError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

CALL = "1.1.1"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of one call that went all the way, and one that has no outcome."""
    path = tmp_path / "log"
    with_text = {"arguments": '{"to": "[red]x\u202e\\u001b[31m"}'}
    outcome = {"text": "paid \x1b[2J"}
    events = [
        (EventKind.TURN_STARTED, "", {}, {"text": "Pay the rent"}),
        (
            EventKind.DECISION,
            CALL,
            {"tool": "pay", "outcome": "ask", "rule": "approval"},
            with_text,
        ),
        (EventKind.APPROVAL, CALL, {"subject": "pay", "approved": True, "approver": "Kari"}, {}),
        (EventKind.INTENT, CALL, {"tool": "pay", "effect": "external"}, with_text),
        (EventKind.OUTCOME, CALL, {"tool": "pay", "status": "ok"}, outcome),
        (EventKind.GUARD, CALL, {"boundary": "tool_result", "action": "allow"}, {}),
        (EventKind.INTENT, "1.2.1", {"tool": "pay", "effect": "external"}, {}),
    ]
    opened = AuditLog.open(path)
    for kind, call_id, body, sensitive in events:
        opened.append(AuditEvent(kind, "run-1", 1, call_id, body, sensitive))
    opened.close()
    return path


def test_a_whole_log_is_verified(cli: Callable[..., Result], log: Path) -> None:
    result = cli("audit", "verify", log)
    assert result.exit_code == 0
    assert "result     verified" in result.stdout
    assert "call 1.2.1 of pay may have run; no outcome" in result.stdout
    found = json.loads(cli("audit", "verify", log, "--json").stdout)
    assert found["ok"] is True
    assert found["unsigned_events"] == 0
    assert "not signed" not in result.stdout
    assert len(found["unanswered_intents"]) == 1


def test_what_is_not_signed_yet_is_not_called_verified(
    cli: Callable[..., Result], log: Path
) -> None:
    opened = AuditLog.open(log)
    try:
        opened.append(AuditEvent(EventKind.GUARD, "run-2"))
        result = cli("audit", "verify", log)
    finally:
        opened.close()
    assert result.exit_code == 0
    assert "result     verified up to record 6\n" in result.stdout
    assert "1 records are not signed yet" in result.stdout
    assert "changed or cut" in result.stdout


def test_a_log_without_its_checkpoints_is_damaged(cli: Callable[..., Result], log: Path) -> None:
    file = log / "checkpoints"
    first = file.read_text().partition("\n\n\n")[0] + "\n\n\n"
    file.write_text(first)
    result = cli("audit", "verify", log)
    assert result.exit_code == 0
    assert "result     whole, but not signed yet" in result.stdout
    file.unlink()
    result = cli("audit", "verify", log)
    assert result.exit_code == AuditDamaged.exit_code
    assert "the checkpoint that the log began with is gone" in result.stdout


def test_damage_is_told_and_leaves_with_its_code(cli: Callable[..., Result], log: Path) -> None:
    segment = max(log.glob("*.log"), default=None) or max(
        path for path in log.iterdir() if path.is_file() and path.stat().st_size > 1000
    )
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    result = cli("audit", "verify", log)
    assert result.exit_code == AuditDamaged.exit_code
    assert "result     damaged" in result.stdout
    assert "what is wrong" in result.stdout
    assert json.loads(cli("audit", "verify", log, "--json").stdout)["ok"] is False


def test_a_checkpoint_and_a_key_kept_elsewhere_pin_the_log(
    cli: Callable[..., Result], log: Path, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    key = tmp_path / "key"
    opened = AuditLog.open(log)
    key.write_text(opened.public_key + "\n")
    note.write_text(opened.checkpoint())
    opened.close()
    pinned = cli("audit", "verify", log, "--checkpoint", note, "--key", key)
    assert pinned.exit_code == 0, pinned.output
    assert "as given" in pinned.stdout
    AuditLog.open(tmp_path / "other").close()
    other = cli("audit", "verify", tmp_path / "other", "--checkpoint", note)
    assert other.exit_code == AuditDamaged.exit_code
    absent = cli("audit", "verify", log, "--checkpoint", tmp_path / "absent")
    assert absent.exit_code == AuditError.exit_code


def test_what_is_mistyped_at_verify_is_not_damage(
    cli: Callable[..., Result], log: Path, tmp_path: Path
) -> None:
    other = AuditLog.open(tmp_path / "other")
    (tmp_path / "key").write_text(other.public_key)
    other.close()
    (tmp_path / "cut").write_text((log / "checkpoints").read_text()[:-20])
    for options, message in (
        (("--key", tmp_path / "nosuch.txt"), "this is no public key of a log"),
        (("--checkpoint", tmp_path / "key"), "this is no signed checkpoint"),
        (("--checkpoint", tmp_path / "cut", "--key", tmp_path / "key"), "does not fit the given"),
    ):
        result = cli("audit", "verify", log, *options)
        assert result.exit_code == AuditError.exit_code
        assert message in result.stderr
        assert "  cure: " in result.stderr
        assert "damaged" not in result.output


def test_a_log_that_cannot_be_read_is_not_called_damaged(
    cli: Callable[..., Result], log: Path
) -> None:
    segment = log / "segment-00000000.log"
    segment.unlink()
    segment.symlink_to(segment)  # cannot be opened, by root neither
    for command in (("verify",), ("tail",), ("show", "--run", "run-1")):
        result = cli("audit", command[0], log, *command[1:])
        assert result.exit_code == AuditError.exit_code
        assert f"error: {segment}: cannot be read: " in result.stderr
        assert "as its owner" in result.stderr
        assert "damaged" not in result.output


def test_a_copy_of_the_logs_checkpoints_pins_it(
    cli: Callable[..., Result], log: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        opened = AuditLog.open(log)
        opened.append(AuditEvent(EventKind.TURN_STARTED, "run-2", 1))
        note = opened.checkpoint()
        opened.close()
    kept = tmp_path / "kept"
    for text in ((log / "checkpoints").read_text(), f"{note}\n\n\n"):
        kept.write_text(text)
        assert cli("audit", "verify", log, "--checkpoint", kept).exit_code == 0
    key = cli("audit", "verify", log, "--checkpoint", kept, "--json").stdout
    pinned = cli("audit", "verify", log, "--checkpoint", kept, "--key", json.loads(key)["key"])
    assert pinned.exit_code == 0
    # The log taken back behind the kept checkpoint, its own later ones with its last records.
    first, *_ = (log / "checkpoints").read_text().partition("\n\n\n")
    (log / "checkpoints").write_text(f"{first}\n\n\n")
    segment = max(log.glob("segment-*.log"))
    segment.write_bytes(segment.read_bytes()[:-1000])
    assert cli("audit", "verify", log).exit_code == 0
    cut = cli("audit", "verify", log, "--checkpoint", kept)
    assert cut.exit_code == AuditDamaged.exit_code


def test_the_tail_is_a_table_of_cleaned_lines(cli: Callable[..., Result], log: Path) -> None:
    shown = cli("audit", "tail", log, "-n", "3").stdout
    assert "\x1b" not in shown
    rows = [line.split() for line in shown.splitlines() if "run-1" in line]
    assert [row[0] for row in rows] == ["4", "5", "6"]
    found = json.loads(cli("audit", "tail", log, "--json").stdout)
    assert [entry["index"] for entry in found] == list(range(len(found)))


def test_a_calls_chain_is_shown_whole_and_in_order(cli: Callable[..., Result], log: Path) -> None:
    shown = cli("audit", "show", log, "--call", CALL).stdout
    chain = ("decision", "approval", "intent", "outcome", "guard")
    places = [shown.index(f"\n  {kind:<10} ") for kind in chain]
    assert places == sorted(places)
    assert "pay: approved by Kari" in shown
    assert "[red]x" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "1.2.1" not in shown
    by_run = cli("audit", "show", log, "--run", "run").stdout
    assert "Pay the rent" in by_run
    assert "1.2.1" in by_run
    assert "about to run" in cli("audit", "show", log, "--index", "3").stdout


def test_what_was_erased_is_named_and_the_log_still_verifies(
    cli: Callable[..., Result], log: Path
) -> None:
    opened = AuditLog.open(log)
    erase(opened, reason="request 7", call_id=CALL)
    opened.close()
    shown = cli("audit", "show", log, "--call", CALL).stdout
    assert "arguments: erased, or kept elsewhere" in shown
    assert "[red]x" not in shown
    assert verify(log).ok
    assert "3 erased" in cli("audit", "verify", log).stdout


def test_nothing_to_show_is_an_error(cli: Callable[..., Result], log: Path, tmp_path: Path) -> None:
    assert cli("audit", "show", log).exit_code == 2
    assert cli("audit", "show", log, "--call", "9.9.9").exit_code == AuditError.exit_code
    for command in ("verify", "tail"):
        result = cli("audit", command, tmp_path / "none")
        assert result.exit_code == AuditError.exit_code
        assert "there is no audit log here" in result.stderr
