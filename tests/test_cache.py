from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.cache import default_cache_directory

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AGENTKIT_CACHE", str(tmp_path / "own"))
    assert default_cache_directory() == tmp_path / "own"
    monkeypatch.delenv("AGENTKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache_directory() == tmp_path / "xdg" / "agentkit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_directory().is_relative_to(tmp_path)
    assert default_cache_directory().name == "agentkit"
