"""How a call to a provider is authorised: with the router's key for it, or the client's own credential."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from multidict import CIMultiDictProxy

from router.errors import CredentialMissing, NoCredential
from router.providers.addresses import auth_headers
from router.providers.credentials import Credentials
from router.providers.provider import Provider
from router.upstream.headers import passed_through_credential
from router.wire.request import Api


@dataclass(frozen=True, slots=True)
class Authorised:
    """The headers that carry the credential; ``key_name`` is its name in the ledger, ``None`` where none is needed."""

    headers: Mapping[str, str] = field(default_factory=dict)
    key_name: str | None = None

    @property
    def passed_through(self) -> bool:
        """Whether it is the client's own."""
        return self.key_name == "passthrough"

    @property
    def key(self) -> bytes:
        """The router's key, to be kept out of whatever a provider says; empty where there is none."""
        return b"" if self.passed_through else next(iter(self.headers.values()), "").removeprefix("Bearer ").encode()


async def authorise(
    provider: Provider,
    api: Api,
    credentials: Credentials,
    *,
    client_api: Api,
    client_headers: CIMultiDictProxy[str],
    router_key_header: str | None,
    usable: Callable[[str], bool] = lambda key_name: True,
) -> Authorised:
    """The first credential of the provider that is there, and ``usable`` by its name. Raises NoCredential, which says
    what was looked for.

    A client's own credential goes to its own provider in the client's format and nowhere else.
    """
    missing: list[str] = []
    for spec in provider.credentials:
        if spec.kind == "none":
            return Authorised()
        if spec.kind == "passthrough":
            if api != client_api:
                missing.append(f"the client's own credential is passed on in {client_api} only, not in {api}")
                continue
            own = passed_through_credential(client_headers, router_key_header=router_key_header)
            if own and usable("passthrough"):
                return Authorised(own, "passthrough")
            missing.append("the client sent no credential to pass through")
            continue
        if not usable(str(spec)):
            missing.append(f"{spec} is left alone for now")
            continue
        try:
            return Authorised(auth_headers(provider, api, await credentials.resolve(spec)), str(spec))
        except CredentialMissing as error:
            missing.append(str(error))
    if missing:
        raise NoCredential(f"no key for provider {provider.name}: {'; '.join(missing)}")
    return Authorised()
