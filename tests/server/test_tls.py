"""HTTPS on every port where a certificate is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.errors import ConfigError
from tests.support.serving import serving
from tests.support.tls import write_tls

WORK = '[profile]\nport = "auto"\n[default]\nto = "demo"\n'


def settings(cert: Path, key: Path) -> str:
    return f'[server]\nport-range = "18461-18490"\ntls-cert = "{cert}"\ntls-key = "{key}"\n'


async def test_both_kinds_of_ports_speak_https(tmp_path: Path) -> None:
    tls = write_tls(tmp_path)
    async with serving(tmp_path / "home", {"work": WORK}, settings=settings(tls.cert, tls.key)) as router:
        (tenant,) = router.app.tenants
        assert tenant.listener is not None
        for base in (f"{router.url}/work", tenant.listener.base_url):
            assert base.startswith("https://127.0.0.1:")
            body = {"model": "m", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
            async with router.session.post(f"{base}/v1/messages", json=body, ssl=tls.trusted) as reply:
                assert reply.status == 200
                assert (await reply.read()).rstrip().endswith(b'{"type":"message_stop"}')


@pytest.mark.parametrize(
    ("cert", "key"),
    [
        pytest.param("none.txt", "key.txt", id="no such file"),
        pytest.param("words.txt", "key.txt", id="no certificate"),
        pytest.param("cert.txt", "cert.txt", id="no key"),
    ],
)
async def test_files_that_cant_be_used_end_the_start_with_their_names(cert: str, key: str, tmp_path: Path) -> None:
    write_tls(tmp_path)
    (tmp_path / "words.txt").write_text("words\n")
    with pytest.raises(ConfigError, match=r"\[server\] tls-cert .*" + cert):
        async with serving(tmp_path / "home", settings=settings(tmp_path / cert, tmp_path / key)):
            pass
