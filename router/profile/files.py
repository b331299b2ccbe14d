"""Reading the files of a profile: whatever stands there instead of a small text file becomes one plain message."""

from __future__ import annotations

import os
import stat
from pathlib import Path

MOST_BYTES = 1024 * 1024


class Unreadable(Exception):
    """A file can't be used; ``line`` where it is known."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def label_of(directory: Path, name: str) -> str:
    """A profile's file as messages call it: ``profiles/work/routing.toml``."""
    return "/".join(part for part in (directory.parent.name, directory.name, name) if part)


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """A regular file's content, at most 1 MiB if not told otherwise. Raises ``Unreadable``.

    Nothing blocks: a pipe or a device is refused before and after it is opened.
    """
    try:
        _refuse_irregular(os.stat(path), most)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise Unreadable(_plain(error)) from None
    try:
        _refuse_irregular(os.fstat(descriptor), most)
        return _read_all(descriptor, most)
    except OSError as error:
        raise Unreadable(_plain(error)) from None
    finally:
        os.close(descriptor)


def read_text(path: Path) -> str:
    """The same as text. Raises ``Unreadable``, with the line of a byte that isn't UTF-8."""
    return decode(read_bytes(path))


def decode(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Unreadable("isn't UTF-8 text", line) from None


def private_problem(path: Path) -> str | None:
    """Why a file that runs as code must not be trusted: not the user's own, or others may write it."""
    try:
        status = os.stat(path)
    except OSError as error:
        return _plain(error)
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if status.st_uid != os.geteuid():
        return "belongs to another user; it must be your own, since it is run"
    if status.st_mode & 0o022:
        return f"can be written by other users (mode {stat.S_IMODE(status.st_mode):04o}): run chmod go-w {path.name}"
    return None


def read_by_others(path: Path) -> int | None:
    """The mode of a file that others can read; None if they can't, or there is none."""
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
    except OSError:
        return None
    return mode if mode & 0o077 else None


def _read_all(descriptor: int, most: int) -> bytes:
    content = bytearray()
    while len(content) <= most:
        chunk = os.read(descriptor, 65536)
        if not chunk:
            return bytes(content)
        content += chunk
    raise _too_large(most)


def _too_large(most: int) -> Unreadable:
    return Unreadable(f"is larger than {most // 2**20} MiB")


def _refuse_irregular(status: os.stat_result, most: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise Unreadable("is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable("is not a regular file")
    if status.st_size > most:
        raise _too_large(most)


def _plain(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "does not exist"
        case NotADirectoryError():
            return "stands below something that is no directory"
        case PermissionError():
            return "can't be read: permission denied"
        case _:
            return f"can't be read: {(error.strerror or 'unknown error').lower()}"
