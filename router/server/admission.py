"""Who may come in: decided from the head alone, before a byte of the body is read.

A web page must not be able to talk to the router, even through DNS rebinding: the Host header has to be a name we
answer to, and a foreign Origin or a cross-site fetch is refused. Client keys are looked up by their hash.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web
from multidict import CIMultiDictProxy

from router.errors import BadRequest, Forbidden, Misdirected, PayloadTooLarge, Unauthorized
from router.server.codings import coding_of
from router.upstream.headers import CREDENTIAL_HEADERS, ROUTER_KEY_PREFIX

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class ClientKey:
    """A known client key, without the key itself."""

    id: str
    name: str
    profile: str


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who is calling: the client key, if one was recognised, and the header it came in."""

    key: ClientKey | None = None
    header: str | None = None


def line_of(request: web.BaseRequest, admitted: Admitted) -> str:
    """Whose request it is, where callers of a profile take turns: the key's, else the program's on its machine."""
    if admitted.key is not None:
        return f"key {admitted.key.id}"
    return f"{request.remote} {request.headers.get('User-Agent', '')}"


class HostRule:
    """Which Host and Origin headers are ours."""

    def __init__(self, *, listen_host: str, hosts: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        own = {listen_host} if listen_host not in ("", "0.0.0.0", "::") else set()
        self._names = {name.lower() for name in (*LOOPBACK_NAMES, *hosts, *own)}
        self._origins = {origin.rstrip("/").lower() for origin in origins}
        self._known: dict[str, bool] = {}

    def check(self, headers: CIMultiDictProxy[str]) -> None:
        """Raises Misdirected (421) for a foreign Host, Forbidden (403) for a page of another origin."""
        host = headers.get("Host", "")
        allowed = self._known.get(host)
        if allowed is None:
            allowed = _host_name(host) in self._names
            if len(self._known) < 256:
                self._known[host] = allowed
        if not allowed:
            raise Misdirected("this Host is not one of the router's; name it in [server] hosts if it should be")
        origin = headers.get("Origin")
        if origin is not None and not self._own_origin(origin, host):
            raise Forbidden("requests from web pages of another origin are refused; see [server] origins")
        if headers.get("Sec-Fetch-Site") in ("cross-site", "same-site") and (
            origin is None or origin.lower() not in self._origins
        ):
            raise Forbidden("cross-site requests from web pages are refused; see [server] origins")

    def cors(self, headers: CIMultiDictProxy[str]) -> Mapping[str, str]:
        """What a reply needs for a page of an origin named in the settings to read it; nothing for any other."""
        origin = headers.get("Origin")
        if origin is None or origin.rstrip("/").lower() not in self._origins:
            return {}
        return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": "*", "Vary": "Origin"}

    def _own_origin(self, origin: str, host: str) -> bool:
        if origin.rstrip("/").lower() in self._origins:
            return True
        try:
            return origin != "null" and urlsplit(origin).netloc.lower() == host.lower()
        except ValueError:  # brackets without an address
            return False


def _host_name(host: str) -> str | None:
    """The name of a Host header without its port; None when it isn't a plain name or address with an optional port."""
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    if not colon:
        name = host
    elif not port.isascii() or not port.isdigit():
        return None
    if name.startswith("["):
        try:
            return f"[{ipaddress.IPv6Address(name[1:-1])}]" if name.endswith("]") else None
        except ValueError:
            return None
    if not name or any(not (c.isascii() and (c.isalnum() or c in "-._")) for c in name):
        return None
    return name.lower()


def check_target(request: web.BaseRequest) -> None:
    """Refuse request targets, versions and header bytes that no client of ours sends. Raises BadRequest."""
    if not request.raw_path.startswith("/"):
        raise BadRequest("the request target must be a path")
    if request.version not in ((1, 1), (1, 0)):
        raise BadRequest("only HTTP/1.0 and HTTP/1.1 are served")
    for value in request.headers.values():
        if not value.isascii() and not _is_text(value):
            raise BadRequest("a header's value is not valid UTF-8")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # bytes that weren't UTF-8 come as lone surrogates
        return False
    return True


def check_body_head(request: web.BaseRequest, max_body: int) -> None:
    """Refuse a body by its headers, before reading it.

    Raises PayloadTooLarge, UnsupportedMediaType, or BadRequest for transfer codings other than chunks."""
    length = request.content_length
    if length is not None and length > max_body:
        raise PayloadTooLarge(f"the body has {length} bytes, at most {max_body} are taken ([server] max-body)")
    if request.headers.get("Transfer-Encoding", "chunked").strip().lower() != "chunked":
        raise BadRequest("of all transfer codings only chunked is taken")
    coding_of(request.headers)


class KeyRing:
    """The known client keys, by hash. Replaced whole when keys change."""

    def __init__(self, keys: Mapping[str, ClientKey] | None = None) -> None:
        self._keys = dict(keys or {})

    def admit(
        self,
        headers: CIMultiDictProxy[str],
        *,
        profile: str,
        required: bool,
        fixed_key_hash: str | None = None,
    ) -> Admitted:
        """Recognise the client's key. Raises Unauthorized when one is required and none fits this profile.

        A key of another profile is answered exactly like an unknown one. Anything that isn't a router key may be a
        provider's credential and is left alone.
        """
        presented = False
        for header in CREDENTIAL_HEADERS:
            value = headers.get(header)
            if value is None:
                continue
            if header == "authorization":
                scheme, _, value = value.partition(" ")
                if scheme.lower() != "bearer":
                    continue
                value = value.strip()
            presented = True
            # Hash first, look up second: the time taken says nothing about how much of a guess was right.
            digest = hash_key(value)
            known = self._keys.get(digest)
            if known is not None and known.profile == profile:
                return Admitted(known, header)
            if fixed_key_hash is not None and digest == fixed_key_hash:
                return Admitted(ClientKey("fixed", "fixed", profile), header)
            if value.startswith(ROUTER_KEY_PREFIX):
                if required:
                    break
                return Admitted(None, header)
        if not required:
            return Admitted()
        raise Unauthorized(
            "the router key is not valid for this profile"
            if presented
            else "a router key is required: send it as x-api-key, Authorization: Bearer, x-goog-api-key or x-router-key"
        )


def hash_key(key: str) -> str:
    """How a client key is stored and looked up: SHA-256, hex. Keys are random, so no salt or stretching is needed."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
