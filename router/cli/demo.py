"""``router demo``: the router at work, without keys, without a network and without leaving anything behind."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from router.cli.demo_requests import GUEST, DemoRequest, requests
from router.cli.demo_walk import Amounts, Seen, Tariff, Walk
from router.cli.places import Places, examples
from router.cli.usage import command as usage
from router.errors import ConfigError
from router.profile.making import presets
from router.wire.formats import CODECS

if TYPE_CHECKING:
    import aiohttp

NAME = "demo"


@click.command("demo", epilog=examples("router demo"))
def command() -> None:
    """Send a request through each rule of the demo profile, and show what each rule cost.

    A server with its built-in provider is started for it in a folder of its own, which is removed again; no key and no
    network is needed. The report at the end is compared with what the replies themselves said.
    """
    folder = presets().get(NAME)
    if folder is None:
        raise ConfigError("the demo profile is missing from this installation")
    with tempfile.TemporaryDirectory(prefix="router-demo-") as home:
        status = demonstrate(Path(home), folder)
    if status:
        raise click.exceptions.Exit(status)


def demonstrate(home: Path, preset: Path) -> int:
    """The whole demonstration in a new home; the exit status."""
    shutil.copytree(preset, home / "profiles" / NAME)
    walk = Walk(Tariff(preset / "routing.toml"))
    walk.begin()
    asyncio.run(_send_all(home, walk))
    places = Places(home)
    scope, _ = places.scope(NAME)
    report = places.reader.usage([scope], ("rule",))
    rows = {row.keys[0]: Amounts.of(partial(getattr, row.sums)) for row in report.rows}
    walk.compare(rows, Amounts.of(partial(getattr, report.total.sums)))
    click.echo("\n$ router usage --profile demo --by-rule")
    usage.main(["--home", str(home), "--profile", NAME, "--by-rule"], standalone_mode=False)
    click.echo()
    return walk.end()


async def _send_all(home: Path, walk: Walk) -> None:
    """Run a server in this process and send it everything, one after the other."""
    import aiohttp

    from router.server import client_keys
    from router.server.app import App, ServeOptions

    app = App(ServeOptions(home=home, port=0))
    await app.start()
    try:
        key = await app.ledger.run(partial(client_keys.create, profile=NAME, name=GUEST))
        app.services.keys = await app.ledger.run(client_keys.ring)
        async with aiohttp.ClientSession(f"{app.base_url}/{NAME}/") as session:
            for request in requests():
                walk.take(await _send(session, request, key["key"]))
    finally:
        await app.stop()


async def _send(session: aiohttp.ClientSession, request: DemoRequest, key: str) -> Seen:
    """One request over plain HTTP; its reply is read by the wire format's own file."""
    headers = {"Content-Type": "application/json", **request.headers}
    if request.key is not None:
        headers["x-router-key"] = key
    codec = CODECS[request.api]
    async with session.post(request.path.lstrip("/"), data=msgspec.json.encode(request.body), headers=headers) as reply:
        if request.stream and reply.status == 200:
            tap = codec.tap(media_type=reply.content_type)
            async for chunk in reply.content.iter_any():
                tap.feed(chunk)
            tap.finish()
            facts = tap.facts
            error = facts.error if tap.ended else facts.error or "the stream broke off"
        else:
            facts = codec.read_reply(await reply.read())
            error = facts.error
        told = {name.lower(): value for name, value in reply.headers.items()}
        return Seen(request, reply.status, told, facts.usage, error)
