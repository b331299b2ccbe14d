"""``router check``: every problem of every file, and the tests that the rules carry."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial

import click

from router.cli import output
from router.cli.asked import Asked, Asker, read_file, read_object
from router.cli.complete import profile_names
from router.cli.places import Places, examples, json_option, places_options
from router.cli.prices import too_old
from router.errors import ConfigError, RouterError
from router.ledger.periods import DAY_MS
from router.profile.lint import ENOUGH_REQUESTS, idle, lint
from router.profile.problems import Problem
from router.profile.profile import Profile, RouteTest
from router.profile.watch import MAIN
from router.providers.abilities import abilities_of
from router.providers.addresses import endpoint_url
from router.providers.builtin import NOWHERE
from router.providers.provider import Provider
from router.routing.candidates import Abilities
from router.routing.facts import Facts
from router.routing.labels import header_form
from router.routing.rules import RouteDecision, decide
from router.wire.request import Api


@dataclass(frozen=True, slots=True)
class _Tested:
    """A ``[[test]]`` and what came of it; ``problem`` None: as expected."""

    name: str
    line: int | None
    got_rule: str | None
    got_target: str | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class _Checked:
    """All there is to say about one profile."""

    name: str
    problems: tuple[Problem, ...]
    tests: tuple[_Tested, ...] = ()
    profile: Profile | None = None
    requests: int | None = None  # in the days that were looked at

    def failed(self, strict: bool) -> bool:
        """Whether something is wrong; with ``strict`` a warning is."""
        wrong = any(strict or problem.severity == "error" for problem in self.problems)
        return wrong or any(test.problem is not None for test in self.tests)


@click.command(
    "check",
    epilog=examples(
        "router check",
        "router check work -v",
        "router check work --days 30",
        "router check --profiles ./profiles --strict --json",
    ),
)
@click.argument("name", required=False, shell_complete=profile_names)
@click.option("--verbose", "-v", is_flag=True, help="Print each target's address in each wire format, too.")
@click.option(
    "--days",
    type=click.IntRange(1, 3650),
    metavar="N",
    help="Warn, too, of rules that took no request in so many days, and of a default that took over 90%.",
)
@click.option("--strict", is_flag=True, help="Fail on warnings, too.")
@json_option
@places_options
def command(places: Places, name: str | None, verbose: bool, days: int | None, strict: bool, as_json: bool) -> None:
    """Show every problem of the home's and the profiles' files, and run their [[test]] entries.

    The exit status is 2 if there is an error or a failed test. Warnings don't change it, unless --strict is given.
    """
    home = places.home.problems()
    if name is not None and name not in places.found:
        raise ConfigError(places.unknown(name, places.found))
    broken = any(problem.severity == "error" for problem in home)
    names = [] if broken else [name] if name is not None else list(places.found)
    checked = [_check(places, each, days) for each in names]
    failed = broken or (strict and bool(home)) or any(each.failed(strict) for each in checked)
    if as_json:
        output.show_json(
            {
                "ok": not failed,
                "problems": [_problem_json(problem) for problem in home],
                "profiles": [_json(each, strict) for each in checked],
            }
        )
    else:
        for problem in home:
            _show_problem(problem)
        for each in checked:
            _show(each, places.folder.name, verbose)
            if each.requests is not None and each.requests < ENOUGH_REQUESTS:
                few = output.plural(each.requests, "request")
                output.note(f"{each.name}: {few}, too few to say which rules are idle")
        if (warning := too_old(places.prices, datetime.now(UTC).date())) is not None:
            output.note(warning)
        _summary(places, home, checked, broken)
    if failed:
        raise click.exceptions.Exit(2)


def _check(places: Places, name: str, days: int | None) -> _Checked:
    loaded = places.load(name)
    profile = loaded.profile
    if profile is None:
        return _Checked(name, loaded.problems)
    asker = Asker(places, profile) if profile.tests else None
    tests = tuple(_run(asker, test) for test in profile.tests) if asker is not None else ()
    found = [*loaded.problems]
    found += lint(profile, known_model=places.known_model, known_abilities=partial(_abilities, places, profile))
    requests = None
    if days is not None:
        by_rule = _requests(places, name, days)
        requests = sum(by_rule.values())
        found += idle(profile, by_rule, days)
    found.sort(key=lambda problem: (problem.file, problem.line or 0))
    return _Checked(name, tuple(found), tests, profile, requests)


def _requests(places: Places, name: str, days: int) -> dict[str, int]:
    """How many requests each rule took in the last days, by its label."""
    scope, _ = places.scope(name)
    since_ms = time.time_ns() // 1_000_000 - days * DAY_MS
    report = places.reader.by_rule(name, since_ms, rules=scope.rules, zone=scope.zone)
    return {row.keys[0]: row.sums.requests for row in report.rows}


def _abilities(places: Places, profile: Profile, provider: Provider, model: str) -> Abilities:
    return abilities_of(provider, model, provider.formats[0], places.prices, profile.models.get((provider.name, model)))


def _run(asker: Asker, test: RouteTest) -> _Tested:
    """Decide as the server does, but without asking a script: it may look at anything."""
    profile = asker.profile
    try:
        decision = decide(profile.routes, _facts(asker, test), catalog=asker.tenant.catalog)
    except RouterError as error:
        return _Tested(test.name, test.line, None, None, str(error))
    target = str(decision.candidates[0])
    return _Tested(test.name, test.line, decision.rule.label, target, _difference(test, decision, target))


def _facts(asker: Asker, test: RouteTest) -> Facts:
    if test.request is None:
        return asker.described(test.facts)
    asked: Asked
    if isinstance(test.request, str):
        asked = read_file(asker.profile.directory / test.request, api=None, headers={})
    else:
        asked = read_object(test.request, "request")
    return asker.facts(asked)


def _difference(test: RouteTest, decision: RouteDecision, target: str) -> str | None:
    rule = decision.rule
    names = {rule.label, rule.name, header_form(rule.label)}
    if test.expect_rule is not None and test.expect_rule not in names:
        return f'expected the rule "{test.expect_rule}", got "{rule.label}"'
    if test.expect_target is not None and test.expect_target not in (target, decision.candidates[0].provider):
        return f"expected the target {test.expect_target}, got {target}"
    return None


def _show(checked: _Checked, folder: str, verbose: bool) -> None:
    for problem in checked.problems:
        _show_problem(problem)
    for test in checked.tests:
        if test.problem is not None:
            line = "" if test.line is None else f":{test.line}"
            _echo(f'{folder}/{checked.name}/{MAIN}{line}: [[test]] "{test.name}": {test.problem}', "red")
    if verbose and checked.profile is not None:
        click.secho(f"{checked.name}:", bold=True)
        for provider, urls in provider_urls(checked.profile).items():
            for api, url in urls.items():
                click.echo(f"  {provider}  {api}  {url}")


def provider_urls(profile: Profile) -> Mapping[str, Mapping[str, str]]:
    """The addresses of the providers that the profile's rules name, in each wire format they speak."""
    routes = profile.routes
    rules = [*routes.rules, *routes.aliases.values(), *routes.concept_routes]
    rules += [routes.default] if routes.default is not None else []
    used = dict.fromkeys(target.provider for rule in rules for target in (*rule.targets, *rule.fallback))
    return {
        name: {str(api): _url(profile.providers[name], api) for api in profile.providers[name].formats}
        for name in used
        if name in profile.providers
    }


def _url(provider: Provider, api: Api) -> str:
    """The whole address of a request, or the base where a part of it is still to be filled in."""
    if provider.base_urls[api].startswith(NOWHERE):
        return "inside the router"
    try:
        return endpoint_url(provider, api, model="MODEL")
    except RouterError:
        return provider.base_urls[api]


def _show_problem(problem: Problem) -> None:
    if problem.severity == "error":
        _echo(str(problem), "red")
    else:
        _echo(f"warning: {problem}", "yellow")


def _echo(text: str, colour: str) -> None:
    for number, line in enumerate(output.wrap(text, 2)):
        click.secho(line if number == 0 else f"  {line}", fg=colour)


def _summary(places: Places, home: tuple[Problem, ...], checked: list[_Checked], broken: bool) -> None:
    problems = [*home, *(problem for each in checked for problem in each.problems)]
    errors = sum(problem.severity == "error" for problem in problems)
    tests = [test for each in checked for test in each.tests]
    failed = sum(test.problem is not None for test in tests)
    if broken:
        click.echo("The profiles were not looked at: put the home's own files right first.")
    elif not checked:
        click.echo(f"There is no profile in {places.folder} yet; make one with `router init`.")
    parts = [output.plural(len(checked), "profile"), output.plural(errors, "error")]
    parts.append(output.plural(len(problems) - errors, "warning"))
    if tests:
        parts.append(f"{output.plural(len(tests), 'test')}, {failed} failed")
    click.secho(", ".join(parts), bold=True)


def _problem_json(problem: Problem) -> dict[str, object]:
    return asdict(problem) | {"text": str(problem)}


def _json(checked: _Checked, strict: bool) -> dict[str, object]:
    return {
        "profile": checked.name,
        "ok": not checked.failed(strict),
        "file_hash": checked.profile.file_hash if checked.profile is not None else None,
        "problems": [_problem_json(problem) for problem in checked.problems],
        "tests": [asdict(test) | {"passed": test.problem is None} for test in checked.tests],
        "urls": provider_urls(checked.profile) if checked.profile is not None else {},
    }
