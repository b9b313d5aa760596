from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from agentkit.audit import AuditLog, disk

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_every_directory_that_is_made_is_on_disk_before_the_log_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flushed record in a directory whose name power loss takes away is lost all the same."""
    synced = []
    monkeypatch.setattr(disk, "sync_directory", synced.append)
    AuditLog.open(tmp_path / "a" / "b" / "log", key=tmp_path / "keys" / "deep" / "log.key").close()
    assert {tmp_path, tmp_path / "a", tmp_path / "a" / "b", tmp_path / "keys"} == set(synced)


def test_a_directory_that_is_there_is_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    disk.make_directory(tmp_path)
    disk.make_directory(tmp_path / "new")
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
