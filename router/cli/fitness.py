"""What keeps a candidate from being called, as far as that can be told without calling anybody.

The server asks the same questions in the same order, with the keys in its hands (``server/trying.py``). Here they are
asked of the shell's environment, and of what is left alone as the server has it, or left it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from router.cli import output
from router.cli.asked import Asker
from router.errors import RouterError
from router.providers.addresses import endpoint_url
from router.providers.credentials import Credentials, CredentialSpec
from router.providers.provider import Provider
from router.providers.traits import preferred_format, traits_for
from router.routing.candidates import Abilities, Why, unfit
from router.routing.facts import Facts, FactUnknown, RequestFacts
from router.routing.families import family_of
from router.routing.rules import Target
from router.wire.formats import CODECS
from router.wire.loss import Loss
from router.wire.request import Api
from router.wire.translate import Translation

_Reason = tuple[Why, str]


@dataclass
class Fitness:
    """One target and one request. ``keys`` knows which credentials are there; ``left_alone`` are the profile's breakers
    and cooldowns (see ``LeftAlone.json``)."""

    asker: Asker
    facts: Facts
    target: Target
    keys: Credentials
    left_alone: Sequence[Mapping[str, Any]] = ()

    @cached_property
    def provider(self) -> Provider:
        """Who serves the target."""
        return self.asker.profile.providers[self.target.provider]

    @property
    def model(self) -> str:
        """The model asked for there."""
        return self.target.model or ""

    @cached_property
    def client(self) -> Api | None:
        """The client's wire format, if it is known."""
        try:
            return cast(Api, self.facts.api)
        except FactUnknown:
            return None

    @cached_property
    def api(self) -> Api | None:
        """The wire format spoken with the provider."""
        return preferred_format(self.provider, self.client, self.model) if self.client else None

    @cached_property
    def url(self) -> tuple[str | None, str | None]:
        """The address that would be called, and what is wrong with it."""
        if self.api is None:
            return None, None
        try:
            stream = bool(self.facts.stream)
        except FactUnknown:
            stream = False
        try:
            return endpoint_url(self.provider, self.api, model=self.target.model, stream=stream), None
        except RouterError as error:
            return None, str(error)

    @cached_property
    def translation(self) -> tuple[tuple[Loss, ...], str | None]:
        """What is lost on the way to a provider of another format, and why that can't be: nothing is known of it
        without the request's body."""
        if self.api is None or self.api == self.client or not isinstance(self.facts, RequestFacts):
            return (), None
        profile, client = self.asker.profile, cast(Api, self.client)
        traits = traits_for(self.provider, self.model, self.api, profile.models.get((self.provider.name, self.model)))
        ways = CODECS[client], CODECS[self.api]
        try:
            losses = Translation(self.facts.view, *ways, traits, allow_losses=True).losses
        except RouterError as error:
            return (), str(error)
        try:
            Translation(self.facts.view, *ways, traits, allow_losses=profile.on_loss == "allow")
        except RouterError as error:
            return losses, str(error)
        return losses, None

    @cached_property
    def credentials(self) -> list[tuple[CredentialSpec, _Reason | None]]:
        """The provider's credentials, each with what is against using it."""
        return [(spec, self._against(spec)) for spec in self.provider.credentials]

    @property
    def key(self) -> str | None:
        """The credential that would be used, in words; ``None`` where none is needed."""
        if not self.credentials:
            return None
        spec, against = next((found for found in self.credentials if found[1] is None), self.credentials[0])
        if against is not None and against[0] == "key":
            return f"{spec} is missing" if self.keys.available(spec) is False else str(spec)
        return f"{spec} (not asked)" if self.keys.available(spec) is None else str(spec)

    @cached_property
    def against(self) -> _Reason | None:
        """The first thing that keeps it from being called; ``None`` where nothing is known against it."""
        return self._unfit() or self._cooling(None) or self._without_key() or self._broken() or self._unsayable()

    @cached_property
    def abilities(self) -> Abilities | None:
        """What is known of the model; ``None`` where the wire format isn't."""
        return self.asker.tenant.abilities(self.provider, self.model, self.api) if self.api else None

    @property
    def window_factor(self) -> float:
        """How many of the model's tokens are reckoned with for each that we count."""
        return self.asker.tenant.window_factor(self.provider, self.model)

    @property
    def factor_is_learned(self) -> bool:
        """Whether usage has taught another factor than the family's."""
        return self.window_factor != family_of(self.provider.family, self.model).window_factor

    def _unfit(self) -> _Reason | None:
        if self.abilities is None:
            return None if self.client is None else ("format", "it speaks no wire format that this router knows")
        try:
            return unfit(self.facts, self.abilities, factor=self.window_factor)
        except FactUnknown:
            return None

    def _cooling(self, key: str | None) -> _Reason | None:
        """The cooldown of a key, or of the model whatever the key."""
        for row in self._rows("cooling-down"):
            if row["key"] == key:
                left = output.duration((row["again_s"] or 0) * 1000)
                return "cooling-down", f"{f'key {key}' if key else 'it'} is left alone for {left}: {row['reason']}"
        return None

    def _against(self, spec: CredentialSpec) -> _Reason | None:
        if spec.kind == "none":
            return None
        if spec.kind == "passthrough":
            if self.api == self.client:
                return None
            return "key", f"the client's own credential is passed on in {self.client} only, not in {self.api}"
        if self.keys.available(spec) is False:
            return "key", f"key {spec} is missing"
        return self._cooling(str(spec))

    def _without_key(self) -> _Reason | None:
        against = [found for _, found in self.credentials]
        if not against or None in against:
            return None
        reasons = [found for found in against if found is not None]
        why: Why = "cooling-down" if any(found[0] == "cooling-down" for found in reasons) else "key"
        return why, "; ".join(reason for _, reason in reasons)

    def _broken(self) -> _Reason | None:
        used = next((str(spec) for spec, against in self.credentials if against is None and spec.has_key), None)
        for row in self._rows("open"):
            if row["key"] in (used, None):
                return (
                    "breaker",
                    f"it is left alone for {output.duration((row['again_s'] or 0) * 1000)}: {row['reason']}",
                )
        return None

    def _unsayable(self) -> _Reason | None:
        _, refused = self.translation
        return None if refused is None else ("format", refused)

    def _rows(self, state: str) -> list[Mapping[str, Any]]:
        return [
            row
            for row in self.left_alone
            if row["provider"] == self.provider.name and row["model"] in (None, self.model) and row["state"] == state
        ]
