"""What OpenRouter is told of its own: other models to try there, and which of its providers to prefer.

Its ``models`` are tried one after the other within one call, at most three. They come from the candidates that follow,
as long as those are OpenRouter's, too, so the list says what the router would do itself, without another call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import Any, Final

from router.routing.rules import Rule, Target

MOST_MODELS: Final = 3


def openrouter_fields(
    settings: Mapping[str, object],
    rule: Rule,
    target: Target,
    following: Sequence[Target],
    *,
    may_be_listed: Callable[[Target], bool],
) -> dict[str, Any]:
    """Top-level fields of the body. ``settings`` are the profile's; what the rule's target says of itself comes first.

    ``following`` are the candidates behind the target; ``may_be_listed`` says whether one is OpenRouter's and not left
    alone.
    """
    own = _own(rule, target)
    fields: dict[str, Any] = {}
    models = own.get("models")
    if models is not None:
        named = [models] if isinstance(models, str) else list(models)
        fields["models"] = [target.model, *(name for name in named if name != target.model)][:MOST_MODELS]
    elif settings.get("fallback-models") is True:
        others = [each.model for each in takewhile(may_be_listed, following)]
        if others:
            fields["models"] = [target.model, *others][:MOST_MODELS]
    if own.get("provider") is not None:
        fields["provider"] = own["provider"]
    elif settings.get("sort") is not None:
        fields["provider"] = {"sort": settings["sort"]}
    return fields


def _own(rule: Rule, target: Target) -> Mapping[str, Any]:
    """``openrouter`` of the target in the rule's list, else of the rule."""
    listed = rule.raw.get("targets")
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, Mapping) and isinstance(entry.get("openrouter"), Mapping):
            named = entry.get("target") or f"{entry.get('to')}/{entry.get('model')}"
            if named == str(target):
                return dict(entry["openrouter"])
    found = rule.raw.get("openrouter")
    return found if isinstance(found, Mapping) else {}
