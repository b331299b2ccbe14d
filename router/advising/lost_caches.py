"""Changes of target that throw away more prompt cache than they save: conversations that had better stay where they
are until leaving pays (``sticky = "cache"``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from router.advising.advice import Advice
from router.advising.evidence import worth_saying
from router.advising.inquiry import Inquiry
from router.advising.words import counted, dollars
from router.profile.editing import set_key

KIND: Final = "lost-cache"


def lost_caches(inquiry: Inquiry) -> Iterator[Advice]:
    """The one edit for all conversations, where none of them sticks to its target yet."""
    past = inquiry.past
    if past.profile.sticky != "off":
        return
    switches = [each for each in past.requests if each.row.cache_lost is not None]
    lost = sum(each.row.cache_lost_nano_usd or 0 for each in switches)
    conversations = {each.row.conversation for each in switches}
    concerned = [each for each in past.requests if each.row.conversation in conversations]
    paid = sum(each.row.cost_nano_usd or 0 for each in concerned)
    if not worth_saying(lost, paid, past.period_ms):
        return  # there isn't more to save than was lost
    edited = inquiry.edited(
        'write sticky = "cache" under [routing]', lambda text: set_key(text, ("routing", "sticky"), "cache")
    )
    if edited is None:
        return
    change = inquiry.replay(edited.profile, [each.number for each in switches])
    if not change.pays(paid, past.period_ms):
        return
    tokens = sum(each.row.cache_lost or 0 for each in change.moved)
    rules = Counter(each.row.rule for each in change.moved)
    yield Advice(
        KIND,
        f"{counted(len(change.moved))} left {tokens:,} cached tokens behind, and paid "
        f"{dollars(change.saving_nano_usd)} more than if they had stayed",
        None,
        len(concerned),
        edited.edit,
        inquiry.trusted(change),
        before_nano_usd=paid,
        after_nano_usd=paid - change.saving_nano_usd,
        details=tuple(f"{counted(number, 'time')} when {label} took over" for label, number in rules.most_common(3)),
    )
