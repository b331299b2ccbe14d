"""A profile's ``route.py``, asked in a process of its own: a slow or broken script never holds a request up.

The script gets 100 ms. Over that, its process is killed and started again, the request goes on as if it had said
nothing, and the problem is kept for `status` and `/health`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path

ANSWER_S = 0.1
START_S = 5.0
_HOST = Path(__file__).with_name("script_host.py")


class Script:
    """One script and its process, started at the first question."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem: str | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def ask(self, request: Mapping[str, object], config: Mapping[str, object]) -> str | None:
        """The target the script names ("provider/model" or an alias), None when it names none or failed."""
        async with self._turn:
            try:
                process = self._process or await self._start()
                async with asyncio.timeout(ANSWER_S):
                    answer = await _exchange(process, {"request": request, "config": config})
            except TimeoutError:
                self.problem = f"{self.path.name} took longer than {ANSWER_S * 1000:.0f} ms and was restarted"
                self.close()
                return None
            except (OSError, ValueError, EOFError) as error:
                self.problem = self.problem or f"{self.path.name} ended: {error}"
                self.close()
                return None
            except asyncio.CancelledError:
                self.close()  # its answer would be taken for the next question's
                raise
        if answer.get("error"):
            self.problem = f"{self.path.name}: {answer['error']}"
            return None
        self.problem = None
        target = answer.get("target")
        return target if isinstance(target, str) else None

    def reload(self) -> None:
        """The file has changed: the next question starts a new process."""
        self.close()
        self.problem = None

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            self._process = None

    async def end(self) -> None:
        """End the process and wait until nothing is left of it."""
        process = self._process
        self.close()
        if process is not None:
            await process.communicate()

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
        async with asyncio.timeout(START_S):
            assert process.stdout is not None
            hello = json.loads(await process.stdout.readline() or b"null")
        if not isinstance(hello, dict) or not hello.get("ready"):
            self.problem = f"{self.path.name}: {hello.get('error') if isinstance(hello, dict) else 'it did not start'}"
            raise EOFError(self.problem)
        return process


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
