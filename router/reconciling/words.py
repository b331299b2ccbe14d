"""Differences in words: a remark on each row, and one line on all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from router.reconciling.amounts import KINDS, NANO_PER_USD, Tokens, nano
from router.reconciling.compare import Cause, Comparison, Row

HALF_A_CENT: Final = NANO_PER_USD // 200
_MOST_CAUSES: Final = 3

# What a cause is called in a sentence, and what is said of a row.
CAUSES: Final[Mapping[Cause, tuple[str, str]]] = {
    "agrees": ("agreement", ""),
    "only-at-provider": (
        "only at the provider",
        "only at the provider: something else uses the account, or goes past the router",
    ),
    "only-in-ledger": (
        "only in the ledger",
        "only in the ledger: it went to another account, or the export leaves it out",
    ),
    "more-at-provider": (
        "more at the provider",
        "the provider has more: something else uses the account, too",
    ),
    "more-in-ledger": (
        "more in the ledger",
        "the ledger has more: some went to another account, or isn't in the export yet",
    ),
    "perhaps-billed": (
        "calls perhaps billed",
        "perhaps billed: {perhaps_billed} that ended before the usage was known",
    ),
    "no-usage": ("calls without a count", "without a token count: {no_usage}"),
    "split": ("other kinds of tokens", "as many tokens, but of other kinds"),
    "midnight": ("calls around midnight", "the days' differences cancel out: calls around midnight"),
    "requests": ("another number of requests", "the same tokens in {requests} requests"),
    "unpriced": ("calls of unknown price", "of unknown price: {unpriced}"),
    "discount": ("a discount", "the ledger has the list price; less was billed"),
    "prices": ("other prices", "the same tokens at another price; the ledger's: {sources}"),
    "costs-only": ("costs without tokens", "other costs; an export of the usage would show why"),
    "not-counted": ("what the ledger doesn't count", "not tokens: the ledger doesn't count this"),
    "batches": ("batches", "batches don't go through the router"),
}
_KIND_NAMES: Final = dict(zip(KINDS, ("input", "cache read", "cache write", "cache write 1h", "output"), strict=True))

Money = Callable[[int | None], str]


def remark(row: Row) -> str:
    """Why a row's sides likely differ, with the kinds of tokens that do; empty where they agree."""
    ledger = row.ledger
    text = CAUSES[row.cause][1].format(
        perhaps_billed=_calls(ledger.perhaps_billed),
        no_usage=_calls(ledger.no_usage),
        unpriced=_calls(ledger.unpriced),
        requests=row.provider.requests,
        sources=", ".join(f"{source} ({calls})" for source, calls in ledger.sources) or "none",
    )
    off = row.tokens_off
    return f"{text} ({_kinds(off)})" if text and off and row.ledger.tokens and row.provider.tokens else text


def _calls(number: int) -> str:
    return "1 call" if number == 1 else f"{number} calls"


def _kinds(off: Tokens) -> str:
    return ", ".join(f"{_KIND_NAMES[kind]} {getattr(off, kind):+,}" for kind in KINDS if getattr(off, kind))


def verdict(found: Comparison, money: Money) -> str:
    """One line on everything."""
    if not found.rows:
        return "Neither the ledger nor the provider has anything of this time."
    return _costs(found, money) if found.tells_costs else _tokens(found)


def _costs(found: Comparison, money: Money) -> str:
    total = found.total
    off, billed = total.nano_off or 0, money(total.provider.nano_usd)
    if not found.differing:
        rounded = nano(total.provider.rounding_usd)
        how = "as far as its rounding to cents allows" if rounded and abs(off) > HALF_A_CENT else "to the cent"
        return f"The ledger and the provider agree {how}: {billed}."
    if abs(off) < HALF_A_CENT:
        return f"The totals agree to the cent ({billed}), {_rows(found)}: {_causes(found, money)}."
    share = _share(off, total.provider.nano_usd or 0)
    if off < 0:
        return f"The ledger lacks {money(-off)} of {billed}{share}: {_causes(found, money, off)}."
    return f"The ledger has {money(off)} more than the {billed} billed{share}: {_causes(found, money, off)}."


def _tokens(found: Comparison) -> str:
    total = found.total
    counted = total.provider.tokens or Tokens()
    off = total.ledger.tokens.total - counted.total
    if not found.differing:
        return f"The ledger and the provider agree to the token: {counted.total:,}. No costs were given."
    causes = _causes(found, lambda amount: f"{amount or 0:,}", off)
    if off == 0:
        return f"The totals agree ({counted.total:,} tokens), {_rows(found)}: {causes}."
    share = _share(off, counted.total)
    if off < 0:
        return f"The ledger lacks {-off:,} of {counted.total:,} tokens{share}: {causes}."
    return f"The ledger has {off:,} tokens more than the provider's {counted.total:,}{share}: {causes}."


def _rows(found: Comparison) -> str:
    number = len(found.differing)
    return "1 row doesn't" if number == 1 else f"{number} rows don't"


def _share(off: int, of: int) -> str:
    return f" ({100 * abs(off) / of:.1f}%)" if of else ""


def _causes(found: Comparison, amount: Money, off: int = 0) -> str:
    """What explains most, with how much: ``$0.30 only at the provider, $0.12 calls perhaps billed``. Causes that make
    the difference ``off`` smaller stand apart."""
    weights = found.weights()
    named: tuple[list[str], list[str]] = [], []
    for cause, weight in weights[:_MOST_CAUSES]:
        text = f"{amount(abs(weight))} {CAUSES[cause][0]}" if weight else CAUSES[cause][0]
        named[weight * off < 0].append(text)
    with_it, against = (", ".join(texts) for texts in named)
    others = " and other causes" if len(weights) > _MOST_CAUSES else ""
    return f"{with_it}{f'; against that {against}' if against else ''}{others}"
