"""What ``--by`` and ``--period`` of ``router usage`` take."""

from __future__ import annotations

import click

from router.ledger.periods import PERIODS
from router.ledger.reports import DIMENSIONS


def dimensions(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """``model`` or ``key,model``; several of the option add up."""
    one = click.Choice(DIMENSIONS)
    return tuple(one.convert(word.strip(), param, ctx) for text in given for word in text.split(","))


def dimension_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """For the shell: what may stand behind the last comma."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in DIMENSIONS if name.startswith(last)]


def period_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """For the shell: the periods that have a name."""
    return [name for name in PERIODS if name.startswith(incomplete)]
