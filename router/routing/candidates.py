"""Whether a candidate can take a request at all."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol, TypeVar

from router.errors import FormatUnsupported
from router.routing.rules import RouteDecision, Target


class Speaks(Protocol):
    """What must be known of a provider here: the wire formats it speaks, best first."""

    @property
    def formats(self) -> Collection[str]: ...


Provider = TypeVar("Provider", bound=Speaks)


def first_candidate(decision: RouteDecision, api: str, providers: Mapping[str, Provider]) -> tuple[Target, Provider]:
    """The candidate to call, with its provider. ``FormatUnsupported`` where it can't take the client's format."""
    check_format(decision, api, providers)
    target = decision.candidates[0]
    return target, providers[target.provider]


def check_format(decision: RouteDecision, api: str, providers: Mapping[str, Speaks]) -> None:
    """Refuse a request whose chosen target doesn't speak the client's wire format."""
    target = decision.candidates[0]
    formats = providers[target.provider].formats
    if api not in formats:
        raise FormatUnsupported(format_unsupported(decision, target, api, formats))


def format_unsupported(decision: RouteDecision, target: Target, api: str, formats: Collection[str]) -> str:
    """Why the target can't take the request: names the rule, the target and what could be done."""
    spoken = ", ".join(formats) or "nothing this router knows"
    return (
        f'the rule "{decision.rule.label}" sends this request to {target}, but {target.provider} speaks {spoken} '
        f"and the client speaks {api}; route it to a provider that speaks {api}, or let the client use another format"
    )
