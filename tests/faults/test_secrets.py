"""Every secret of a run is unlike anything else; afterwards all bytes the run has produced are searched for them."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from router.server.admin import AdminClient
from tests.support.answers import answer
from tests.support.asking import FORMATS, MESSAGES
from tests.support.process import RouterProcess, free_port
from tests.support.provider import Close, FakeProvider, Raw, Received, Send, Status, Step, stream, whole
from tests.support.raw import ask, request
from tests.support.serving import write_profile

pytestmark = pytest.mark.slow

SECRETS = {
    "the provider's key": "sk-canary-provider-7f3a91",
    "the other provider's key": "sk-canary-other-55d1c0",
    "the key in a profile's .env": "sk-canary-dotenv-91be22",
    "the key in a file": "sk-canary-file-04aa7e",
    "the profile's fixed key": "canary-fixed-key-88aa31",
    "the key of the metrics": "canary-metrics-key-3c21d7",
    "a declared header": "canary-header-secret-ab9911",
    "a client's own credential": "sk-ant-oat01-canary-own-6612",
    "a client's cookie": "canary-cookie-1199ff",
    "a key written where none belongs": "sk-canary-inline-d00d5e",
    "a password in a URL": "canary-password-77aabb",
}
TEXTS = {
    "what a client asked": "canary-prompt-zebra-41",
    "what a provider said": "canary-answer-heron-73",
    "a system prompt": "canary-system-otter-12",
    "a tool's result": "canary-result-lynx-58",
}


def forms(secret: str) -> Iterator[bytes]:
    plain = secret.encode()
    yield plain
    yield plain.hex().encode()
    yield quote(secret, safe="").encode()
    for start in range(3):  # base64 of the secret, wherever in a longer text it stands
        coded = base64.b64encode(b"x" * start + plain)
        yield coded[4 if start else 0 : -4]


WORK = """\
[profile]
description = "for the canaries"

[auth]
keys = "required"
key = "env:FIXED_KEY"

[routing]
other-to = "fake"

[[rule]]
name = "own login"
match = { header = { x-own = "yes" } }
target = "own/m"

[[rule]]
name = "file"
match = { header = { x-own = "file" } }
target = "filed/m"

[default]
target = "fake/m"

[providers.fake.headers]
x-team = "canary-header-secret-ab9911"
"""
PROVIDERS = """\
[fake]
base-url = "{url}"
formats = ["anthropic-messages", "openai-chat", "openai-responses", "gemini"]
api-key = "env:PROVIDER_KEY"

[own]
base-url = "{url}"
formats = ["anthropic-messages", "openai-chat", "openai-responses", "gemini"]
api-key = "passthrough"

[filed]
base-url = "{url}"
formats = ["anthropic-messages", "openai-chat", "openai-responses", "gemini"]
api-key = "file:{file}"

[dotted]
base-url = "{url}"
formats = ["anthropic-messages", "openai-chat"]
api-key = "env:DOTENV_KEY"

[absent]
base-url = "{url}"
formats = ["anthropic-messages"]
api-key = "env:NOWHERE"
"""
DOTTED = '[default]\ntarget = "dotted/m"\n'
BROKEN = [
    '[default]\ntarget = "fake/m"\n[providers.fake]\napi-key = "sk-canary-inline-d00d5e"\n',
    '[default]\ntarget = "fake/m"\n[providers.fake]\napi_key = "sk-canary-inline-d00d5e"\n',
    '[default]\ntarget = "fake/m"\n[auth]\nkey = "sk-canary-inline-d00d5e"\n',
    '[default]\ntarget = "fake/m"\n[auth]\nkeys = ["sk-canary-inline-d00d5e"]\n',
    '[default]\ntarget = "fake/m"\n[providers.fake]\nbase-url = "https://user:canary-password-77aabb@example.org"\n',
    '[default]\ntarget = "fake/m"\n[providers.fake]\nproxy = "http://user:canary-password-77aabb@127.0.0.1:1"\n',
    '[default]\ntarget = "fake/m"\n[providers.fake]\napi-keys = ["sk-canary-inline-d00d5e", "env:X"]\n',
    '[default]\ntarget = "fake/m"\n[providers.fake.headers]\n"x y" = "canary-header-secret-ab9911"\n',
]  # fmt: skip


def scripted(received: Received) -> Any:
    """As the request's marker says; errors repeat the credential, as careless servers do."""
    key = " ".join(received.headers.get(name, "") for name in ("authorization", "x-api-key", "x-goog-api-key"))
    mark = received.headers.get("x-app", "")
    if mark.isdigit():
        message = f"Incorrect API key provided: {key}"
        return whole({"type": "error", "error": {"type": "x", "message": message}}, status=int(mark))
    if mark == "cut":
        return cut()
    if mark == "early":
        return stream(b'event: error\ndata: {"type":"error","error":{"message":"bad key %s"}}\n\n' % key.encode())
    return answered(received)


def cut() -> list[Step]:
    return [Status(200), Close()]


def answered(received: Received) -> list[Step]:
    """The usual answer, with a text of its own."""
    steps, text = list(answer(received)), TEXTS["what a provider said"].encode()
    if isinstance(steps[1], Raw):
        return whole(steps[1].data.replace(b"Hello", text))
    return [Send(step.data.replace(b"Hello", text)) if isinstance(step, Send) else step for step in steps]


@pytest.fixture
async def process(tmp_path: Path, provider: FakeProvider) -> AsyncIterator[RouterProcess]:
    provider.answer = scripted
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    file = tmp_path / "key"
    file.write_text(SECRETS["the key in a file"] + "\n")
    file.chmod(0o600)
    (home / "providers.toml").write_text(PROVIDERS.format(url=provider.url, file=file))
    (home / "router.toml").write_text('[server]\nmetrics-key = "env:METRICS_KEY"\n')
    write_profile(home, "work", WORK)
    folder = write_profile(home, "dotted", DOTTED, {".env": "DOTENV_KEY=sk-canary-dotenv-91be22\n"})
    (folder / ".env").chmod(0o600)
    write_profile(home, "absent", '[default]\ntarget = "absent/m"\n')
    for number, text in enumerate(BROKEN):
        write_profile(home, f"broken{number}", text)
    router = RouterProcess(home, free_port())
    await router.spawn(
        "--log-level", "debug",
        variables={
            "PROVIDER_KEY": SECRETS["the provider's key"],
            "FIXED_KEY": SECRETS["the profile's fixed key"],
            "METRICS_KEY": SECRETS["the key of the metrics"],
        },
    )  # fmt: skip
    try:
        yield await router.ready()
    finally:
        await router.destroy()


async def test_no_secret_and_no_text_of_a_conversation_is_found_in_anything(
    process: RouterProcess, provider: FakeProvider, tmp_path: Path
) -> None:
    home = process.home
    produced: dict[str, bytes] = {}
    admin = AdminClient(home / "router.sock")
    made = await asyncio.to_thread(admin.call, "POST", "/keys", {"profile": "work", "name": "alice"})
    client_key = made["key"]
    secrets = {**SECRETS, "a client's key": client_key}
    served = 0

    async def send(what: str, data: bytes) -> int:
        reply = await ask(process.url, data)
        produced[f"reply: {what}"] = reply.raw
        return reply.status

    ours = [("x-router-key", client_key), ("cookie", "session=canary-cookie-1199ff")]
    for form in FORMATS:
        for streamed in (False, True):
            path, body = form.request(stream=streamed)
            body = body.replace(b'"Hello"', json.dumps(TEXTS["what a client asked"]).encode())
            for profile, headers in {
                "work": ours,
                "work, own login": [*ours, ("x-own", "yes"), ("authorization", "Bearer sk-ant-oat01-canary-own-6612")],
                "work, key file": [*ours, ("x-own", "file")],
                "work, fixed key": [("x-api-key", SECRETS["the profile's fixed key"])],
                "work, wrong key": [("x-api-key", client_key + "x")],
                "dotted": [],
                "absent": [],
                "broken0": [],
            }.items():
                name = profile.partition(",")[0]
                status = await send(
                    f"{profile} {form.name} {streamed}", request("POST", f"/{name}{path}", body, headers=headers)
                )
                served += status == 200
            for mark in (
                "400",
                "401",
                "403",
                "404",
                "429",
                "500",
                "529",
                "302",
                "cut",
                *(["early"] if streamed else []),
            ):
                await send(
                    f"{mark} {form.name} {streamed}",
                    request("POST", f"/work{path}", body, headers=[*ours, ("x-app", mark)]),
                )
    assert served >= 24
    long = {
        **MESSAGES.body,
        "system": TEXTS["a system prompt"],
        "messages": [
            {"role": "user", "content": TEXTS["what a client asked"]},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "t", "name": "look", "input": {"q": TEXTS["what a client asked"]}}
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "t", "content": TEXTS["a tool's result"]}],
            },
        ],
    }
    await send("long", request("POST", "/work/v1/messages", long, headers=ours))
    await send(
        "not JSON",
        request("POST", "/work/v1/messages", b'{"model": "' + TEXTS["what a client asked"].encode(), headers=ours),
    )
    await send(
        "embeddings",
        request("POST", "/work/v1/embeddings", {"model": "e", "input": TEXTS["what a client asked"]}, headers=ours),
    )
    for path in ("/health", "/work/health", "/broken1/health", "/work/stats", "/work/v1/models", "/", "/metrics"):
        await send(path, request("GET", path, headers=ours))
    await send(
        "metrics",
        request("GET", "/metrics", headers=[("authorization", f"Bearer {SECRETS['the key of the metrics']}")]),
    )
    await send("in the query", request("GET", f"/work/v1/models?key={client_key}"))
    await send("in the path", request("GET", f"/{client_key}/v1/models"))
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(home / "router.sock"))) as session:
        for path in ("/status", "/keys"):
            async with session.get(f"http://router{path}") as reply:
                produced[f"admin: {path}"] = await reply.read()
    (home / "profiles" / "work" / "routing.toml").write_text(BROKEN[0])  # a broken edit under way
    (home / "router.toml").write_text('[server]\nmetrics-key = "canary-metrics-key-3c21d7"\n')
    await asyncio.sleep(1.2)
    await send("after a broken edit", request("GET", "/health"))
    produced.update(files(home))  # while it runs, with its log of writes
    process.process.terminate()
    assert await process.ended() == 0
    produced.update({f"{name}, at the end": data for name, data in files(home).items()})
    produced["the console"] = process.output.read_bytes()

    assert any(SECRETS["the key in a file"] in str(seen.headers) for seen in provider.requests), "it was used"
    assert any(SECRETS["the key in a profile's .env"] in str(seen.headers) for seen in provider.requests)
    found = [
        f"{what} in {where}"
        for what, secret in secrets.items()
        for form in forms(secret)
        for where, data in produced.items()
        if form in data
    ]
    assert not found
    kept = {where: data for where, data in produced.items() if not where.startswith("reply: ")}
    assert not [
        f"{what} in {where}" for what, text in TEXTS.items() for where, data in kept.items() if text.encode() in data
    ]
    for seen in provider.requests:
        assert client_key not in str(seen.headers), "nor is a router key sent to a provider"
        assert SECRETS["a client's cookie"] not in str(seen.headers)
        if "x-team" in seen.headers:  # to the provider that has a key of ours
            assert SECRETS["a client's own credential"] not in str(seen.headers)
    with closing(sqlite3.connect(home / "router.db")) as connection:
        assert connection.execute("SELECT count(*) FROM requests WHERE outcome = 'ok'").fetchone()[0] >= 24


def files(home: Path) -> dict[str, bytes]:
    """What lies in the home, except what the test wrote itself."""
    own = ("routing.toml", "providers.toml", "router.toml", ".env")
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in home.rglob("*")
        if path.is_file() and path.name not in own
    }
