"""A profile's ``route.py``, asked in a process of its own: a slow or broken script never holds a request up.

The script gets 100 ms. Over that, its process is killed and started again, the request goes on as if it had said
nothing, and the problem is kept for `status` and `/health`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

ANSWER_S = 0.1
TURN_S = 1.0  # for the answers to those who asked before
START_S = 5.0
REST_S = 10.0  # after a start that failed; a change of the file ends it
END_S = 1.0
_HOST = Path(__file__).with_name("script_host.py")


class Script:
    """One script and its process, started at the first question."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem: str | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._rests_until = 0.0
        self._endings: set[asyncio.Task[tuple[bytes, bytes]]] = set()

    async def ask(self, request: Mapping[str, object], config: Mapping[str, object]) -> str | None:
        """The target the script names ("provider/model" or an alias), None when it names none or failed."""
        if self._process is None and time.monotonic() < self._rests_until:
            return None
        try:
            async with asyncio.timeout(TURN_S):
                await self._turn.acquire()
        except TimeoutError:
            self.problem = f"{self.path.name} is asked more than it can answer"
            return None
        try:
            return self._target(await self._answer({"request": request, "config": config}))
        finally:
            self._turn.release()

    async def _answer(self, question: Mapping[str, object]) -> Mapping[str, object]:
        try:
            process = self._process or await self._start()
            async with asyncio.timeout(ANSWER_S):
                return await _exchange(process, question)
        except TimeoutError:
            self.close()
            return {"error": f"took longer than {ANSWER_S * 1000:.0f} ms and was restarted"}
        except (OSError, ValueError, EOFError) as error:
            self.close()
            return {"error": str(error)}
        except asyncio.CancelledError:
            self.close()  # its answer would be taken for the next question's
            raise

    def _target(self, answer: Mapping[str, object]) -> str | None:
        target, error = answer.get("target"), answer.get("error")
        if isinstance(target, str) and not target.isprintable():
            target, error = None, "route() gave text that can't be a target"
        self.problem = f"{self.path.name}: {_legible(error)}" if error else None
        return target if isinstance(target, str) else None

    def reload(self) -> None:
        """The file has changed: the next question starts a new process."""
        self.close()
        self.problem = None
        self._rests_until = 0.0

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.kill()
            ending = asyncio.get_running_loop().create_task(process.communicate(), name="a script's end")
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    async def end(self) -> None:
        """End the process and wait until nothing is left of it."""
        self.close()
        if self._endings:
            await asyncio.wait(self._endings, timeout=END_S)

    async def _start(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(_HOST),
            str(self.path),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin"},  # provider keys stay out of it
        )
        self._process = process
        self._rests_until = time.monotonic() + REST_S
        try:
            async with asyncio.timeout(START_S):
                assert process.stdout is not None
                hello = json.loads(await process.stdout.readline() or b"null")
        except TimeoutError:
            raise EOFError(f"it did not start within {START_S:g} s") from None
        if not isinstance(hello, dict) or not hello.get("ready"):
            raise EOFError(hello.get("error") if isinstance(hello, dict) else "it did not start")
        self._rests_until = 0.0
        return process


def _legible(text: object) -> str:
    """What a script says of itself, short and on one line."""
    return "".join(c if c.isprintable() else " " for c in str(text)[:500])


async def _exchange(process: asyncio.subprocess.Process, question: Mapping[str, object]) -> dict[str, object]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(question).encode() + b"\n")
    await process.stdin.drain()
    line = await process.stdout.readline()
    if not line:
        raise EOFError("no answer")
    answer = json.loads(line)
    if not isinstance(answer, dict):
        raise ValueError("not an answer")
    return answer
