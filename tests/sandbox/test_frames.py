"""What crosses the wall: any bytes in, messages or a FrameError out; results are made harmless."""

from __future__ import annotations

import base64
import threading
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.sandbox import ArtifactKind, ExitReason, Limits
from agentkit.sandbox.artifacts import safe_name
from agentkit.sandbox.aside import aside
from agentkit.sandbox.frames import FrameError, FrameReader, encode_frame
from agentkit.sandbox.record import RunRecord, is_large

TEXT = st.text(st.characters(codec=None, exclude_categories=()))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
MESSAGES = st.dictionaries(TEXT, JSON, max_size=4)


@given(st.lists(MESSAGES, max_size=4), st.integers(1, 50))
def test_messages_survive_any_cutting(messages: list[dict[str, object]], step: int) -> None:
    stream = b"".join(encode_frame(message) for message in messages)
    reader = FrameReader(1 << 20)
    read = [
        message
        for start in range(0, len(stream), step)
        for message in reader.feed(stream[start : start + step])
    ]
    assert read == messages


@given(st.binary(max_size=200))
def test_any_bytes_give_objects_or_a_frame_error(data: bytes) -> None:
    reader = FrameReader(100)
    try:
        messages = list(reader.feed(data))
    except FrameError:
        return
    assert all(isinstance(message, dict) for message in messages)


def test_a_frame_over_the_limit_is_refused_by_its_header() -> None:
    with pytest.raises(FrameError, match="at most 10"):
        list(FrameReader(10).feed(b"\x00\x00\x00\x0b"))


@given(TEXT)
def test_a_safe_name_stays_inside(name: str) -> None:
    safe = safe_name(name)
    if safe is not None:
        path = PurePosixPath(safe)
        assert not path.is_absolute()
        assert ".." not in path.parts
        assert "\0" not in safe
        assert safe_name(safe) == safe


FIELDS = ("exit", "value", "error", "artifacts", "dropped_files", "dropped_output", "cpu_s",
          "peak_memory_bytes", "state_lost")  # fmt: skip


@given(st.dictionaries(st.sampled_from(FIELDS), JSON), st.lists(MESSAGES, max_size=3))
def test_any_result_frame_makes_an_execution(
    frame: dict[str, object], outputs: list[dict[str, object]]
) -> None:
    record = RunRecord(Limits(output_bytes=50, file_bytes=50))
    for output in outputs:
        record.output(output)
    execution = record.finished(frame, 0.1)
    assert isinstance(execution.exit_reason, ExitReason)
    assert execution.ok == (not execution.error)
    (execution.stdout + execution.stderr + execution.error).encode("utf-8")


@given(st.lists(st.tuples(st.sampled_from([1, 2, 3, None]), TEXT), max_size=8), st.integers(0, 40))
def test_output_never_exceeds_its_limit(parts: list[tuple[int | None, str]], limit: int) -> None:
    record = RunRecord(Limits(output_bytes=limit))
    for stream, text in parts:
        record.output({"stream": stream, "text": text})
    execution = record.finished({"exit": "ok"}, 0.0)
    assert len((execution.stdout + execution.stderr).encode()) <= limit
    whole = sum(len(text.encode("utf-8", "backslashreplace")) for _, text in parts)
    assert execution.usage.output_bytes == whole
    assert execution.ok == (whole <= limit)


@pytest.mark.parametrize("piece", ["[],", '"",', "0,", '"\\\\",'])
def test_a_frame_of_many_small_things_is_refused_before_it_is_parsed(piece: str) -> None:
    body = f'{{"x": [{piece * 300_000}0]}}'.encode()
    with pytest.raises(FrameError, match="besides its strings"):
        list(FrameReader(1 << 24).feed(len(body).to_bytes(4, "big") + body))


@pytest.mark.parametrize("text", ["[],", 'a "quoted" word, ', "\\", '\\"', "\n"])
def test_a_frame_may_be_long_by_its_strings(text: str) -> None:
    message = {"value": text * 300_000, "shown": [text]}
    assert list(FrameReader(1 << 24).feed(encode_frame(message))) == [message]


def test_only_so_many_files_are_looked_at() -> None:
    frame = {"exit": "ok", "artifacts": {f"{number}.txt": "" for number in range(1000)}}
    execution = RunRecord(Limits()).finished(frame, 0.0)
    assert len(execution.artifacts) == 64
    assert "936 file(s) not taken" in execution.error
    assert execution.error.count(".txt") == 5


def test_json_too_large_to_be_looked_through_is_a_file() -> None:
    def kind(size: int) -> ArtifactKind:
        data = base64.b64encode(b"[" + b"0," * size + b"0]").decode()
        frame = {"exit": "ok", "artifacts": {"a.json": data}}
        return RunRecord(Limits()).finished(frame, 0.0).artifacts[0].kind

    assert kind(1000) is ArtifactKind.JSON
    assert kind(1 << 20) is ArtifactKind.FILE


@pytest.mark.anyio
async def test_only_what_is_large_is_read_in_a_thread() -> None:
    here = threading.get_ident()
    assert await aside(False, threading.get_ident) == here
    assert await aside(True, threading.get_ident) != here
    assert not is_large({"exit": "ok", "value": "1", "artifacts": {}, "shown": []})
    assert is_large({"value": "x" * (1 << 20)})
    assert is_large({"artifacts": {"a": ""}})


@pytest.mark.parametrize("text", ["NaN", "[-Infinity]", "1e999", '{"a": 1, "a": 2}'])
def test_a_forged_value_that_is_no_json_is_no_value(text: str) -> None:
    assert RunRecord(Limits()).finished({"exit": "ok", "value": text}, 0.0).value is None


def test_forged_artifacts_are_dropped_and_named() -> None:
    good = base64.b64encode(b"ok").decode()
    record = RunRecord(Limits(file_bytes=4))
    execution = record.finished(
        {
            "exit": "ok",
            "artifacts": {
                "../x": good,
                "/y": good,
                "a.png": good,
                "b": "§",
                "c": 5,
                "d": good,
                "e": good,
            },
        },
        0.0,
    )
    assert [(a.name, a.media_type) for a in execution.artifacts] == [
        ("a.png", "image/png"),
        ("d", "application/octet-stream"),
    ]
    assert execution.exit_reason is ExitReason.OUTPUT
    assert "5 file(s) not taken" in execution.error
