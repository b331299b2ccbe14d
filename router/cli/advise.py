"""``router advise``: what a profile's past suggests to change, with the numbers it rests on and the edit."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from router.cli import output
from router.cli.complete import profile_names
from router.cli.places import Places, examples, json_option, places_options
from router.errors import ConfigError
from router.ledger import periods
from router.profile.files import Unreadable, label_of, read_text
from router.profile.profile import Profile
from router.profile.watch import MAIN
from router.providers.credentials import Credentials

if TYPE_CHECKING:
    from router.advising.advice import Advice, Edit
    from router.advising.kinds import Finder, Found
    from router.advising.past import Past

_INDENT: Final = 3
_SHOWN: Final = 10_000  # requests, above which it takes long enough to show how far it is


@click.command(
    "advise",
    epilog=examples("router advise work", "router advise work --since 7d", "router advise work --json"),
)
@click.argument("name", metavar="PROFILE", shell_complete=profile_names)
@click.option("--since", metavar="WHEN", default="30d", show_default=True, help="From when on: 7d, 2026-11-01, ….")
@json_option
@places_options
def command(places: Places, name: str, since: str, as_json: bool) -> None:
    """Show what the past requests of a profile suggest to change in its rules.

    Each piece of advice has the numbers it rests on and the edit that follows it. Nothing is changed and no provider is
    called.
    """
    from router.advising.inquiry import Inquiry
    from router.advising.kinds import advise
    from router.advising.past import read_past

    profile = places.profile(name)
    now_ms = time.time_ns() // 1_000_000
    since_ms = periods.parse_since(since, now_ms, profile.timezone)
    past = read_past(places.reader, profile, places.prices, since_ms=since_ms, until_ms=now_ms)

    def load(text: str) -> Profile | None:
        return places.load(name, text=text).profile

    label = label_of(places.found[name], MAIN)
    inquiry = Inquiry(past, _text(places, name), label, load, Credentials(os.environ))
    with _progress(len(past.requests)) as finders:
        found = advise(inquiry, finders)
    if as_json:
        output.show_json(_json(past, found))
    else:
        _show(past, found, label)


@contextmanager
def _progress(requests: int) -> Iterator[Iterable[Finder]]:
    """What to look for, one after the other; a terminal sees how far it is where there is much to look at."""
    from router.advising.kinds import KINDS

    if requests < _SHOWN or not sys.stderr.isatty():
        yield KINDS.values()
        return
    with click.progressbar(KINDS.values(), label="Looking", file=sys.stderr) as shown:
        yield shown


def _text(places: Places, name: str) -> str:
    try:
        return read_text(places.found[name] / MAIN)
    except Unreadable as error:
        raise ConfigError(f"{label_of(places.found[name], MAIN)}: {error}") from None


# --- text -------------------------------------------------------------------------------------------------------------


def _show(past: Past, found: Found, label: str) -> None:
    from router.advising.words import counted, days

    requests, span = counted(len(past.requests)), days(past.period_ms)
    paid = output.money(sum(each.row.cost_nano_usd or 0 for each in past.requests))
    if found.too_few is not None:
        click.echo(f"Nothing to advise on {requests}; at least {found.too_few} are needed.")
    elif not found.advice:
        click.echo(f"Nothing to advise: in {requests} of {span}, {paid}, nothing stands out.")
    else:
        output.note(f"{requests} of {span}, {paid}")
    for number, advice in enumerate(found.advice, 1):
        click.echo()
        _show_advice(number, advice, label)
    if sum(advice.saving_nano_usd is not None for advice in found.advice) > 1:
        click.echo()
        _paragraph("The savings can't be added up: several may be about the same requests.", "")
    if found.remarks:
        click.echo()
        click.secho("Not looked at", bold=True)
        for remark in found.remarks:
            _paragraph(remark, "- ")


def _show_advice(number: int, advice: Advice, label: str) -> None:
    saving = advice.saving_nano_usd
    saves = ""
    if saving is not None and advice.before_nano_usd:
        share = 100 * saving / advice.before_nano_usd
        saves = f"  saves {output.money(saving)} of {output.money(advice.before_nano_usd)} ({share:.0f}%)"
    click.secho(f"{number}. {advice.kind}{saves}", bold=True)
    _paragraph(advice.headline, " " * _INDENT)
    for detail in advice.details:
        _paragraph(detail, f"{' ' * _INDENT}- ")
    _paragraph(f"({advice.confidence})", " " * _INDENT, dim=True)
    _show_edit(advice.edit, label)


def _show_edit(edit: Edit, label: str) -> None:
    """The commands, to be copied whole, or else the lines of the file."""
    where = "" if edit.commands else f", in {label}"
    _paragraph(f"To do: {edit.words}{where}.", " " * _INDENT)
    indent = " " * (_INDENT + 2)
    for line in edit.commands:
        click.echo(f"{indent}$ {line}")
    for line in () if edit.commands else edit.diff.splitlines()[2:]:  # without the names of the file
        if not line.startswith("@@"):
            click.secho(f"{indent}{line}".rstrip(), fg={"+": "green", "-": "red"}.get(line[:1]))


def _paragraph(text: str, start: str, *, dim: bool = False) -> None:
    """A text under its beginning, wrapped in a terminal."""
    for number, line in enumerate(output.wrap(text, len(start))):
        click.secho(f"{start if number == 0 else ' ' * len(start)}{line}", dim=dim or None)


# --- JSON -------------------------------------------------------------------------------------------------------------


def _json(past: Past, found: Found) -> dict[str, object]:
    zone = past.profile.timezone
    return {
        "profile": past.profile.name,
        "since": output.moment(past.since_ms, zone),
        "until": output.moment(past.until_ms, zone),
        "requests": len(past.requests),
        "needed": found.too_few,
        "advice": [_advice_json(advice) for advice in found.advice],
        "not_looked_at": list(found.remarks),
    }


def _advice_json(advice: Advice) -> dict[str, object]:
    return {
        "kind": advice.kind,
        "rule": advice.rule,
        "headline": advice.headline,
        "requests": advice.requests,
        "cost_before_usd": output.usd(advice.before_nano_usd),
        "cost_before_nano_usd": advice.before_nano_usd,
        "cost_after_usd": output.usd(advice.after_nano_usd),
        "cost_after_nano_usd": advice.after_nano_usd,
        "saving_usd": output.usd(advice.saving_nano_usd),
        "saving_nano_usd": advice.saving_nano_usd,
        "confidence": advice.confidence,
        "details": list(advice.details),
        "edit": {"words": advice.edit.words, "commands": list(advice.edit.commands), "diff": advice.edit.diff},
    }
