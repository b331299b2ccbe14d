"""New profiles: from a preset, or from providers alone; the folder is made whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Final

from router.errors import ConfigError
from router.profile.literals import key, literal
from router.profile.problems import one_of
from router.profile.review import KnownModel
from router.profile.watch import MAIN
from router.providers.builtin import DEMO
from router.providers.provider import Provider
from router.wire.request import Api

SYNONYMS: Final[Mapping[str, str]] = {"quality-first": "quality"}
"""Presets by another name."""

# A model for titles, summaries and the like, at providers whose own clients use one for that.
_SMALL_MODELS = {"anthropic": "claude-haiku-5-5", "openai": "gpt-6-luna", "gemini": "gemini-3.5-flash-lite"}


def presets() -> dict[str, Path]:
    """The shipped profiles' folders by name."""
    folder = Path(str(resources.files("router").joinpath("presets")))
    return {path.name: path for path in sorted(folder.glob("*")) if (path / MAIN).is_file()}


def preset_files(name: str) -> dict[str, str]:
    """The files of a shipped profile, by relative name. Raises ConfigError."""
    known = presets()
    name = SYNONYMS.get(name, name)
    if name not in known:
        if name == DEMO:
            raise ConfigError("no provider key is in the environment; name a provider: `router init work -p anthropic`")
        raise ConfigError(f'no preset "{name}"; there are {one_of(known) if known else "none"}')
    folder = known[name]
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith((".", "__")) for part in path.relative_to(folder).parts)
    }


def rules_file(
    name: str,
    providers: Sequence[Provider],
    *,
    known_model: KnownModel,
    settings: Mapping[str, object] | None = None,
) -> str:
    """A routing.toml that keeps the requested models and sends each wire format to a provider that speaks it.

    The first provider is the default. ``settings`` are the keys of ``[profile]``, if any.
    """
    first = providers[0]
    lines = [
        f"# Where the requests to /{name} go: rules are tried in order, the first that matches wins, [default] takes",
        f"# the rest. `router check {name}` tells what is wrong here, `router explain {name}` where a request goes.",
        "version = 1",
        "",
    ]
    if settings:
        lines += ["[profile]", *(f"{key(each)} = {literal(value)}" for each, value in settings.items()), ""]
    for other, formats in _by_format(providers):
        lines += [
            "[[rule]]",
            f"match = {{ api = {literal(formats)} }}  # what {first.name} doesn't speak",
            f"to = {literal(other.name)}",
            "",
        ]
    small = _SMALL_MODELS.get(first.name)
    if small is not None and known_model(first.name, small):
        lines += [
            "[[rule]]",
            "match = { background = true }  # titles, summaries and other small jobs of the agent",
            f"to = {literal(first.name)}",
            f"model = {literal(small)}",
            "",
        ]
    lines += ["[default]", f"to = {literal(first.name)}  # without a model, the requested one is kept", ""]
    return "\n".join(lines)


def make_profile(folder: Path, files: Mapping[str, str]) -> None:
    """The profile's folder with these files, readable by nobody else; whole or not at all.

    Raises ConfigError if something of that name is there already.
    """
    if os.path.lexists(folder):
        raise ConfigError(
            f"the profile {folder.name} exists already in {folder}; nothing was changed: edit it, or choose another "
            "name"
        )
    made = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(mode=0o700)
    for name, text in files.items():
        path = made / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(0o600)
    os.rename(made, folder)


def _by_format(providers: Sequence[Provider]) -> Iterator[tuple[Provider, list[Api]]]:
    """The wire formats that the first provider doesn't speak, with the first of the others that does."""
    spoken = set(providers[0].formats)
    for provider in providers[1:]:
        formats = [api for api in provider.formats if api not in spoken]
        spoken.update(formats)
        if formats:
            yield provider, formats
