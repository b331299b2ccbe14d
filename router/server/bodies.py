"""Reading a request's body: decoded, under a cap, and not slower than a patient network would be."""

from __future__ import annotations

import asyncio
import time

from aiohttp import web

from router.errors import BadRequest, PayloadTooLarge, RequestTimeout
from router.server.codings import Decoder, coding_of

IDLE_S = 15.0  # between two parts of a body
LEAST_BYTES_PER_S = 1024.0
LARGE_BODY = 2**18  # bytes of a request; to translate a longer one would hold everybody else up for milliseconds
LARGE = 8 * 2**20  # bytes; copying as many takes some milliseconds
DECODING_S = 0.003  # at a stretch; then others get their turn


async def read_body(request: web.BaseRequest, cap: int) -> bytes:
    """The whole body, decoded. Raises PayloadTooLarge as soon as it passes ``cap``, RequestTimeout when it drips,
    UnsupportedMediaType and BadRequest for what can't be decoded."""
    coding = coding_of(request.headers)
    decoder = Decoder(coding, cap) if coding else None
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
            size += len(part)
            if size > cap:
                raise PayloadTooLarge(f"the body is larger than {cap} bytes ([server] max-body)")
            if time.monotonic() - started > IDLE_S + size / LEAST_BYTES_PER_S:
                raise RequestTimeout("the body came too slowly")
            if decoder is None:
                parts.append(part)
            else:
                await _decode(decoder, part, parts)
    except TimeoutError as error:
        raise RequestTimeout("the body stopped coming") from error
    except web.RequestPayloadError as error:
        raise BadRequest("the body's framing is broken") from error
    if decoder is not None:
        decoder.finish()
        size = decoder.size
    if len(parts) == 1:
        return parts[0]
    if size < LARGE:
        return b"".join(parts)
    return await asyncio.to_thread(b"".join, parts)  # joining is copying, and lets the loop run


async def _decode(decoder: Decoder, data: bytes, parts: list[bytes]) -> None:
    """Append the decoded pieces of ``data`` to ``parts``."""
    began = time.monotonic()
    for piece in decoder.decode(data):
        if piece:
            parts.append(piece)
        if time.monotonic() - began > DECODING_S:
            await asyncio.sleep(0)
            began = time.monotonic()
    await asyncio.sleep(0)  # what has arrived already is read without waiting
