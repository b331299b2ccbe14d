"""Past traffic on other rules, from the recorded facts alone: which rule would have taken each request, where it would
have gone, and about what that would have cost. No prompt is needed for it, no provider is called, nothing is written.

``replay`` gives the whole report, ``replayed`` the single requests, ``Pricing`` the price of one request elsewhere.
"""

from router.replaying.deciding import Cause, Decided
from router.replaying.learned import Learned, learn
from router.replaying.pricing import Priced, Pricing
from router.replaying.report import CacheSums, Replay, Sums, TargetSums, Unfit, replay
from router.replaying.walk import Replayed, replayed

__all__ = [
    "CacheSums",
    "Cause",
    "Decided",
    "Learned",
    "Priced",
    "Pricing",
    "Replay",
    "Replayed",
    "Sums",
    "TargetSums",
    "Unfit",
    "learn",
    "replay",
    "replayed",
]
