"""What every kind of advice works with: the past, what it would have cost elsewhere, the file and how it is changed."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from difflib import unified_diff
from functools import cached_property
from typing import NamedTuple

from router.advising.advice import Edit
from router.advising.costs import Costs
from router.advising.evidence import worth_saying
from router.advising.past import Past, PastRequest
from router.advising.words import counted, days
from router.errors import ConfigError
from router.profile.profile import Profile
from router.providers.credentials import Credentials
from router.replaying.walk import replayed
from router.routing.conditions.surroundings import BudgetUsed
from router.routing.rules import Rule, Target

Load = Callable[[str], Profile | None]
"""The profile that a text of routing.toml makes; None where there are errors in it."""


class Edited(NamedTuple):
    """An edit, and the profile that it makes."""

    edit: Edit
    profile: Profile


class Change(NamedTuple):
    """What other rules do to past requests: which of them go elsewhere, and what all that were looked at cost and would
    have cost, in nano-dollars. ``lost`` has how many each rule loses to another, by its hash (None: no rule had
    them). Of ``unknown`` ones that can't be told; ``refused`` ones were answered, and then nobody could serve them."""

    moved: tuple[PastRequest, ...]
    lost: Counter[str | None]
    unknown: int
    refused: int
    before_nano_usd: int
    after_nano_usd: int

    def pays(self, of_nano_usd: int, period_ms: int) -> bool:
        """Whether it saves enough of what was paid, and does no harm."""
        return not self.refused and worth_saying(self.saving_nano_usd, of_nano_usd, period_ms)

    @property
    def saving_nano_usd(self) -> int:
        """What they save; less than 0 where they cost more."""
        return self.before_nano_usd - self.after_nano_usd

    @property
    def paid_nano_usd(self) -> int:
        """What was paid for the requests that move."""
        return sum(request.row.cost_nano_usd or 0 for request in self.moved)


@dataclass
class Inquiry:
    """``text`` is the profile's routing.toml, called ``label``; ``credentials`` say which providers have a key, for
    requests that no rule takes. ``remarks`` say what couldn't be looked at."""

    past: Past
    text: str
    label: str
    load: Load
    credentials: Credentials
    remarks: list[str] = field(default_factory=list)

    @property
    def profile(self) -> Profile:
        """The profile as it is."""
        return self.past.profile

    @cached_property
    def costs(self) -> Costs:
        """What requests would have cost elsewhere, found quickly."""
        return Costs(self.past)

    # --- edits ----------------------------------------------------------------------------------------------------

    def edited(self, words: str, change: Callable[[str], str], commands: Iterable[Sequence[str]] = ()) -> Edited | None:
        """An edit, tried on a copy. ``words`` say it in a line; ``commands`` are those, behind ``router``, that do the
        same. None where the file would be wrong, or is written so that only a person can change it."""
        try:
            text = change(self.text)
        except ConfigError as error:
            self.remarks.append(f"{words}: {error}")
            return None
        profile = self.load(text)
        if profile is None:
            self.remarks.append(f"{words}: the file would be wrong then")
            return None
        old, new = (each.splitlines(keepends=True) for each in (self.text, text))
        diff = "".join(unified_diff(old, new, self.label, self.label, n=1))
        return Edited(Edit(words, text, diff, tuple(shlex.join(("router", *each)) for each in commands)), profile)

    def named(self, rule: Rule) -> str:
        """How commands call a rule."""
        names = [each.name for each in self.profile.routes.rules]
        return rule.name if rule.name and names.count(rule.name) == 1 else f"rule[{rule.index}]"

    # --- replay ---------------------------------------------------------------------------------------------------

    def replay(self, profile: Profile, of: Collection[int]) -> Change:
        """What other rules do to some requests and the rest of their conversations: against what was, or where other
        rules than today's decided some of them, against what today's would have done."""
        requests = self._with_conversations(of)
        as_now = self._decided_as_now(requests)
        earlier = _recorded(requests) if as_now else self._outcomes(self.profile, requests)
        later = self._outcomes(profile, requests)
        moved, lost = list[PastRequest](), Counter[str | None]()
        unknown = refused = before = after = 0
        for request in requests:
            was, then = earlier.get(request.row.id), later.get(request.row.id)
            if was is None or then is None:
                unknown += 1
                continue
            if not (then.stays if as_now else was.served == then.served):
                moved.append(request)
            if was.rule != then.rule:
                lost[was.rule] += 1
            if request.target is None:
                continue  # it failed; what it would have cost otherwise was neither paid nor saved
            refused += then.served is None
            if was.nano_usd is not None and then.nano_usd is not None:
                before += was.nano_usd
                after += then.nano_usd
        return Change(tuple(moved), lost, unknown, refused, before, after)

    def trusted(self, change: Change) -> str:
        """How far a change's numbers can be trusted."""
        unknown = f"; of {counted(change.unknown)} nobody knows where they would have gone" if change.unknown else ""
        return (
            f"{counted(len(change.moved))} of {days(self.past.period_ms)} replayed at known prices; the length of "
            f"other answers and what caches would have held are estimates{unknown}"
        )

    def _with_conversations(self, of: Collection[int]) -> list[PastRequest]:
        every = self.past.requests
        if self._depends:
            return every
        conversations = {every[number].row.conversation for number in of} - {None}
        chosen = set(of)
        return [each for each in every if each.number in chosen or each.row.conversation in conversations]

    @cached_property
    def _depends(self) -> bool:
        """Whether where a request goes depends on those of other conversations: whose turn it is, what is spent."""
        routes = self.profile.routes
        rules = list(routes.all_rules())
        leaves = (leaf for rule in rules if rule.match is not None for leaf in rule.match.leaves())
        return {routes.strategy, *(rule.strategy or "first-match" for rule in rules)} != {"first-match"} or any(
            isinstance(leaf, BudgetUsed) for leaf in leaves
        )

    def _decided_as_now(self, requests: Sequence[PastRequest]) -> bool:
        """Whether today's rules decided all of them, and a replay can know how."""
        since_ms = self.past.rules_since_ms
        began = not requests or (since_ms is not None and requests[0].row.time_ms >= since_ms)
        return began and not self._depends

    def _outcomes(self, profile: Profile, requests: Sequence[PastRequest]) -> dict[str, _Outcome]:
        """What becomes of requests by some rules, by their id, as far as that can be told."""
        past = self.past
        found = replayed(
            past.rows(requests), profile, past.prices, past.learned, before=self.profile, credentials=self.credentials
        )
        outcomes = {}
        for one in found:
            if one.decided is not None:
                rule = one.decided.rule.hash if one.decided.rule is not None else None
                outcomes[one.row.id] = _Outcome(rule, one.served, one.stays, one.nano_usd)
        return outcomes


class _Outcome(NamedTuple):
    """What becomes of a request. ``stays``: it goes to the target that it went to."""

    rule: str | None
    served: Target | None
    stays: bool
    nano_usd: int | None


def _recorded(requests: Iterable[PastRequest]) -> dict[str, _Outcome]:
    """What became of requests."""
    rows = (request.row for request in requests)
    return {row.id: _Outcome(row.rule_hash, None, True, row.cost_nano_usd) for row in rows}
