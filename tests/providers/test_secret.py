"""A key shows itself nowhere: every way of printing, dumping, copying and logging is tried with a canary."""

from __future__ import annotations

import base64
import copy
import dataclasses
import io
import json
import logging
import pickle
import pprint
import reprlib
import string
import traceback
from collections.abc import Callable
from urllib.parse import quote

import msgspec
import pytest
import rich.pretty

from router.providers.addresses import auth_headers
from router.providers.catalog import load_catalog
from router.providers.credentials import Credentials, CredentialSpec, Secret

CANARY = "canary/Wm9v+8c1d47aa9f20e6b3"
SECRET = Secret(CANARY)


@dataclasses.dataclass(frozen=True)
class Holder:
    secret: Secret


def clean(text: str) -> bool:
    """Whether neither the canary nor its usual disguises occur."""
    raw = CANARY.encode()
    forms = [CANARY, quote(CANARY, safe=""), raw.hex(), base64.b64encode(raw).decode().rstrip("=")[:-2], CANARY[:12]]
    return not any(form in text for form in forms)


def raised(secret: Secret) -> str:
    """A traceback with the values of all local variables."""
    local = {"secret": secret, "headers": [secret]}
    try:
        raise RuntimeError(f"refused {secret}", local["secret"])
    except RuntimeError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


def logged(secret: Secret) -> str:
    stream = io.StringIO()
    logger = logging.getLogger("canary")
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    logger.warning("%s %r", secret, Holder(secret))
    logger.removeHandler(handler)
    return stream.getvalue()


@pytest.mark.parametrize(
    "show",
    [
        pytest.param(repr, id="repr"),
        pytest.param(str, id="str"),
        pytest.param(ascii, id="ascii"),
        pytest.param(lambda secret: f"{secret} {secret!r} {secret:>40}", id="f-string with a width"),
        pytest.param(lambda secret: "%s %r" % (secret, secret), id="percent"),  # noqa: UP031
        pytest.param("{0} {0!r} {0:s}".format, id="format"),
        pytest.param(lambda secret: string.Template("$x").substitute(x=secret), id="template"),
        pytest.param(lambda secret: repr([secret, {secret: secret}, (secret,), {secret}]), id="inside containers"),
        pytest.param(lambda secret: repr(Holder(secret)), id="inside a dataclass"),
        pytest.param(lambda secret: repr(dataclasses.asdict(Holder(secret))), id="a dataclass as a dict"),
        pytest.param(lambda secret: repr(copy.deepcopy(Holder(secret))) + repr(copy.copy(secret)), id="copies"),
        pytest.param(lambda secret: pprint.pformat([secret]) + reprlib.repr(secret), id="pretty printing"),
        pytest.param(lambda secret: rich.pretty.pretty_repr([secret, Holder(secret)]), id="rich"),
        pytest.param(lambda secret: json.dumps({"k": secret}, default=repr), id="JSON of its repr"),
        pytest.param(lambda secret: json.dumps({"k": secret}, default=str), id="JSON of its str"),
        pytest.param(raised, id="a traceback with local variables"),
        pytest.param(logged, id="logging"),
        pytest.param(lambda secret: secret.tail, id="its tail"),
    ],
)
def test_a_secret_is_never_shown(show: Callable[[Secret], str]) -> None:
    text = show(SECRET)
    assert text
    assert clean(text)


@pytest.mark.parametrize(
    "write",
    [
        *(
            pytest.param(lambda secret, protocol=protocol: pickle.dumps(secret, protocol), id=f"pickle {protocol}")
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
        ),
        pytest.param(lambda secret: pickle.dumps({"x": [secret]}), id="pickle of what holds it"),
        pytest.param(lambda secret: secret.__getstate__(), id="its state"),
        pytest.param(lambda secret: secret.__reduce__() and pickle.dumps(secret), id="its reduction"),
        pytest.param(json.dumps, id="JSON"),
        pytest.param(msgspec.json.encode, id="msgspec"),
        pytest.param(lambda secret: msgspec.json.encode(Holder(secret)), id="msgspec of what holds it"),
        pytest.param(vars, id="vars"),
        pytest.param(bytes, id="bytes"),
        pytest.param(list, id="its characters"),
        pytest.param(lambda secret: secret + "", id="concatenation"),
        pytest.param(lambda secret: ",".join(iter([secret])), id="joining"),
    ],
)
def test_a_secret_is_never_written_down(write: Callable[[Secret], object]) -> None:
    with pytest.raises(TypeError) as caught:
        write(SECRET)
    assert clean("".join(traceback.format_exception(caught.value)))


def test_a_secret_gives_itself_on_request_only() -> None:
    assert SECRET.reveal() == CANARY


@pytest.mark.parametrize(
    ("key", "tail"),
    [
        pytest.param("0123456789abcdef", "cdef", id="long enough to spare four characters"),
        pytest.param("0123456789abcde", "****", id="too short"),
        pytest.param("abcd", "****", id="as long as the tail"),
    ],
)
def test_the_tail_tells_keys_apart_and_never_much(key: str, tail: str) -> None:
    assert Secret(key).tail == tail


def test_secrets_are_equal_by_their_key() -> None:
    assert Secret("a-key") == Secret("a-key")
    assert hash(Secret("a-key")) == hash(Secret("a-key"))
    assert Secret("a-key") != Secret("b-key")
    assert Secret("a-key") != "a-key"
    assert Secret("k\u00e9y") == Secret("k\u00e9y")


async def test_what_has_resolved_a_key_does_not_show_it() -> None:
    environ = {"K": CANARY}
    credentials = Credentials(environ, dict(environ), allow_commands=True)
    secret = await credentials.resolve(CredentialSpec("env", "K"))
    provider = load_catalog()["anthropic"]
    assert auth_headers(provider, "anthropic-messages", secret) == {"x-api-key": CANARY}
    for shown in (repr(credentials), str(credentials), repr(provider), repr(secret)):
        assert clean(shown)
    with pytest.raises((TypeError, AttributeError)):
        vars(credentials)


async def test_a_wrong_key_is_not_in_the_error_nor_in_what_caused_it() -> None:
    credentials = Credentials({"K": f"{CANARY} {CANARY}"})
    with pytest.raises(Exception, match="a space") as caught:
        await credentials.resolve(CredentialSpec("env", "K"))
    error: BaseException | None = caught.value
    while error is not None:
        assert clean(repr(error) + repr(error.args) + str(getattr(error, "object", "")))
        error = error.__cause__ or error.__context__
    assert clean("".join(traceback.format_exception(caught.value)))


def test_the_canary_test_would_see_a_leak() -> None:
    assert not clean(f"x {CANARY} y")
    assert not clean(base64.b64encode(CANARY.encode()).decode())
    assert not clean(quote(CANARY, safe=""))
