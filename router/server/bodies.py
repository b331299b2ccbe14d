"""Reading a request's body: under a cap, and not slower than a patient network would be."""

from __future__ import annotations

import asyncio
import time

from aiohttp import web

from router.errors import BadRequest, PayloadTooLarge, RequestTimeout

IDLE_S = 15.0  # between two parts of a body
LEAST_BYTES_PER_S = 1024.0


async def read_body(request: web.BaseRequest, cap: int) -> bytes:
    """The whole body. Raises PayloadTooLarge as soon as it passes ``cap``, RequestTimeout when it drips."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= (1, 1):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # of the reply itself nothing is written yet
    content = request.content
    parts: list[bytes] = []
    size = 0
    started = time.monotonic()
    try:
        while True:
            if content.is_eof():
                part = content.read_nowait()
            else:
                async with asyncio.timeout(IDLE_S):
                    part = await content.readany()
            if not part:
                break
            parts.append(part)
            size += len(part)
            if size > cap:
                raise PayloadTooLarge(f"the body is larger than {cap} bytes ([server] max-body)")
            if time.monotonic() - started > IDLE_S + size / LEAST_BYTES_PER_S:
                raise RequestTimeout("the body came too slowly")
    except TimeoutError as error:
        raise RequestTimeout("the body stopped coming") from error
    except web.RequestPayloadError as error:
        raise BadRequest("the body's framing is broken") from error
    return parts[0] if len(parts) == 1 else b"".join(parts)
