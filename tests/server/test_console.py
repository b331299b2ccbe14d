"""A console that is slow, closed or missing holds up its own thread and nobody else."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator

import pytest

from router.server import console as module
from router.server.console import Console
from tests.support.slow import within


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for fd in (reading, writing):
        with contextlib.suppress(OSError):
            os.close(fd)


def test_texts_and_log_lines_come_out_in_order(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    console = Console(writing)
    console.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    console.write("first → line\n")
    console.handle(logging.LogRecord("router", logging.WARNING, "", 1, "%d requests", (3,), None))
    console.write("lone \udcff\n")
    console.close()
    assert os.read(reading, 1000).decode() == "first → line\nWARNING 3 requests\nlone ?\n"
    assert console.dropped == 0


def test_a_reader_that_stopped_delays_nobody_and_what_is_too_much_is_dropped(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.1)
    console = Console(pipe[1])
    with within(1):
        for _ in range(5000):
            console.write("x" * 1000 + "\n")
        assert console.dropped >= 5000 - module.WAITING - 80
        console.close()
    os.close(pipe[0])  # its thread gives up, before another test gets a pipe with the same number
    console._texts.put(None)
    console._thread.join(5)


def test_a_closed_or_missing_console_is_no_error(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    for fd in (pipe[1], None):
        console = Console(fd)
        for _ in range(10):
            console.write("x\n")
        console.close()
        console.close()
        assert console.dropped == (10 if fd is not None else 0)


def test_a_message_that_cannot_be_put_together_is_no_error(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    console = Console(pipe[1])
    console.handle(logging.LogRecord("router", logging.INFO, "", 1, "%d requests", ("many",), None))
    console.write("next\n")
    console.close()
    assert os.read(pipe[0], 100) == b"next\n"
