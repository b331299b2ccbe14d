"""``router usage import``: what an agent spent without the router, by its own logs, to compare with what it spends."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import click

from router.cli import output
from router.cli.places import Places, examples, home_option, json_option
from router.errors import ConfigError
from router.importing.claude_code_logs import LoggedCall, read_calls, session_files
from router.ledger.imported import MOST_AT_ONCE, Came, Imported, write_imported
from router.money.cost import charge, cost_nano_usd
from router.profile.names import name_problem
from router.wire.usage import from_anthropic

UNROUTED = "unrouted"
_CLIENT = "claude-code"
_PROVIDER = "anthropic"


@click.command(
    "import",
    epilog=examples(
        "router usage import claude-code",
        "router usage import claude-code --billing subscription",
        "router usage --by profile --by model --since 30d",
    ),
)
@click.argument("agent", type=click.Choice([_CLIENT]))
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="The agent's folder; else CLAUDE_CONFIG_DIR or ~/.claude.",
)
@click.option("--profile", default=UNROUTED, show_default=True, help="What they are called in reports.")
@click.option(
    "--billing",
    type=click.Choice(["metered", "subscription"]),
    default="metered",
    show_default=True,
    help="How they were paid; the logs don't say. A subscription's count as value, not as cost.",
)
@json_option
@home_option
def import_usage(
    places: Places,
    agent: str,
    folder: Path | None,
    profile: str,
    billing: Literal["metered", "subscription"],
    as_json: bool,
) -> None:
    """Read an agent's own logs into the ledger, as spending that no rule routed.

    A call counts once, however often this is run. Sessions that went through the router are left out: the ledger has
    them. Nothing is kept of what was said.
    """
    if problem := name_problem(profile):
        raise click.UsageError(problem)
    if profile in places.found:
        raise ConfigError(f"{profile} is a profile; give the imported requests another name with --profile")
    folder = folder or Path(os.environ.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude")
    paths = session_files(folder)
    if not paths:
        raise ConfigError(f"there are no logs of Claude Code in {folder / 'projects'}; give its folder with --folder")
    try:
        calls = read_calls(paths)
    except OSError as error:
        raise ConfigError(f"{error.filename} can't be read: {error.strerror}") from None
    routed = {each.partition("/")[0] for each in places.reader.conversations(_CLIENT, without=profile)}
    left = [call for call in calls if call.conversation.partition("/")[0] not in routed]
    came = _write(places, [_imported(places, call, profile, billing) for call in left])
    told = {"files": len(paths), "new": came.new, "known": came.known, "routed": len(calls) - len(left)}
    if as_json:
        output.show_json({"profile": profile, "billing": billing, **told})
        return
    click.echo(f"{output.plural(came.new, 'call')} of {output.plural(len(paths), 'log')} came in as {profile}.")
    if came.known:
        click.echo(f"{output.plural(came.known, 'call')} had come in before.")
    if told["routed"]:
        click.echo(f"{output.plural(told['routed'], 'call')} went through the router and were left out.")
    if came.new:
        paid = "as paid for by the token" if billing == "metered" else "as part of a subscription"
        click.echo(f"The logs don't say how they were paid; they count {paid} (--billing).")
        click.echo(f"`router usage --profile {profile} --by model` shows them.")


def _imported(places: Places, call: LoggedCall, profile: str, billing: Literal["metered", "subscription"]) -> Imported:
    usage = from_anthropic(call.usage)
    rates = places.prices.rates(_PROVIDER, call.model)
    cost = cost_nano_usd(usage, rates, day=datetime.fromtimestamp(call.time_ms / 1000, UTC))
    paid, worth = charge(cost, billing)
    return Imported(
        call.key, call.time_ms, profile, _CLIENT, call.conversation, "anthropic-messages", _PROVIDER, call.model,
        call.requested_model, usage, paid, worth, cost.source,
    )  # fmt: skip


def _write(places: Places, requests: Sequence[Imported]) -> Came:
    parts = [requests[start : start + MOST_AT_ONCE] for start in range(0, len(requests), MOST_AT_ONCE)]
    if places.server_runs:
        answers = [places.server.call("POST", "/ledger/import", {"records": part}) for part in parts]
        came = [Came(answer["new"], answer["known"]) for answer in answers]
    else:
        came = places.write(lambda connection: [write_imported(connection, part) for part in parts])
    return Came(sum(each.new for each in came), sum(each.known for each in came))
