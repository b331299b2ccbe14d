# ruff: noqa: E501  (tables)

"""Who may come in, by the head alone."""

from __future__ import annotations

import random
import statistics
import time
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from router.errors import BadRequest, Forbidden, Misdirected, PayloadTooLarge, Unauthorized, UnsupportedMediaType
from router.server.admission import (
    Admitted,
    ClientKey,
    HostRule,
    KeyRing,
    check_body_head,
    check_target,
    hash_key,
)
from router.upstream.headers import passed_through_credential
from tests.support.slow import in_time


def headers(*pairs: tuple[str, str], **named: str) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict([*pairs, *((name.replace("_", "-"), value) for name, value in named.items())]))


LOOPBACK = [
    "127.0.0.1", "127.0.0.1:8080", "127.0.0.1:1", "localhost", "localhost:8080", "LocalHost", "LOCALHOST:9", "[::1]",
    "[::1]:8080", "[0:0:0:0:0:0:0:1]", "[0000:0000::0001]:80",
]  # fmt: skip
FOREIGN = [
    "", " ", "evil.test", "evil.test:8080", "localhost.evil.test", "evil.localhost", "127.0.0.1.evil.test", "0.0.0.0",
    "0.0.0.0:8080", "[::]", "[::]:8080", "[::ffff:127.0.0.1]", "127.0.0.2", "127.1", "2130706433", "0x7f.1", "0177.0.0.1",
    "localhost.", "localhost.:8080", "127.0.0.1.", "127.0.0.1:", "localhost:", "localhost:http", "localhost:80:80",
    "localhost:8080@evil.test", "user@localhost", "localhost/", "localhost/x", "localhost#", "localhost?", "localhost\\",
    "local host", "localhost,evil.test", "localhost;", "[::1", "::1", "::1]", "[]", "[::1]evil.test", "[::1]:x", "[fe80::1%eth0]",
    "xn--lcalhost-n2a", "ｌocalhost", "localhost:８０８０", "lоcalhost", "*", "null", "http://localhost", "//localhost",
]  # fmt: skip


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_names_are_always_ours(host: str) -> None:
    HostRule(listen_host="127.0.0.1").check(headers(Host=host))
    HostRule(listen_host="0.0.0.0").check(headers(Host=host))


@pytest.mark.parametrize("host", FOREIGN)
def test_other_hosts_are_not(host: str) -> None:
    for listen in ("127.0.0.1", "0.0.0.0", "::"):
        rule = HostRule(listen_host=listen)
        for _ in range(2):  # the second time from memory
            with pytest.raises(Misdirected):
                rule.check(headers(Host=host))


def test_no_host_is_no_host_of_ours() -> None:
    with pytest.raises(Misdirected):
        HostRule(listen_host="127.0.0.1").check(headers())


def test_named_hosts_and_the_address_listened_on_are_ours() -> None:
    rule = HostRule(listen_host="192.168.1.5", hosts=["Router.Example.Org"])
    for host in ("192.168.1.5:8080", "router.example.org", "ROUTER.example.org:443"):
        rule.check(headers(Host=host))
    for host in ("192.168.1.6", "example.org", "a.router.example.org"):
        with pytest.raises(Misdirected):
            rule.check(headers(Host=host))


def test_what_is_remembered_of_hosts_is_bounded() -> None:
    rule = HostRule(listen_host="127.0.0.1")
    for number in range(5000):
        with pytest.raises(Misdirected):
            rule.check(headers(Host=f"h{number}.test"))
    assert len(rule._known) <= 256
    rule.check(headers(Host="localhost"))


PAGES = [
    pytest.param(headers(Host="localhost:80", Origin="http://evil.test"), id="another site"),
    pytest.param(headers(Host="localhost:80", Origin="null"), id="a sandboxed page"),
    pytest.param(headers(Host="localhost:80", Origin=""), id="an empty origin"),
    pytest.param(headers(Host="localhost:80", Origin="http://localhost:3000"), id="another port"),
    pytest.param(headers(Host="localhost:80", Origin="http://127.0.0.1:80"), id="another name of this machine"),
    pytest.param(headers(Host="localhost:80", Origin="http://localhost"), id="without the port"),
    pytest.param(headers(Host="localhost:80", Origin="localhost:80"), id="no URL"),
    pytest.param(headers(Host="localhost:80", Origin="http://localhost:80@evil.test"), id="ours as a user's name"),
    pytest.param(headers(Host="localhost:80", Origin="http://evil.test#localhost:80"), id="ours as a fragment"),
    pytest.param(headers(Host="localhost:80", Origin="http://["), id="brackets without an address"),
    pytest.param(headers(Host="localhost:80", Origin="http://[::1"), id="half an address"),
    pytest.param(headers(Host="localhost:80", Origin="file://"), id="a file"),
    pytest.param(headers(Host="localhost:80", Origin="chrome-extension://abcdef"), id="an extension"),
    pytest.param(headers(Host="localhost:80", Origin="http://localhost:80, http://evil.test"), id="two origins"),
    pytest.param(headers(Host="localhost", Sec_Fetch_Site="cross-site"), id="cross-site without an origin"),
    pytest.param(headers(Host="localhost", Sec_Fetch_Site="same-site"), id="same-site without an origin"),
    pytest.param(headers(Host="localhost", Sec_Fetch_Site="cross-site", Origin="http://localhost"), id="a lie"),
]


@pytest.mark.parametrize("page", PAGES)
def test_foreign_pages_are_refused(page: CIMultiDictProxy[str]) -> None:
    with pytest.raises(Forbidden):
        HostRule(listen_host="127.0.0.1", origins=["https://tools.example.org"]).check(page)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(headers(Host="localhost:80"), id="no browser"),
        pytest.param(headers(Host="localhost:80", Origin="http://localhost:80"), id="a page of our own"),
        pytest.param(headers(Host="localhost:80", Sec_Fetch_Site="same-origin"), id="said to be our own"),
        pytest.param(headers(Host="localhost:80", Sec_Fetch_Site="none"), id="typed by a person"),
        pytest.param(headers(Host="localhost:80", Origin="https://tools.example.org"), id="a named origin"),
        pytest.param(headers(Host="localhost:80", Origin="https://TOOLS.example.org"), id="in capitals"),
        pytest.param(
            headers(Host="localhost:80", Origin="https://tools.example.org", Sec_Fetch_Site="cross-site"),
            id="a named origin across sites",
        ),
    ],
)
def test_named_origins_and_our_own_are_welcome(page: CIMultiDictProxy[str]) -> None:
    HostRule(listen_host="127.0.0.1", origins=["https://tools.example.org"]).check(page)


# --- keys -------------------------------------------------------------------------------------------------------------

ALICE, BOB, FIXED = "rk_alice" + "a" * 24, "rk_bob" + "b" * 26, "the fixed key"
RING = KeyRing({hash_key(ALICE): ClientKey("1", "alice", "work"), hash_key(BOB): ClientKey("2", "bob", "home")})
WAYS = [
    pytest.param("x-router-key", "{}", id="x-router-key"),
    pytest.param("x-api-key", "{}", id="x-api-key"),
    pytest.param("authorization", "Bearer {}", id="Authorization"),
    pytest.param("authorization", "bearer  {} ", id="Authorization, written otherwise"),
    pytest.param("x-goog-api-key", "{}", id="x-goog-api-key"),
]


@pytest.mark.parametrize(("header", "form"), WAYS)
@pytest.mark.parametrize("required", [False, True])
def test_a_key_is_known_in_every_header(header: str, form: str, required: bool) -> None:
    admitted = RING.admit(headers((header, form.format(ALICE))), profile="work", required=required)
    assert admitted == Admitted(ClientKey("1", "alice", "work"), header)


@pytest.mark.parametrize(("header", "form"), WAYS)
def test_the_fixed_key_of_a_profile_is_known_too(header: str, form: str) -> None:
    admitted = RING.admit(
        headers((header, form.format(FIXED))), profile="work", required=True, fixed_key_hash=hash_key(FIXED)
    )
    assert admitted.key is not None
    assert admitted.header == header


WRONG = [
    "",
    "rk_",
    "rk_wrong",
    ALICE[:-1],
    ALICE + "x",
    ALICE.upper(),
    f" {ALICE}x",
    "sk-ant-provider",
    BOB,
    hash_key(ALICE),
    "ü",
]


@pytest.mark.parametrize(("header", "form"), WAYS)
@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_key_is_refused_where_one_is_required_and_all_alike(header: str, form: str, key: str) -> None:
    with pytest.raises(Unauthorized) as raised:
        RING.admit(headers((header, form.format(key))), profile="work", required=True, fixed_key_hash=hash_key(FIXED))
    assert str(raised.value) == "the router key is not valid for this profile"
    assert not key.strip() or key not in str(raised.value)


def test_no_key_is_told_apart_from_a_wrong_one_by_what_to_do() -> None:
    for nothing in (headers(), headers(Authorization="Basic cms6eA=="), headers(Cookie=f"key={ALICE}")):
        with pytest.raises(Unauthorized, match="send it as x-api-key"):
            RING.admit(nothing, profile="work", required=True)


@pytest.mark.parametrize("key", WRONG)
def test_where_none_is_required_a_providers_credential_is_left_alone(key: str) -> None:
    admitted = RING.admit(headers(("x-api-key", key)), profile="work", required=False)
    assert admitted.key is None
    assert admitted.header == ("x-api-key" if key.startswith("rk_") else None)


def test_a_router_key_may_stand_beside_a_providers_credential() -> None:
    both = headers(("authorization", "Bearer sk-own"), ("x-router-key", ALICE))
    admitted = RING.admit(both, profile="work", required=True)
    assert admitted.header == "x-router-key"
    assert passed_through_credential(both, router_key_header=admitted.header) == {"authorization": "Bearer sk-own"}


@pytest.mark.parametrize(
    ("pairs", "header", "passed"),
    [
        pytest.param([("x-api-key", ALICE), ("authorization", f"Bearer {ALICE}")], "x-api-key", {}, id="the same twice"),
        pytest.param([("x-api-key", "sk-own"), ("authorization", "Bearer rk_old")], None, {"x-api-key": "sk-own"},
                     id="a revoked one beside the client's own"),
        pytest.param([("x-api-key", FIXED), ("x-goog-api-key", FIXED)], "x-api-key", {}, id="the fixed one twice"),
        pytest.param([("authorization", "Bearer sk-ant-oat01-x")], None, {"authorization": "Bearer sk-ant-oat01-x"},
                     id="a login"),
        pytest.param([("cookie", "a=b"), ("proxy-authorization", "Basic eA==")], None, {}, id="nothing of this kind"),
    ],
)  # fmt: skip
def test_a_router_key_is_never_passed_through(
    pairs: list[tuple[str, str]], header: str | None, passed: dict[str, str]
) -> None:
    assert passed_through_credential(headers(*pairs), router_key_header=header) == passed


@pytest.mark.slow
def test_the_time_taken_tells_nothing_about_a_guess() -> None:
    """Wrong in the first letter, wrong in the last, of no known form: all the same work."""
    ring = KeyRing({hash_key(f"rk_{number:032}"): ClientKey(str(number), "n", "work") for number in range(1000)})
    known = f"rk_{7:032}"
    guesses = {"first": "x" + known[1:], "last": known[:-1] + "x", "none": "x" * len(known)}
    taken: dict[str, list[int]] = {name: [] for name in guesses}
    rng = random.Random(1)
    for _ in range(30_000):
        name = rng.choice(list(guesses))
        asked = headers(("x-router-key", guesses[name]))
        began = time.perf_counter_ns()
        with pytest.raises(Unauthorized):
            ring.admit(asked, profile="work", required=True)
        taken[name].append(time.perf_counter_ns() - began)
    medians = {name: statistics.median(times) for name, times in taken.items()}
    print(medians)
    in_time((max(medians.values()) - min(medians.values())) / 1e9, 1e-6, "one guess was longer looked at than another")


# --- the rest of the head ---------------------------------------------------------------------------------------------


class Head:
    """As much of a request as the checks look at."""

    def __init__(self, target: str = "/", version: tuple[int, int] = (1, 1), **named: str) -> None:
        self.raw_path, self.version = target, version
        self.headers = headers(**named)
        length = self.headers.get("Content-Length")
        self.content_length = None if length is None else int(length)


@pytest.mark.parametrize("target", ["http://x/", "*", "x", "", "x:443", "https://127.0.0.1/work"])
def test_targets_that_are_no_paths_are_refused(target: str) -> None:
    with pytest.raises(BadRequest):
        check_target(Head(target))  # type: ignore[arg-type]


@pytest.mark.parametrize("version", [(0, 9), (1, 2), (2, 0), (3, 0)])
def test_other_versions_are_refused(version: tuple[int, int]) -> None:
    with pytest.raises(BadRequest):
        check_target(Head(version=version))  # type: ignore[arg-type]


def test_ordinary_heads_pass() -> None:
    for head in (Head(), Head("//x?y#z"), Head(version=(1, 0)), Head(User_Agent="ünï ✓")):
        check_target(head)  # type: ignore[arg-type]


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(BadRequest, match="UTF-8"):
        check_target(Head(User_Agent=b"\xff".decode("utf-8", "surrogateescape")))  # type: ignore[arg-type]


BODIES: list[tuple[dict[str, str], type[Exception] | None]] = [
    ({}, None),
    ({"Content_Length": "0"}, None),
    ({"Content_Length": "1000"}, None),
    ({"Content_Length": "1001"}, PayloadTooLarge),
    ({"Content_Encoding": "identity"}, None),
    ({"Content_Encoding": " Identity "}, None),
    ({"Content_Encoding": ""}, None),
    ({"Content_Encoding": "gzip"}, None),
    ({"Content_Encoding": " ZSTD "}, None),
    ({"Content_Encoding": "br"}, UnsupportedMediaType),
    ({"Content_Encoding": "gzip, gzip"}, UnsupportedMediaType),
    ({"Content_Encoding": "identity, gzip"}, UnsupportedMediaType),
    ({"Transfer_Encoding": "chunked"}, None),
    ({"Transfer_Encoding": "Chunked"}, None),
    ({"Transfer_Encoding": "gzip, chunked"}, BadRequest),
    ({"Transfer_Encoding": "identity"}, BadRequest),
]


@pytest.mark.parametrize(("named", "refusal"), BODIES)
def test_a_body_is_judged_by_its_head(named: dict[str, str], refusal: type[Exception] | None) -> None:
    head: Any = Head(**named)
    if refusal is None:
        check_body_head(head, 1000)
    else:
        with pytest.raises(refusal):
            check_body_head(head, 1000)
