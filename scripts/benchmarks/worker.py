"""The worker's end of ``processes.Worker``: JSON lines in on standard input, one JSON line out for each."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any


async def serve_commands(command: Callable[[Any], Awaitable[Mapping[str, Any]]], *, ready: Mapping[str, Any]) -> None:
    """Say ``ready``, then answer orders until standard input ends (the parent is gone or has finished)."""
    reader = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(json.dumps(ready), flush=True)
    while line := await reader.readline():
        print(json.dumps(await command(json.loads(line))), flush=True)
