"""Compressed request bodies: what is decoded, what is refused, and what a bomb costs."""

from __future__ import annotations

import contextlib
import gzip
import json
import random
import sys
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from router.errors import BadRequest, PayloadTooLarge, UnsupportedMediaType
from router.server import exchange
from router.server.bodies import read_body
from router.server.codings import MOST_SWELLING, PIECE, SWELLING_FREE, Decoder, coding_of
from tests.support.aftermath import aftermath, nothing_recorded
from tests.support.answers import answer
from tests.support.asking import MESSAGES, PROFILE
from tests.support.memory import forget_the_most, most_memory
from tests.support.provider import FakeProvider
from tests.support.raw import RawClient, ask, request
from tests.support.serving import Running, serving
from tests.support.slow import TooSlow
from tests.support.watchdog import watchdog

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.slow

CAP = 64 * 2**20
BODY = MESSAGES.request(stream=False)[1]


def bare(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


class Packing(NamedTuple):
    """A way to compress, by the name that a client gives it."""

    coding: str
    pack: Callable[[bytes], bytes]


PACKINGS = [
    pytest.param(Packing("zstd", zstd.compress), id="zstd"),
    pytest.param(Packing("gzip", gzip.compress), id="gzip"),
    pytest.param(Packing("x-gzip", gzip.compress), id="gzip by its old name"),
    pytest.param(Packing("deflate", zlib.compress), id="deflate in zlib's wrapping"),
    pytest.param(Packing("deflate", bare), id="bare deflate"),
]
packings = pytest.mark.parametrize("packing", PACKINGS)


def decoded(coding: str, data: bytes, *, step: int = 2**16, cap: int = CAP) -> bytes:
    """What becomes of a body that arrives in parts of ``step`` bytes."""
    decoder = Decoder(coding, cap)
    parts = [piece for start in range(0, len(data), step) for piece in decoder.decode(data[start : start + step])]
    decoder.finish()
    whole = b"".join(parts)
    assert decoder.size == len(whole)
    return whole


def conversation(size: int, seed: int = 1) -> bytes:
    """Text about as compressible as what agents send."""
    chance = random.Random(seed)
    words = [chance.randbytes(3).hex() for _ in range(5000)]
    text = " ".join(chance.choices(words, k=size // 7 + 1))[:size]
    return json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": text}]}).encode()


# --- decoding ---------------------------------------------------------------------------------------------------------


@packings
@pytest.mark.parametrize("step", [1, 7, 2**10, 2**20], ids=lambda step: f"{step} bytes at a time")
@pytest.mark.parametrize("size", [0, 1, 5000, 3 * PIECE])
def test_what_was_packed_comes_out_however_it_arrives(packing: Packing, step: int, size: int) -> None:
    data = conversation(size)[:size]
    assert decoded(packing.coding, packing.pack(data), step=step) == data


@packings
@given(data=st.binary(max_size=2000), cuts=st.lists(st.integers(0, 2000), max_size=5))
@settings(deadline=None, max_examples=60)
def test_any_bytes_cut_anywhere_come_out(packing: Packing, data: bytes, cuts: list[int]) -> None:
    packed = packing.pack(data)
    edges = [0, *sorted(min(cut, len(packed)) for cut in cuts), len(packed)]
    decoder = Decoder(packing.coding, CAP)
    whole = b"".join(piece for start, end in pairwise(edges) for piece in decoder.decode(packed[start:end]))
    decoder.finish()
    assert whole == data


@packings
def test_pieces_are_small(packing: Packing) -> None:
    decoder = Decoder(packing.coding, CAP)
    sizes = [len(piece) for piece in decoder.decode(packing.pack(conversation(4 * 2**20)))]
    assert max(sizes) <= PIECE


def with_name_and_comment(data: bytes) -> bytes:
    """A gzip member whose header has every optional field."""
    plain = gzip.compress(data, mtime=0)
    return plain[:3] + b"\x1c" + plain[4:10] + b"\x02\x00ab" + b"name\x00" + b"comment\x00" + plain[10:]


def test_a_gzip_header_may_have_all_its_fields() -> None:
    assert decoded("gzip", with_name_and_comment(BODY), step=1) == BODY


@packings
def test_every_cut_is_noticed(packing: Packing) -> None:
    packed = packing.pack(BODY)
    for end in range(len(packed)):
        with pytest.raises(BadRequest, match="breaks off"):
            decoded(packing.coding, packed[:end])


@packings
@pytest.mark.parametrize(
    "more",
    [
        pytest.param(b"\x00", id="a zero byte"),
        pytest.param(b"{}", id="plain text"),
        pytest.param(None, id="a second stream"),
    ],
)
@pytest.mark.parametrize("step", [1, 2**16])
def test_nothing_may_follow(packing: Packing, more: bytes | None, step: int) -> None:
    packed = packing.pack(BODY)
    with pytest.raises(BadRequest, match="goes on after"):
        decoded(packing.coding, packed + (packed if more is None else more), step=step)


SKIPPABLE = bytes.fromhex("502a4d1804000000") + b"skip"  # a frame that a decoder passes over


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


BROKEN = [
    pytest.param("zstd", BODY, id="plain text said to be zstd"),
    pytest.param("gzip", BODY, id="plain text said to be gzip"),
    pytest.param("deflate", b"\xff" * 50, id="noise said to be deflate"),
    pytest.param("zstd", gzip.compress(BODY), id="gzip said to be zstd"),
    pytest.param("gzip", zstd.compress(BODY), id="zstd said to be gzip"),
    pytest.param("gzip", flipped(gzip.compress(BODY), -6), id="a wrong checksum of gzip"),
    pytest.param("gzip", flipped(gzip.compress(BODY), -1), id="a wrong length in gzip"),
    pytest.param("deflate", flipped(zlib.compress(BODY), -1), id="a wrong checksum of zlib"),
    pytest.param("deflate", zlib.compressobj(zdict=b"x" * 99).flush(), id="a dictionary that only the client has"),
    pytest.param(
        "zstd",
        zstd.compress(BODY, options={zstd.CompressionParameter.checksum_flag: 1})[:-1] + b"\x00",
        id="a wrong checksum of zstd",
    ),
    pytest.param("zstd", bytes.fromhex("28b52ffd0070") + b"\x01\x00\x00", id="a window of 16 MiB"),
    pytest.param("zstd", bytes.fromhex("28b52ffd00f8") + b"\x01\x00\x00", id="a window of terabytes"),
    pytest.param("zstd", SKIPPABLE + zstd.compress(BODY), id="a frame to be skipped before the body's"),
]  # fmt: skip


@pytest.mark.parametrize(("coding", "data"), BROKEN)
@pytest.mark.parametrize("step", [1, 2**16])
def test_what_cant_be_decoded_is_a_bad_request(coding: str, data: bytes, step: int) -> None:
    with pytest.raises(BadRequest):
        decoded(coding, data, step=step)


def test_the_largest_window_of_a_well_behaved_client_is_taken() -> None:
    data = conversation(9 * 2**20)
    packed = zstd.compress(data, options={zstd.CompressionParameter.window_log: 23})
    assert decoded("zstd", packed) == data


@packings
@given(at=st.integers(0, 10_000), byte=st.integers(0, 255), step=st.sampled_from([1, 50, 2**16]))
@settings(deadline=None, max_examples=150)
def test_a_changed_byte_never_causes_another_error(packing: Packing, at: int, byte: int, step: int) -> None:
    packed = bytearray(packing.pack(BODY * 3))
    packed[at % len(packed)] = byte
    with contextlib.suppress(BadRequest, PayloadTooLarge):
        assert decoded(packing.coding, bytes(packed), step=step)


# --- bounds -----------------------------------------------------------------------------------------------------------


@packings
def test_the_cap_holds_for_the_decoded_body(packing: Packing) -> None:
    data = conversation(100_000)
    packed = packing.pack(data)
    assert decoded(packing.coding, packed, cap=len(data)) == data
    with pytest.raises(PayloadTooLarge, match="max-body"):
        decoded(packing.coding, packed, cap=len(data) - 1)


@packings
def test_a_body_may_swell_while_it_is_small(packing: Packing) -> None:
    data = b" " * SWELLING_FREE
    assert decoded(packing.coding, packing.pack(data)) == data
    with pytest.raises(PayloadTooLarge, match="swells"):
        decoded(packing.coding, packing.pack(data * 2))


@packings
def test_a_large_body_may_swell_to_a_hundred_times_its_size(packing: Packing) -> None:
    noise = random.Random(2).randbytes(SWELLING_FREE // MOST_SWELLING * 2)
    most = MOST_SWELLING * len(packing.pack(noise)) - len(noise)
    data = noise + b"\x00" * (most - 10_000)
    assert len(data) > SWELLING_FREE
    assert decoded(packing.coding, packing.pack(data)) == data
    with pytest.raises(PayloadTooLarge, match="swells"):
        decoded(packing.coding, packing.pack(data + data[len(noise) :]))


@pytest.mark.parametrize(
    ("lines", "coding"),
    [
        pytest.param([], "", id="none"),
        pytest.param([""], "", id="an empty word"),
        pytest.param(["identity"], "", id="identity"),
        pytest.param(["Zstd"], "zstd", id="a capital"),
        pytest.param([" gzip "], "gzip", id="space around it"),
        pytest.param(["br"], None, id="brotli"),
        pytest.param(["compress"], None, id="compress"),
        pytest.param(["gzip, gzip"], None, id="twice"),
        pytest.param(["gzip", "gzip"], None, id="twice, in two lines"),
        pytest.param(["identity, gzip"], None, id="identity on top"),
        pytest.param(["gzip;q=1"], None, id="a parameter"),
    ],
)
def test_the_coding_is_read_from_the_head(lines: list[str], coding: str | None) -> None:
    headers = CIMultiDictProxy(CIMultiDict(("Content-Encoding", line) for line in lines))
    if coding is None:
        with pytest.raises(UnsupportedMediaType, match="zstd, gzip, deflate"):
            coding_of(headers)
    else:
        assert coding_of(headers) == coding


# --- through the server -----------------------------------------------------------------------------------------------


class Served(NamedTuple):
    router: Running
    provider: FakeProvider


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with (
        FakeProvider(answer) as provider,
        serving(tmp_path / "home", {"work": PROFILE}, providers={"fake": provider.url}) as router,
    ):
        yield Served(router, provider)


def post(body: bytes, coding: str, path: str = "/work/v1/messages") -> bytes:
    return request("POST", path, body, headers=[("Content-Encoding", coding)])


def chunked(body: bytes, coding: str, step: int) -> Iterator[bytes]:
    """A request in chunks of ``step`` bytes."""
    yield (
        "POST /work/v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Encoding: {coding}\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()
    for start in range(0, len(body), step):
        part = body[start : start + step]
        yield b"%x\r\n%s\r\n" % (len(part), part)
    yield b"0\r\n\r\n"


@packings
async def test_the_provider_gets_the_plain_body(packing: Packing, served: Served) -> None:
    async with aftermath(*served):
        reply = await ask(served.router.url, post(packing.pack(BODY), packing.coding))
    assert reply.status == 200
    [seen] = served.provider.requests
    assert seen.json == {**json.loads(BODY), "model": "model-1"}
    assert "content-encoding" not in seen.headers
    assert seen.headers["content-length"] == str(len(seen.body))


@packings
async def test_a_body_in_chunks_of_one_byte(packing: Packing, served: Served) -> None:
    async with aftermath(*served), RawClient(served.router.url) as client:
        for part in chunked(packing.pack(BODY), packing.coding, 1):
            await client.send(part)
        assert (await client.reply()).status == 200
    assert served.provider.requests[0].json["messages"] == json.loads(BODY)["messages"]


async def test_the_connection_serves_on_behind_a_compressed_body(served: Served) -> None:
    async with RawClient(served.router.url) as client:
        for coding, pack in (("zstd", zstd.compress), ("gzip", gzip.compress), ("identity", bytes)):
            await client.send(post(pack(BODY), coding))
            assert (await client.reply()).status == 200


@pytest.mark.parametrize("path", ["/work/v1/messages/count_tokens", "/work/v1/embeddings"])
async def test_other_endpoints_decode_as_well(path: str, served: Served) -> None:
    body = json.dumps({**json.loads(BODY), "model": "fake:model-1", "input": "x"}).encode()
    reply = await ask(served.router.url, post(zstd.compress(body), "zstd", path))
    assert reply.status == 200
    assert all("content-encoding" not in seen.headers for seen in served.provider.requests)


REFUSED = [
    pytest.param("gzip", b"", 400, id="an empty body is no gzip stream"),
    pytest.param("zstd", b"", 400, id="nor a zstd frame"),
    pytest.param("zstd", zstd.compress(b""), 400, id="an empty frame has no JSON in it"),
    pytest.param("gzip", gzip.compress(BODY) * 2, 400, id="two members"),
    pytest.param("gzip", gzip.compress(b"") * 20_000, 400, id="many empty members"),
    pytest.param("zstd", zstd.compress(BODY) * 2, 400, id="two frames"),
    pytest.param("zstd", zstd.compress(BODY)[:-1], 400, id="a frame without its end"),
    pytest.param("gzip", zstd.compress(BODY), 400, id="another coding than said"),
    pytest.param("gzip", gzip.compress(gzip.compress(BODY)), 400, id="gzip in gzip, said once"),
    pytest.param("gzip, gzip", gzip.compress(gzip.compress(BODY)), 415, id="gzip in gzip"),
    pytest.param("br", b"\x8b\x00\x80\x03", 415, id="an unknown coding"),
]


@pytest.mark.parametrize(("coding", "body", "status"), REFUSED)
async def test_what_is_refused(coding: str, body: bytes, status: int, served: Served) -> None:
    async with nothing_recorded(*served):
        reply = await ask(served.router.url, post(body, coding))
    assert reply.status == status
    assert MESSAGES.error_of(reply.body)
    assert reply.headers.get("accept-encoding") == ("zstd, gzip, deflate" if status == 415 else None)


def zstd_of_zeros(size: int) -> bytes:
    """A few bytes for each 128 KiB: blocks that say "this byte, so many times"."""
    block = bytes([0x02 | (131_072 & 0x1F) << 3, 131_072 >> 5 & 0xFF, 131_072 >> 13]) + b"\x00"
    return bytes.fromhex("28b52ffd0058") + block * (size // 131_072) + b"\x01\x00\x00"


BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "gzip": ("gzip", lambda: gzip.compress(b"\x00" * 2**28)),
    "deflate": ("deflate", lambda: zlib.compress(b"\x00" * 2**28, 9)),
    "zstd, 64 GiB in 2 MB": ("zstd", lambda: zstd_of_zeros(2**36)),
    "a window of gigabytes": ("zstd", lambda: bytes.fromhex("28b52ffd00a0") + b"\x01\x00\x00"),
}


@pytest.mark.parametrize(("coding", "made"), BOMBS.values(), ids=[*BOMBS])
@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_a_bomb_costs_little(coding: str, made: Callable[[], bytes], framing: str, served: Served) -> None:
    body = made()
    parts = [post(body, coding)] if framing == "length" else list(chunked(body, coding, 2**14))
    forget_the_most()
    before = most_memory()
    async with nothing_recorded(*served), watchdog(0.02), RawClient(served.router.url) as client:
        client.writer.writelines(parts)
        reply = await client.reply()
    assert reply.status in (400, 413)
    assert MESSAGES.error_of(reply.body)
    assert most_memory() - before < 40 * 2**20


async def test_bytes_that_decode_to_nothing_are_counted_too(tmp_path: Path) -> None:
    """Empty blocks without an end: decoded they never pass a cap."""
    body = bytes.fromhex("28b52ffd0058") + b"\x00\x00\x00" * 400_000
    settings = '[server]\nmax-body = "1MiB"\n'
    async with (
        serving(tmp_path / "home", {"work": '[default]\nto = "demo"\n'}, settings=settings) as router,
        RawClient(router.url) as client,
    ):
        client.writer.writelines(chunked(body, "zstd", 2**14))
        assert (await client.reply()).status == 413


@pytest.mark.slow
@pytest.mark.parametrize(("coding", "pack"), [("gzip", lambda data: gzip.compress(data, 1)), ("zstd", zstd.compress)])
async def test_reading_a_large_body_lets_others_have_their_turn(
    coding: str, pack: Callable[[bytes], bytes], served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """30 MB of conversation, of which decoding alone takes some 100 ms."""

    held = []

    async def watched(request: web.BaseRequest, cap: int) -> bytes:
        try:
            async with watchdog(0.03):
                body = await read_body(request, cap)
        except TooSlow as error:
            held.append(error)
        return body

    monkeypatch.setattr(exchange, "read_body", watched)
    body = conversation(30_000_000)
    data = post(pack(body), coding)
    async with aftermath(*served):
        reply = await ask(served.router.url, data, within_s=30)
    for error in held:
        raise error
    assert reply.status == 200
    assert served.provider.requests[0].json["messages"] == json.loads(body)["messages"]
