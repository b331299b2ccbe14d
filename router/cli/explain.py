"""``router explain``: which rule takes a request, and what every condition saw."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from router.cli import output
from router.cli.asked import Asker, read_file
from router.cli.budgets import outlook
from router.cli.complete import model_names, profile_names
from router.cli.fitness import Fitness
from router.cli.output import small_money
from router.cli.places import Places, examples, json_option, places_options
from router.errors import ConfigError
from router.providers.credentials import Credentials
from router.routing.conditions.surroundings import APIS
from router.routing.explain import Considered, Explanation, explain
from router.routing.facts import Facts, FactUnknown
from router.routing.recorded import RecordedFacts
from router.routing.rules import Rule, Target, filled
from router.server.draft_watch import losing
from router.server.pricing import rates_for
from router.wire.request import Api

# Facts that have an option of their own; every other is given by --fact.
_NUMBERS = ("tokens", "messages", "turns", "max-tokens", "thinking-budget")
_TEXTS = ("text", "system", "client", "key")
_FLAGS = ("thinking", "image", "document", "stream", "web-search", "background", "plan-mode", "subagent", "compaction")
_MARKS = {True: "yes", False: "no", None: "?"}


def _fact_options(function: Any) -> Any:
    """An option for each fact that is often asked about."""
    for name in reversed(_FLAGS):
        function = click.option(f"--{name}", f"fact_{name.replace('-', '_')}", is_flag=True, default=None)(function)
    for name in reversed(_TEXTS):
        function = click.option(f"--{name}", f"fact_{name.replace('-', '_')}", metavar="TEXT")(function)
    for name in reversed(_NUMBERS):
        function = click.option(f"--{name}", f"fact_{name.replace('-', '_')}", type=click.IntRange(0), metavar="N")(
            function
        )
    return function


@click.command(
    "explain",
    epilog=examples(
        "router explain work --tokens 1500 --model claude-sonnet-4-5",
        "router explain work --tools 12 --thinking --client claude-code",
        "router explain work --file request.json --header 'x-team: blue'",
        "router explain work --request 019a5c7e3f21",
        "router explain work --fact time=23:30 --fact weekday=sat",
    ),
)
@click.argument("name", shell_complete=profile_names)
@click.option(
    "--file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A request's body as JSON, or a captured request with headers, path and body.",
)
@click.option("--request", "request_id", metavar="ID", help="A past request, by its id: its recorded facts.")
@click.option("--model", shell_complete=model_names, help="The model that is asked for.")
@click.option("--api", type=click.Choice(APIS), help="The client's wire format.")
@click.option("--header", multiple=True, metavar="'NAME: VALUE'", help="A request header; may be given several times.")
@click.option("--tools", metavar="N|NAMES", help="How many tools are offered, or their names: Bash,Read.")
@click.option("--tag", multiple=True, metavar="TAG", help="A tag; may be given several times.")
@_fact_options
@click.option("--fact", multiple=True, metavar="NAME=VALUE", help="Any other fact, by its condition's name.")
@json_option
@places_options
def command(
    places: Places,
    name: str,
    file: Path | None,
    request_id: str | None,
    model: str | None,
    api: Api | None,
    header: tuple[str, ...],
    tools: str | None,
    tag: tuple[str, ...],
    fact: tuple[str, ...],
    as_json: bool,
    **facts: object,
) -> None:
    """Show which rule of a profile takes a request, and why.

    The request is a file, a past one, or described by options: what isn't said isn't there. It is decided as the
    server does it; no provider is called.
    """
    asker = Asker(places, places.profile(name))
    headers = dict(_header(text) for text in header)
    given = _given(model, api, headers, tools, tag, fact, facts)
    described = {key for key in given if key not in ("model", "api", "headers")}
    if sum((file is not None, request_id is not None, bool(described))) > 1:
        raise click.UsageError("--file, --request and described facts exclude each other")
    if file is not None:
        asked = read_file(file, api=api, headers=headers, model=model)
        live = asker.facts(asked)
        answer = asyncio.run(asker.script_answer(live))
        _show(asker, live, _explained(asker, live, answer), as_json)
        return
    seen = asker.described(given) if request_id is None else _recorded(asker, request_id)
    if asker.profile.script is not None:
        output.note("the profile's script is asked only about whole requests (--file)")
    _show(asker, seen, _explained(asker, seen), as_json)


def _explained(asker: Asker, facts: Facts, script: str | None = None) -> Explanation:
    tenant = asker.tenant
    return explain(asker.profile.routes, facts, script=script, catalog=tenant.catalog, arrange=tenant.ordering(facts))


def _header(text: str) -> tuple[str, str]:
    name, sign, value = text.partition(":" if ":" in text.partition("=")[0] else "=")
    if not sign or not name.strip():
        raise click.UsageError(f"--header {text}: expected 'NAME: VALUE'")
    return name.strip().lower(), value.strip()


def _given(
    model: str | None,
    api: str | None,
    headers: Mapping[str, str],
    tools: str | None,
    tags: tuple[str, ...],
    more: tuple[str, ...],
    options: Mapping[str, object],
) -> dict[str, object]:
    """What the options say, as a table of facts."""
    given = {key.removeprefix("fact_").replace("_", "-"): value for key, value in options.items() if value is not None}
    given |= {key: value for key, value in (("model", model), ("api", api)) if value is not None}
    if headers:
        given["headers"] = dict(headers)
    if tools is not None:
        given["tools"] = int(tools) if tools.isdigit() else [name.strip() for name in tools.split(",")]
    if tags:
        given["tag"] = list(tags)
    for text in more:
        key, sign, value = text.partition("=")
        given[key.strip()] = _value(value) if sign else True
    return given


def _value(text: str) -> object:
    """A value as in a rules file: true, a number, a list separated by commas, else text."""
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return [part.strip() for part in text.split(",")] if "," in text else text


def _recorded(asker: Asker, request_id: str) -> Facts:
    request, _ = asker.places.reader.request(request_id)
    if request.facts is None:
        raise ConfigError(f"the facts of request {request.id} were not kept; explain a file of it instead")
    record = json.loads(request.facts)
    if record.get("tokens") is None and request.estimated_input is not None:
        record["tokens"] = request.estimated_input
    return RecordedFacts(record, asker.profile.routes.phrases)


# --- output -------------------------------------------------------------------------------------------------------


def _show(asker: Asker, facts: Facts, explanation: Explanation, as_json: bool) -> None:
    sights = _Sights(asker, facts)
    if explanation.decision is not None:
        sights.taken = explanation.decision.rule
    candidates = [sights.candidate(*candidate) for candidate in explanation.candidates] if explanation.decision else []
    draft = _draft(sights, explanation)
    if as_json:
        output.show_json({**_json(asker, facts, explanation, candidates), "draft": draft})
        return
    output.show_fields([("Profile", asker.profile.name), ("Request", _request_line(facts))])
    click.echo()
    for considered in explanation.considered:
        _show_considered(considered)
    click.echo()
    decision = explanation.decision
    refusal = _refusal(explanation, candidates)
    if decision is None:
        output.show_fields([("Refused", refusal or "nothing takes this request")])
        return
    fields = [("Rule", f"{decision.rule.label} ({decision.reason})")]
    if decision.why:
        fields.append(("Order", "\n".join(decision.why)))
    if draft is not None:
        fields.append(("Draft", "\n".join(_draft_lines(draft))))
    place = 0
    for candidate in candidates:
        behind = "" if candidate["rule"] == decision.rule.label else f", by {candidate['rule']}"
        lines = [f"{candidate['target']}{behind}  input {_price(candidate)}"]
        if candidate["reason"]:
            fields.append(("Skips", f"{lines[0]}\n{candidate['reason']}"))
            if candidate["instead"]:
                place += 1
                to = f"{', then '.join(candidate['instead'])}\nand nowhere else"
                fields.append(("Goes to" if place == 1 else f"then {place}", to))
                break
            continue
        place += 1
        lines += [f"{candidate['url']}"] if candidate["url"] else []
        lines += [f"translated to {candidate['api']}"] if candidate["translated"] else []
        lines += [f"loses {loss}" for loss in candidate["losses"]]
        lines += [str(candidate["problem"])] if candidate["problem"] else []
        lines += [f"key {candidate['key']}"] if candidate["key"] else []
        lines += [_reserved(candidate)] if candidate["reserved_nano_usd"] else []
        lines += [_window(candidate)] if candidate["window_factor_learned"] and candidate["window"] else []
        fields.append(("Goes to" if place == 1 else f"then {place}", "\n".join(lines)))
    if explanation.unknown is not None:
        fields.append(("then", f"not known: {explanation.unknown} wasn't recorded"))
    if refusal:
        fields.append(("Refused", refusal))
    output.show_fields(fields)


def _refusal(explanation: Explanation, candidates: list[dict[str, Any]]) -> str | None:
    """Why the request is refused: nothing takes it, or no candidate can be called."""
    if explanation.decision is None or explanation.unknown is not None:
        return explanation.refusal
    whys = {candidate["why"] for candidate in candidates}
    if None in whys or any(candidate["instead"] for candidate in candidates):
        return None
    if "breaker" in whys:
        return "unless a call to the one that failed longest ago shows that it works again"
    return "no candidate can be called"


def _request_line(facts: Facts) -> str:
    parts = [_ask(facts, "model") or "no model", _ask(facts, "api"), _ask(facts, "client")]
    tokens = _tokens(facts)
    if tokens is not None:
        parts.append(output.plural(tokens, "token"))
    return ", ".join(str(part) for part in parts if part)


def _ask(facts: Facts, name: str) -> object:
    try:
        return getattr(facts, name)
    except FactUnknown:
        return None


def _tokens(facts: Facts) -> int | None:
    """The estimated input; None where it isn't told."""
    try:
        return facts.tokens() or None
    except FactUnknown:
        return None


def _show_considered(considered: Considered) -> None:
    """``→`` marks the rule that decided."""
    click.secho(f"{'→' if considered.taken else ' '} {considered.rule.label}", bold=considered.taken)
    for verdict in considered.verdicts:
        colour = {True: "green", False: "red"}.get(verdict.holds) if verdict.holds is not None else "yellow"
        mark = click.style(_MARKS[verdict.holds].rjust(7), fg=colour)
        for number, line in enumerate(output.wrap(f"{verdict.condition}   (saw {verdict.seen})", 9)):
            click.echo(f"{mark if not number else ' ' * 7}  {line}")


class _Sights:
    """What can be seen of targets for one request."""

    def __init__(self, asker: Asker, facts: Facts) -> None:
        self.asker = asker
        self.facts = facts
        self.tokens = _tokens(facts)
        self.left_alone = [row for row in asker.places.left_alone() if row["profile"] == asker.profile.name]
        asker.tenant.learn_factors(asker.places.reader.recent_inputs(asker.profile.name))
        self.taken: Rule | None = None  # the rule that has the request
        self.keys = Credentials(os.environ).for_profile(asker.profile.dotenv, allow_commands=True)

    def candidate(self, target: Target, rule: Rule) -> dict[str, Any]:
        """A target with its address, key, what its input would cost, and what keeps it from being called."""
        fitness = Fitness(self.asker, self.facts, target, self.keys, self.left_alone)
        url, problem = fitness.url
        why, reason = fitness.against or (None, None)
        price = _input_price(self.asker, target, self.tokens)
        most = fitness.abilities.max_output if fitness.abilities is not None else None
        budget = outlook(self.asker, self.facts, target, rule, self.taken or rule, most)
        if reason is None and budget.refusal is not None:
            why, reason = "budget", budget.refusal
        instead = budget.instead if why == "budget" else ()
        return {
            "target": str(target),
            "provider": target.provider,
            "model": target.model,
            "rule": rule.label,
            "why": why,
            "reason": reason,
            "instead": [str(each) for each in instead],
            "url": url,
            "api": fitness.api,
            "translated": fitness.api not in (fitness.client, None),
            "losses": [str(loss) for loss in fitness.translation[0]],
            "problem": problem,
            "key": fitness.key,
            "window": fitness.abilities.window if fitness.abilities is not None else None,
            "window_factor": fitness.window_factor,
            "window_factor_learned": fitness.factor_is_learned,
            "input_tokens": self.tokens,
            "input_nano_usd": price,
            "input_usd": output.usd(price),
            "reserved_nano_usd": budget.nano_usd,
            "reserved_usd": output.usd(budget.nano_usd),
        }


def _draft(sights: _Sights, explanation: Explanation) -> dict[str, Any] | None:
    """The draft that is asked for: the first target that can be called, or why none is."""
    asker, decision = sights.asker, explanation.decision
    cascade = asker.profile.cascades.get(decision.rule.label) if decision is not None else None
    if cascade is None or decision is None:
        return None
    asked = str(_ask(sights.facts, "model") or "")
    targets = [filled(asker.profile.routes, asked, target) for target in cascade.draft]
    seen = [sights.candidate(target, decision.rule) for target in targets]
    draft = next((each for each in seen if each["reason"] is None), seen[0])
    verifier = decision.candidates[0]
    losses = losing(asker.profile, asker.places.reader, time.time_ns() // 1_000_000)
    found = losses.get(decision.rule.hash)
    reason = draft["reason"]
    if (draft["provider"], draft["model"]) == (verifier.provider, verifier.model):
        reason = "it would be the verifier's own"
    elif found is not None and found.paused:
        reason = str(found)
    return {**draft, "reason": reason, "threshold": cascade.threshold, "losing": str(found) if found else None}


def _draft_lines(draft: Mapping[str, Any]) -> Iterator[str]:
    yield f"{draft['target']}  input {_price(draft)}"
    if draft["reason"]:
        yield f"not asked for: {draft['reason']}"
        return
    if draft["translated"]:
        yield f"translated to {draft['api']}"
    yield f"sent if its score is {draft['threshold']:g} or more"
    if draft["losing"]:
        yield draft["losing"]


def _reserved(candidate: Mapping[str, Any]) -> str:
    return f"reserves {small_money(candidate['reserved_nano_usd'])} in budgets"


def _window(candidate: Mapping[str, Any]) -> str:
    return f"window {candidate['window']:,} tokens, estimate × {candidate['window_factor']:g} (learned from usage)"


def _input_price(asker: Asker, target: Target, tokens: int | None) -> int | None:
    """Nano-dollars of the input alone, read fresh; None where tokens or price aren't known."""
    provider = asker.profile.providers[target.provider]
    rates = rates_for(asker.profile, provider, asker.places.prices, target.model or "")
    if tokens is None or rates is None:
        return None
    rate = rates.on(datetime.now(UTC)).for_input(tokens).input
    return None if rate is None else (tokens * rate + 500) // 1000


def _price(candidate: Mapping[str, object]) -> str:
    price = candidate["input_nano_usd"]
    if isinstance(price, int):
        return f"about {small_money(price)}"
    return "of unknown price" if candidate["input_tokens"] is not None else "not estimated"


def _json(asker: Asker, facts: Facts, explanation: Explanation, candidates: list[dict[str, Any]]) -> dict[str, object]:
    decision = explanation.decision
    return {
        "profile": asker.profile.name,
        "request": {
            "model": _ask(facts, "model"),
            "api": _ask(facts, "api"),
            "client": _ask(facts, "client"),
            "tokens": _tokens(facts),
        },
        "rule": decision.rule.label if decision is not None else None,
        "rule_hash": decision.rule.hash if decision is not None else None,
        "reason": decision.reason if decision is not None else None,
        "refusal": _refusal(explanation, candidates),
        "order": list(decision.why) if decision is not None else [],
        "candidates": candidates,
        "unknown": explanation.unknown,
        "considered": [
            {
                "rule": each.rule.label,
                "kind": each.rule.kind,
                "holds": each.holds,
                "taken": each.taken,
                "conditions": [
                    {"condition": verdict.condition, "seen": verdict.seen, "holds": verdict.holds}
                    for verdict in each.verdicts
                ],
                "targets": [str(target) for target in (*each.rule.targets, *each.rule.fallback)],
            }
            for each in explanation.considered
        ],
    }
