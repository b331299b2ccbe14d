"""The spill file: nothing that was acknowledged is lost, whatever stops in the middle."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
from pathlib import Path

import pytest

from router.ledger.spill import Spill
from tests.support.records import made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "router.spill"


def test_what_is_appended_is_read_back_the_same(path: Path) -> None:
    records = [record for number in range(1, 20) for record in made(number, tags="a b")]
    spill = Spill(path)
    for record in records:
        spill.append([record])
    assert spill.count == len(records)
    assert Spill(path).read() == records


def test_the_file_is_the_users_own_under_any_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        Spill(path).append([made().begin])
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_missing_file_is_an_empty_one(path: Path) -> None:
    spill = Spill(path)
    assert spill.read() == []
    spill.clear()


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_text("precious")
    path.symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        Spill(path).append([made().begin])
    assert target.read_text() == "precious"


@pytest.mark.parametrize("keep", range(0, 400, 7))
def test_a_line_torn_anywhere_costs_only_itself(keep: int, path: Path) -> None:
    first, torn, later = made(1).settle, made(2).settle, made(3).settle
    Spill(path).append([first])
    whole = path.stat().st_size
    Spill(path).append([torn])
    with path.open("r+b") as file:
        file.truncate(whole + keep)
    Spill(path).append([later])  # a new process goes on with the same file
    read = Spill(path).read()
    assert [record for record in read if record != torn] == [first, later]


def test_a_write_that_stops_half_way_raises_and_leaves_the_file_readable(path: Path) -> None:
    """A full disk takes a part of the line; the rest of the file must not suffer for it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    spill = Spill(path)
    spill.append([made(1).settle])
    size = path.stat().st_size
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, before[1]))
        with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
            spill.append([made(2).settle])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert spill.count == 1
    spill.append([made(3).settle])
    assert Spill(path).read() == [made(1).settle, made(3).settle]


def test_what_is_appended_while_the_file_is_being_imported_stays(path: Path) -> None:
    spill = Spill(path)
    spill.append([made(1).settle])
    assert spill.read() == [made(1).settle]
    spill.append([made(2).settle])
    spill.clear()  # of what was read
    assert spill.read() == [made(2).settle]
    assert spill.count == 1
    spill.clear()
    assert not path.exists()
    assert spill.count == 0


GARBAGE = [
    b"",
    b"\n",
    b"null\n",
    b"{}\n",
    b"[]\n",
    b'["settle"]\n',
    b'["other", {}]\n',
    b'["settle", {"settlement": 1}]\n',
    b'["begin", {"intent": {"id": 1}}]\n',
    b'[["settle"], {}]\n',
    b"\x00\xff\n",
    b"[" * 10_000 + b"\n",
]


@pytest.mark.parametrize("line", GARBAGE)
def test_a_line_that_is_no_record_costs_only_itself(line: bytes, path: Path) -> None:
    Spill(path).append([made(1).begin])
    with path.open("ab") as file:
        file.write(line)
    Spill(path).append([made(2).begin])
    assert Spill(path).read() == [made(1).begin, made(2).begin]
