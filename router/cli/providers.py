"""``router providers``: which providers are known, in which formats and where, and whether their keys are there."""

from __future__ import annotations

import os
from collections.abc import Mapping

import click

from router.cli import output
from router.cli.complete import profile_names, provider_names
from router.cli.output import Column
from router.cli.places import Places, examples, json_option, places_options
from router.errors import ConfigError, RouterError
from router.profile.problems import suggestion
from router.providers.credentials import Credentials
from router.providers.provider import Provider


@click.command(
    "providers",
    epilog=examples("router providers", "router providers anthropic", "router providers --profile work --json"),
)
@click.argument("name", required=False, shell_complete=provider_names)
@click.option("--profile", shell_complete=profile_names, help="As this profile sees them: its settings and its .env.")
@json_option
@places_options
def command(places: Places, name: str | None, profile: str | None, as_json: bool) -> None:
    """List the known providers, or show one.

    KEY says where the key comes from and whether it is there: in this shell, or in the profile's .env. `set, not in
    the server` means that the running server was started without it: restart it.
    """
    providers, credentials = places.catalog, Credentials(os.environ)
    if profile is not None:
        loaded = places.profile(profile)
        providers = loaded.providers
        credentials = credentials.for_profile(loaded.dotenv, allow_commands=True)
    if name is not None and name not in providers:
        raise ConfigError(f'no provider "{name}"{suggestion(name, providers)}; see `router providers`')
    chosen = [providers[name]] if name is not None else list(providers.values())
    served = _variables_of_server(places, profile)
    if as_json:
        output.show_json({"providers": [_json(provider, credentials, served) for provider in chosen]})
    elif name is not None:
        _show_one(chosen[0], credentials, served)
    else:
        output.show(
            [
                Column("PROVIDER", text=True),
                Column("KEY", text=True),
                Column("FORMATS", text=True),
                Column("URL", text=True, optional=True),
            ],
            [
                [
                    provider.name,
                    _key(provider, credentials, served),
                    " ".join(provider.formats),
                    next(iter(provider.base_urls.values()), ""),
                ]
                for provider in chosen
            ],
        )


def _variables_of_server(places: Places, profile: str | None) -> frozenset[str] | None:
    """The environment variables with keys that the running server has; None if none runs, or it is another's."""
    try:
        status = places.server.call("GET", "/status")
    except RouterError:
        return None
    profiles: list[Mapping[str, object]] = status.get("profiles", [])
    found: set[str] = set()
    for each in profiles:
        variables = each.get("variables")
        if isinstance(variables, list) and profile in (None, each.get("profile")):
            found.update(map(str, variables))
    return frozenset(found) if profiles else None


def _sources(provider: Provider, credentials: Credentials) -> list[tuple[str, bool | None]]:
    """Each place a key may come from, and whether one is there (None: only asking it would tell)."""
    return [(str(spec), credentials.available(spec)) for spec in provider.credentials]


def _key(provider: Provider, credentials: Credentials, served: frozenset[str] | None) -> str:
    if not provider.credentials:
        return "none needed"
    words = {True: "set", False: "missing", None: "not asked"}
    sources = _sources(provider, credentials)
    source, available = next((found for found in sources if found[1]), sources[0])
    variable = source.removeprefix("env:")
    if available and served is not None and source.startswith("env:") and variable not in served:
        return f"{variable}: set, not in the server"
    if source in ("none", "passthrough"):
        return {"none": "optional", "passthrough": "the client's own"}[source]
    return f"{variable}: {words[available]}"


def _show_one(provider: Provider, credentials: Credentials, served: frozenset[str] | None) -> None:
    fields = [("Provider", provider.name), ("Key", _key(provider, credentials, served))]
    if len(provider.credentials) > 1:
        fields.append(("Tried", ", ".join(source for source, _ in _sources(provider, credentials))))
    fields += [(api, f"{url} ({provider.auth.get(api, 'bearer')})") for api, url in provider.base_urls.items()]
    fields.append(("Billing", provider.billing))
    if provider.price_provider:
        fields.append(("Prices", f"of {provider.price_provider} in the table; see `router models {provider.name}`"))
    else:
        fields.append(("Prices", 'not in the table; set them in [prices."provider/model"]'))
    if provider.note:
        fields.append(("Note", provider.note))
    output.show_fields(fields)


def _json(provider: Provider, credentials: Credentials, served: frozenset[str] | None) -> dict[str, object]:
    sources = _sources(provider, credentials)
    return {
        "provider": provider.name,
        "formats": list(provider.formats),
        "urls": dict(provider.base_urls),
        "auth": dict(provider.auth),
        "keys": [
            {
                "source": source,
                "available": available,
                "in_server": source[4:] in served if served is not None and source.startswith("env:") else None,
            }
            for source, available in sources
        ],
        "key_available": not sources or any(available for _, available in sources),
        "billing": provider.billing,
        "price_provider": provider.price_provider,
        "note": provider.note or None,
    }
