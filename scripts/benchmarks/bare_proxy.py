"""The least that an aiohttp proxy can do: read the body, send it on, pass the reply back.

The router is measured by it. No rules, no ledger, no log, no error handling. Run as a worker, with the provider's port.
"""

from __future__ import annotations

import asyncio
import sys

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web

from benchmarks.worker import serve_commands

_NOT_PASSED_ON = {"host", "connection", "content-length", "transfer-encoding", "accept-encoding"}


async def serve() -> None:
    provider = f"http://127.0.0.1:{sys.argv[1]}"
    async with ClientSession(
        connector=TCPConnector(limit=0),
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
        timeout=ClientTimeout(total=None),
    ) as session:

        async def forward(request: web.Request) -> web.StreamResponse:
            headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _NOT_PASSED_ON]
            body = await request.read()
            async with session.post(provider + request.path, data=body, headers=headers) as reply:
                kind = reply.headers["content-type"]
                if not kind.startswith("text/event-stream"):
                    return web.Response(status=reply.status, body=await reply.read(), headers={"content-type": kind})
                stream = web.StreamResponse(status=reply.status, headers={"content-type": kind})
                await stream.prepare(request)
                async for chunk in reply.content.iter_any():
                    await stream.write(chunk)
                await stream.write_eof()
                return stream

        app = web.Application(client_max_size=2**26)
        app.router.add_post("/{path:.*}", forward)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=2048)
        await site.start()

        async def command(order: object) -> dict[str, object]:
            return {}

        await serve_commands(command, ready={"port": runner.addresses[0][1]})
        await runner.cleanup()


def main() -> None:
    asyncio.run(serve())
