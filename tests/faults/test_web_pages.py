"""A page in somebody's browser can't use the router: neither by an address of its own nor across origins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.aftermath import nothing_recorded
from tests.support.answers import answer
from tests.support.asking import MESSAGES, PROFILE
from tests.support.provider import FakeProvider
from tests.support.serving import serving

pytestmark = pytest.mark.sampled(3)

PATH, BODY = MESSAGES.request(stream=False)
PATHS = [f"/work{PATH}", "/work/v1/models", "/work/stats", "/health", "/metrics", "/"]


@pytest.fixture
def served(arena: Any) -> Any:
    arena.provider.answer = answer
    return arena


async def status(router: Any, path: str, headers: Mapping[str, str], *, method: str | None = None) -> int:
    posted = path.endswith(PATH)
    method = method or ("POST" if posted else "GET")
    async with router.session.request(
        method, router.url + path, data=BODY if posted else None, headers=headers
    ) as reply:
        assert "Access-Control-Allow-Origin" not in reply.headers
        return int(reply.status)


FOREIGN = [
    pytest.param({"Host": "evil.example"}, 421, id="a name that was made to point here"),
    pytest.param({"Host": "evil.example:8080"}, 421, id="with a port"),
    pytest.param({"Host": "127.0.0.1.evil.example"}, 421, id="a name that begins with our address"),
    pytest.param({"Host": "localhost.evil.example"}, 421, id="a name that begins with localhost"),
    pytest.param({"Host": "127.0.0.1@evil.example"}, 421, id="a name behind a user"),
    pytest.param({"Host": "127.0.0.1/#"}, 421, id="more than a name"),
    pytest.param({"Host": "192.0.2.1"}, 421, id="another address"),
    pytest.param({"Host": ""}, 421, id="no name"),
    pytest.param({"Origin": "https://evil.example"}, 403, id="a page of another origin"),
    pytest.param({"Origin": "null"}, 403, id="a page without an origin"),
    pytest.param({"Origin": "http://127.0.0.1:1"}, 403, id="a page of another port of this machine"),
    pytest.param({"Origin": "http://127.0.0.1.evil.example"}, 403, id="an origin that begins with our address"),
    pytest.param({"Origin": "http://["}, 403, id="an origin that is none"),
    pytest.param({"Sec-Fetch-Site": "cross-site"}, 403, id="a cross-site fetch that tells no origin"),
    pytest.param({"Sec-Fetch-Site": "same-site"}, 403, id="another port's page that tells no origin"),
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("headers", "expected"), FOREIGN)
async def test_a_foreign_page_is_refused_on_every_path(
    headers: Mapping[str, str], expected: int, path: str, served: Any
) -> None:
    async with nothing_recorded(served.router, served.provider):
        assert await status(served.router, path, headers) == expected


@pytest.mark.parametrize(("headers", "expected"), FOREIGN)
async def test_no_preflight_of_a_foreign_page_is_allowed(
    headers: Mapping[str, str], expected: int, served: Any
) -> None:
    asked = {"Access-Control-Request-Method": "POST", **headers}
    assert await status(served.router, PATHS[0], asked, method="OPTIONS") in (expected, 405)


OURS = [
    pytest.param({}, id="a program"),
    pytest.param({"Host": "localhost"}, id="localhost"),
    pytest.param({"Host": "LOCALHOST:1234"}, id="localhost in capitals, behind a forwarded port"),
    pytest.param({"Host": "[::1]:8080"}, id="loopback of IPv6"),
    pytest.param({"Host": "127.0.0.1:8080", "Origin": "http://127.0.0.1:8080"}, id="a page of our own"),
    pytest.param({"Sec-Fetch-Site": "none"}, id="an address typed in"),
    pytest.param({"Sec-Fetch-Site": "same-origin"}, id="a fetch of our own page"),
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", OURS)
async def test_programs_and_our_own_pages_are_served(headers: Mapping[str, str], path: str, served: Any) -> None:
    assert await status(served.router, path, headers) == 200


async def test_an_origin_that_is_named_may_call_and_no_other(tmp_path: Path, provider: FakeProvider) -> None:
    provider.answer = answer
    settings = '[server]\norigins = ["https://notes.example"]\n'
    named = {"Origin": "https://notes.example", "Sec-Fetch-Site": "cross-site"}
    async with serving(
        tmp_path / "home", {"work": PROFILE}, settings=settings, providers={"fake": provider.url}
    ) as router:
        async with router.session.options(router.url + PATHS[0], headers=named) as reply:
            assert reply.status == 204
            assert reply.headers["Access-Control-Allow-Origin"] == "https://notes.example"
            assert "Access-Control-Allow-Credentials" not in reply.headers
        async with router.post(PATHS[0], data=BODY, headers=named) as reply:
            assert reply.status == 200
        for other in ("https://notes.example.evil.example", "http://notes.example", "https://evil.example"):
            assert await status(router, PATHS[0], {**named, "Origin": other}) == 403
