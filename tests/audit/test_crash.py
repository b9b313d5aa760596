"""Real processes that die, and real disks that refuse."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentkit.audit import AuditEvent, AuditLog, EventKind, read_events, verify
from agentkit.errors import AuditError

ROOT = Path(__file__).resolve().parents[2]

WRITER = """
import sys, threading
from agentkit.audit import AuditEvent, AuditLog, EventKind
log = AuditLog.open(sys.argv[1], segment_bytes=40_000, checkpoint_events=50)
speak = threading.Lock()
def work(name):
    number = 0
    while True:
        number += 1
        event = AuditEvent(EventKind.INTENT, name, number, f"{name}-{number}",
                           {"padding": "x" * (number * 37 % 3000)}, {"secret": number})
        receipt = log.append(event)
        with speak:
            sys.stdout.write(f"{receipt.index} {receipt.leaf_hash}\\n")
            sys.stdout.flush()
for name in "abcd":
    threading.Thread(target=work, args=(name,)).start()
"""

LIMITED = """
import resource, sys
from agentkit.audit import AuditEvent, AuditLog, EventKind
from agentkit.errors import AuditError
log = AuditLog.open(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
event = AuditEvent(EventKind.INTENT, "r", 1, "c", {"padding": "x" * 300},
                   {"secret": "y" * 300} if sys.argv[3] == "sealed" else {})
refused = []
for number in range(200):
    try:
        sys.stdout.write(f"{log.append(event).leaf_hash}\\n")
    except AuditError as error:
        refused.append(error)
        if len(refused) == 3:
            break
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
try:
    log.append(event)
except AuditError as error:
    refused.append(error)
log.close()
sys.stderr.write(f"{len(refused)} {all(error.cure for error in refused)}")
"""


def command(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


@pytest.mark.parametrize("after", [1, 40, 150, 400])
def test_every_receipt_before_a_kill_is_in_the_log(directory: Path, after: int) -> None:
    writer = subprocess.Popen(  # our own interpreter
        command(WRITER, str(directory)), stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        stream = writer.stdout
        assert stream is not None
        lines = [stream.readline() for _ in range(after)]
        writer.send_signal(signal.SIGKILL)
        lines += stream.readlines()
        assert writer.wait(30) == -signal.SIGKILL
    finally:
        writer.kill()
        writer.stdout.close()  # type: ignore[union-attr]
        writer.wait(30)
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
    promised = {int(index): leaf for index, leaf in (line.split() for line in lines)}
    assert len(promised) >= after

    report = verify(directory)
    assert report.ok, report.problems
    found = {entry.record.index: entry for entry in read_events(directory)}
    assert promised == {index: found[index].record.leaf_hash for index in promised}
    assert list(found) == list(range(len(found)))
    assert all(entry.sensitive == {"secret": entry.record.turn} for entry in found.values())
    assert len(report.unanswered_intents) == len(found)
    with AuditLog.open(directory) as log:
        assert log.append(AuditEvent(EventKind.STARTUP, "next")).index >= len(found)
    assert verify(directory).ok


@pytest.mark.parametrize("limit", [2000, 2001, 2345, 4096, 20_000])
@pytest.mark.parametrize("what", ["plain", "sealed"])
def test_a_disk_that_takes_no_more_stops_the_log_and_spoils_nothing(
    directory: Path, limit: int, what: str
) -> None:
    """RLIMIT_FSIZE gives real short writes and real EFBIG, in the segment or the side store."""
    done = subprocess.run(  # our own interpreter
        command(LIMITED, str(directory), str(limit), what),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    # Refused three times at the limit, and once more although the disk had recovered.
    assert done.stderr == "4 True"
    promised = done.stdout.split()
    report = verify(directory)
    assert report.ok, report.problems
    assert report.torn_bytes == 0
    assert [entry.record.leaf_hash for entry in read_events(directory)] == promised
    with AuditLog.open(directory) as log:
        # Nobody had signed for what was promised: that is on record first.
        recovered = bool(promised)
        assert log.append(AuditEvent(EventKind.STARTUP, "next")).index == len(promised) + recovered
    assert verify(directory).ok


def test_a_full_disk_at_the_checkpoint_keeps_the_receipt_and_stops_the_log(
    directory: Path,
) -> None:
    log = AuditLog.open(directory, checkpoint_events=2)
    notebook = log._files.notebook  # type: ignore[union-attr]
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        kept = os.dup(notebook._descriptor)
        os.dup2(full, notebook._descriptor)
        log.append(AuditEvent(EventKind.GUARD, "r"))
        assert log.append(AuditEvent(EventKind.GUARD, "r")).index == 1
        with pytest.raises(AuditError, match="No space left") as caught:
            log.append(AuditEvent(EventKind.GUARD, "r"))
        assert caught.value.cure
    finally:
        os.close(full)
        os.close(kept)
        log.close()
    report = verify(directory)
    assert report.ok, report.problems
    assert report.events == 2


def test_a_forked_child_that_closes_its_parents_log_writes_nothing(directory: Path) -> None:
    log = AuditLog.open(directory)
    log.append(AuditEvent(EventKind.GUARD, "r", sensitive={"a": 1}))
    before = (directory / "checkpoints").read_bytes()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            log.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (directory / "checkpoints").read_bytes() == before
    log.append(AuditEvent(EventKind.GUARD, "r", sensitive={"a": 2}))
    log.close()
    report = verify(directory)
    assert report.ok, report.problems
    assert report.checkpoints == 1
    assert report.commitments.opened == report.signed_events == 2


def test_no_file_can_be_opened(directory: Path) -> None:
    AuditLog.open(directory).close()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open("/dev/null", os.O_RDONLY) for _ in range(3)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken[-1] + 1, limits[1]))
    try:
        with pytest.raises(AuditError) as caught:
            AuditLog.open(directory)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in taken:
            os.close(descriptor)
    assert caught.value.cure
    AuditLog.open(directory).close()
