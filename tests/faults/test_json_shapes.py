# ruff: noqa: E501  (tables)

"""Bodies that are no JSON, or JSON made to hurt: a fixed answer, and nobody else waits."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.aftermath import aftermath, nothing_recorded
from tests.support.answers import message
from tests.support.asking import FORMATS, GEMINI, MESSAGES, Format
from tests.support.provider import whole
from tests.support.raw import request
from tests.support.serving import Running
from tests.support.watchdog import watchdog

LARGE = 32 * 2**20


@pytest.fixture
def served(arena: Any) -> Any:
    arena.provider.answer = lambda received: whole(message("model-1"))  # without a look at the body
    return arena


async def post(router: Running, path: str, body: bytes) -> tuple[int, bytes]:
    """Status and body; sent from another thread, so that only the server's own time is on the loop's thread."""
    data = request("POST", f"/work{path}", body)

    def send() -> bytes:
        with socket.create_connection(("127.0.0.1", router.app.listener.port)) as sock:
            sock.settimeout(30)
            sock.sendall(data)
            seen = b""
            while b"\r\n\r\n" not in seen or len(seen) < expected(seen):
                part = sock.recv(2**16)
                if not part:
                    break
                seen += part
            return seen

    raw = await asyncio.to_thread(send)
    head, _, payload = raw.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), payload


def expected(seen: bytes) -> int:
    head, mark, _ = seen.partition(b"\r\n\r\n")
    length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return len(head) + len(mark) + int(length[0].partition(b":")[2]) if length else len(seen)


NOT_OBJECTS = [b"", b" ", b"null", b"[]", b'"x"', b"1", b"true", b"[{}]"]
BROKEN = [
    b"{", b"}", b"{]", b'{"a"}', b'{"a":}', b'{"a":1,}', b'{,}', b'{"a":1 "b":2}', b"{'a':1}", b"{a:1}", b'{"a":1}x',
    b'{"a":1}{}', b'{"a":1}\x00', b'\x00{"a":1}', b'{"a":NaN}', b'{"a":Infinity}', b'{"a":-Infinity}', b'{"a":01}',
    b'{"a":+1}', b'{"a":1.}', b'{"a":.5}', b'{"a":0x1}', b'{"a":1e}', b'{"a":tru}', b'{"a":"\x01"}', b'{"a":"\n"}',
    b'{"a":"\\ud800"}', b'{"a":{"b":["\\udc00"]}}', b'{"a":"\\x"}', b'{"a":"\\u12"}', b'{"a":"', b'{"a":"\\', b'{"a":/*c*/1}', b'{"a":1}//', b"\xef\xbb\xbf{}",
    b'{"a":"\xff"}', b'{"\xff":1}', b'{"a":"\xc3"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\xf8\x88\x80\x80\x80"}',
    b"\xff\xfe{\x00}\x00", b"\x1f\x8b\x08\x00", b"<html>", b"model=x&stream=true", b"----form\r\n",
]  # fmt: skip
AMBIGUOUS = [
    b'{"model":"a","model":"b"}', b'{"stream":true,"x":1,"stream":false}', b'{"mod\\u0065l":"a","model":"b"}',
    b'{"max_tokens":1,"max_tokens":2}', b'{"messages":[],"messages":[]}', b'{"tools":[],"x":{},"tools":[]}',
]  # fmt: skip
WRONG_TYPES = [
    b'{"model":1}', b'{"model":null}', b'{"model":{}}', b'{"model":["a"]}', b'{"model":"m","stream":"yes"}',
    b'{"model":"m","stream":1}', b'{"model":"m","messages":{}}', b'{"model":"m","messages":"x"}',
    b'{"model":"m","messages":[1,null,"x",[]]}', b'{"model":"m","tools":{}}', b'{"model":"m","tools":[1]}',
    b'{"model":"m","max_tokens":"many"}', b'{"model":"m","max_tokens":-1}', b'{"model":"m","max_tokens":1e999}',
    b'{"model":"m","max_tokens":' + b"9" * 5000 + b"}", b'{"model":"m","input":5}', b'{"contents":5}',
    b'{"model":"m","system":5}', b'{"model":"m","metadata":5}',
    b'{"model":"m","thinking":"no"}', b'{"model":"m","messages":[{"role":[],"content":{}}]}',
]  # fmt: skip


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
async def test_what_is_no_request_gets_one_of_a_few_fixed_answers(form: Format, served: Any) -> None:
    told = set()
    for body in (*NOT_OBJECTS, *BROKEN, *AMBIGUOUS):
        if form is GEMINI and body in AMBIGUOUS:
            continue
        async with nothing_recorded(served.router, served.provider):
            status, payload = await post(served.router, form.path, body)
        assert status == 400, (body, payload)
        told.add(form.error_of(payload))
    assert len(told) <= 12
    assert all(message.isascii() and len(message) < 100 for message in told)


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
async def test_fields_of_a_wrong_kind_are_refused_or_passed_and_never_a_fault(form: Format, served: Any) -> None:
    for body in WRONG_TYPES:
        async with aftermath(served.router, served.provider) as after:
            status, payload = await post(served.router, form.path, body)
        assert status in (200, 400), (body, payload)
        assert after.row["outcome"] == ("ok" if status == 200 else "refused")


def member(name: str, value: bytes) -> bytes:
    """A request in which one field is something else."""
    fields = {"model": b'"m"', "messages": b"[]", "max_tokens": b"9"} | {name: value}
    return b"{" + b",".join(b'"%s":%s' % (field.encode(), text) for field, text in fields.items()) + b"}"


def deep(name: str) -> bytes:
    return member(name, b"[" * 100_000 + b"]" * 100_000)


def many_objects(name: str) -> bytes:
    return member(name, b"[" + b"{}," * (LARGE // 3) + b"{}]")


def half_a_million_objects(name: str) -> bytes:
    return member(name, b"[" + b"{}," * 499_000 + b"{}]")


def many_numbers(name: str) -> bytes:
    return member(name, b"[" + b"1," * (LARGE // 2) + b"1]")


def many_empty_strings(name: str) -> bytes:
    return member(name, b"[" + b'"",' * (LARGE // 3) + b'""]')


def long_text(name: str) -> bytes:
    return member(name, b'"' + b"word " * (LARGE // 5) + b'"')


def long_foreign_text(name: str) -> bytes:
    return member(name, b'"' + "字".encode() * (LARGE // 3) + b'"')


def escapes(name: str) -> bytes:
    return member(name, b'"' + b"\\u5b57" * (LARGE // 6) + b'"')


def quotes(name: str) -> bytes:
    return member(name, b'"' + b'\\"' * (LARGE // 2) + b'"')


def long_number(name: str) -> bytes:
    return member(name, b"9" * LARGE)


def spaces(name: str) -> bytes:
    return member(name, b" " * LARGE + b"1")


def many_members(name: str) -> bytes:
    return b"{" + b",".join(b'"k%d":1' % number for number in range(400_000)) + b"}"


def many_duplicates(name: str) -> bytes:
    return b'{"model":"m",' + b",".join([b'"k":1'] * (LARGE // 6)) + b"}"


def duplicate_and_large(name: str) -> bytes:
    return member(name, b'"' + b"word " * (LARGE // 5) + b'"')[:-1] + b',"k":1,"k":2}'


def duplicate_and_many(name: str) -> bytes:
    return member(name, b"[" + b"{}," * 499_000 + b"{}]")[:-1] + b',"k":1,"k":2}'


def long_key(name: str) -> bytes:
    return b'{"' + b"k" * LARGE + b'":1,"model":"m"}'


SHAPES: list[Callable[[str], bytes]] = [
    deep, many_objects, half_a_million_objects, many_numbers, many_empty_strings, long_text, long_foreign_text, escapes,
    quotes, long_number, spaces, many_members, many_duplicates, duplicate_and_large, duplicate_and_many, long_key,
]  # fmt: skip
FIELDS = ["other", "metadata", "messages", "tools", "system", "thinking", "model", "stream", "tool_choice"]


@pytest.mark.slow
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
async def test_large_bodies_of_every_shape_hold_nobody_up(
    shape: Callable[[str], bytes], field: str, served: Any
) -> None:
    body = shape(field)
    if field != FIELDS[0] and shape in (many_members, many_duplicates, long_key):
        pytest.skip("the same for every field")
    async with watchdog(1.0) as stalls:  # with reading it at both ends, and the provider's end on the same thread
        status, payload = await post(served.router, MESSAGES.path, body)
        await served.router.flush()
    print(f"\n{shape.__name__:24} {field:12} {status} {stalls.longest_s * 1000:6.0f} ms {len(body) / 2**20:.0f} MiB")
    assert status in (200, 400, 404), payload[:300]
