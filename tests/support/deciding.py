"""The decision for a request, worked out beside the server from the same profile: what `router explain` would say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from multidict import CIMultiDict

from router.profile.profile import Profile
from router.routing.explain import Explanation, explain
from router.routing.facts import RequestFacts
from router.routing.rules import RouteDecision, decide
from router.routing.tokens import PieceSummaries
from router.server.endpoints import resolve
from router.wire.body import Body
from router.wire.formats import CODECS


def decided(profile: Profile, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[RouteDecision, Explanation]:
    """The decision by ``decide`` and by ``explain``, each from facts of its own; ``path`` is below the profile."""
    endpoint = resolve(path.partition("?")[0], prefixed=False)
    assert endpoint.api is not None

    def facts() -> RequestFacts:
        view = CODECS[endpoint.api or "gemini"].view(
            Body.parse(body), url_model=endpoint.model, url_stream=endpoint.stream
        )
        return RequestFacts(
            view,
            headers=CIMultiDict(headers),
            summaries=PieceSummaries(),
            phrases=profile.routes.phrases,
            now=datetime.now(profile.timezone),
            may_count=True,
        )

    return decide(profile.routes, facts()), explain(profile.routes, facts())
