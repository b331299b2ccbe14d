"""The slow and the doubtful places a key can be in: a file, a command's output, the desktop's keyring.

Each gives the text it found or raises ``CredentialMissing`` naming the place and what to do, and never what was found.
``credentials.py`` decides when to ask and what to remember.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import stat
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from router.errors import CredentialMissing

MAX_KEY_BYTES: Final = 16 * 1024  # Google's and Azure's signed tokens run to a few KiB
ANSWER_TIMEOUT_S = 10.0  # for a command or the keyring


def file_stamp(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_mode, status.st_uid)


def read_key_file(path: str, shown: str) -> tuple[str, tuple[int, ...]]:
    """The text of a key file and its stamp. What is checked is the opened file, so it can't be swapped in between."""
    # O_NONBLOCK: opening a FIFO must not wait for its writer; it is refused a line later.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise CredentialMissing(f"{shown} is not a regular file")
        if status.st_uid != os.geteuid():
            raise CredentialMissing(f"{shown} belongs to another user; the key file must be yours")
        if status.st_mode & 0o077:
            raise CredentialMissing(
                f"{shown} can be read by other users (mode {stat.S_IMODE(status.st_mode):04o}): run chmod 600 {shown}"
            )
        data = os.read(descriptor, MAX_KEY_BYTES + 1)
    finally:
        os.close(descriptor)
    # "replace": a decoding error would carry the bytes along; the mark it leaves is refused as a non-ASCII character.
    return data.decode("utf-8-sig", errors="replace"), file_stamp(status)


def file_problem(error: OSError, shown: str) -> str:
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return f"{shown} does not exist: write the key into it and run chmod 600 {shown}"
        case PermissionError():
            return f"{shown} can't be read by the user the server runs as"
        case OSError() if os.path.islink(os.path.expanduser(shown)):
            return f"{shown} is a symbolic link: give the path of the file itself"
        case _:
            return f"{shown} can't be read: {error.strerror}"


async def run_command(line: str, environ: Mapping[str, str]) -> str:
    """The command's output. Its error output is not shown: it may repeat what the command was to print."""
    try:
        process = await asyncio.create_subprocess_exec(
            *shlex.split(line),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=dict(environ),
            start_new_session=True,  # so that its children can be ended with it
        )
    except OSError as error:
        raise CredentialMissing(f'"{line}" can\'t be started: {error.strerror}') from None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            output = bytearray()
            while len(output) <= MAX_KEY_BYTES and (chunk := await process.stdout.read(MAX_KEY_BYTES)):
                output += chunk
            status = None if len(output) > MAX_KEY_BYTES else await process.wait()
    except TimeoutError:
        raise CredentialMissing(f'"{line}" gave no key within {ANSWER_TIMEOUT_S:.0f} seconds') from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            while await process.stdout.read(MAX_KEY_BYTES):
                pass  # a process counts as ended only when its output has been read to the end
            await process.wait()
    if status is None:
        raise CredentialMissing(f'"{line}" prints more than {MAX_KEY_BYTES} bytes, so that isn\'t a key')
    if status != 0:
        raise CredentialMissing(f'"{line}" ended with status {status}: run it by hand to see why')
    return output.decode("utf-8", errors="replace")


async def ask_keyring(entry: str) -> str:
    """The keyring's answer, asked in a thread of its own.

    A desktop keyring may wait for a person; a daemon thread can be left behind when the server stops, a pool's can't.
    """
    service, _, user = entry.rpartition("/")
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str | CredentialMissing] = loop.create_future()

    def deliver(result: str | CredentialMissing) -> None:
        if not answer.done():
            answer.set_result(result)

    def ask() -> None:
        result = _keyring_answer(service, user, entry)
        with suppress(RuntimeError):  # the loop was closed while the keyring waited
            loop.call_soon_threadsafe(deliver, result)

    threading.Thread(target=ask, name="keyring", daemon=True).start()
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            result = await answer
    except TimeoutError:
        raise CredentialMissing(
            f"the keyring gave no answer for {entry} within {ANSWER_TIMEOUT_S:.0f} seconds: is it locked?"
        ) from None
    if isinstance(result, CredentialMissing):
        raise result
    return result


def _keyring_answer(service: str, user: str, entry: str) -> str | CredentialMissing:
    try:
        import keyring  # an optional extra, and slow to import
        import keyring.errors
    except ImportError:
        return CredentialMissing(
            'keyring: needs the optional package "keyring" in the router\'s environment; or use env:'
        )
    try:
        password = keyring.get_password(service, user)
    except (keyring.errors.KeyringError, keyring.errors.InitError, OSError, RuntimeError) as error:
        # Only the kind: what a backend writes into its message is not known to be free of secrets.
        return CredentialMissing(f"the keyring can't be asked for {entry} ({type(error).__name__})")
    if password is None:
        return CredentialMissing(f"the keyring has no entry {entry}: run keyring set {service} {user}")
    return password
