"""The way out: a proxy for all providers that aren't on this machine, and certificates to trust."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.errors import ConfigError
from router.upstream.client import Upstream
from tests.support.answers import answer
from tests.support.provider import FakeProvider
from tests.support.serving import serving
from tests.support.tls import write_tls

BODY = {"model": "m", "max_tokens": 9, "messages": []}


@pytest.mark.parametrize(
    ("address", "own", "through"),
    [
        pytest.param("http://provider.example", "", "proxy", id="a provider elsewhere goes through it"),
        pytest.param("HERE", "", "HERE", id="one on this machine doesn't"),
        pytest.param("http://provider.example", 'proxy = "OWN"', "own", id="a provider's own goes before it"),
    ],
)
async def test_the_proxy_of_the_network(address: str, own: str, through: str, tmp_path: Path) -> None:
    async with FakeProvider(answer) as proxy, FakeProvider(answer) as own_proxy, FakeProvider(answer) as here:
        address = address.replace("HERE", here.url)
        table = f'[fake]\nformats = ["anthropic-messages"]\nbase-url = "{address}"\napi-key = "none"\n'
        home = tmp_path / "home"
        home.mkdir(mode=0o700)
        (home / "providers.toml").write_text(table + own.replace("OWN", own_proxy.url) + "\n")
        settings = f'[network]\nproxy = "{proxy.url}"\n'
        async with (
            serving(home, {"work": '[default]\nto = "fake"\n'}, settings=settings) as router,
            router.post("/work/v1/messages", json=BODY) as reply,
        ):
            assert reply.status == 200
    asked = {"proxy": proxy, "own": own_proxy, "HERE": here}
    assert {name: len(one.requests) for name, one in asked.items() if one.requests} == {through: 1}
    assert asked[through].requests[0].path.endswith("/v1/messages")


@pytest.mark.parametrize("name", ["none.txt", "words.txt"])
async def test_certificates_that_cant_be_read_end_the_start(name: str, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("words\n")
    with pytest.raises(ConfigError, match=rf"\[network\] ca-file .*{name} can't be used"):
        Upstream(ca_file=tmp_path / name)


async def test_an_authority_of_ones_own_is_trusted_beside_the_others(tmp_path: Path) -> None:
    tls = write_tls(tmp_path)
    https = f'[server]\ntls-cert = "{tls.cert}"\ntls-key = "{tls.key}"\n'
    async with serving(tmp_path / "far", {"work": '[default]\nto = "demo"\n'}, settings=https) as provider:
        for trusting, status in ((True, 200), (False, 502)):
            home = tmp_path / f"near-{trusting}"
            rules = (
                f'[providers.far]\nformats = ["anthropic-messages"]\nbase-url = "{provider.url}/work"\n'
                'api-key = "none"\n[default]\nto = "far"\n'
            )
            settings = f'[network]\nca-file = "{tls.cert}"\n' if trusting else ""
            async with (
                serving(home, {"work": rules}, settings=settings) as router,
                router.post("/work/v1/messages", json=BODY) as reply,
            ):
                assert reply.status == status
