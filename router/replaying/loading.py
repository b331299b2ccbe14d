"""The rules to be tried: a file, read as a profile's own ``routing.toml`` would be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from router.errors import ConfigError
from router.profile.files import Unreadable, label_of, read_text
from router.profile.load import load_profile
from router.profile.profile import Profile
from router.profile.review import KnownModel
from router.profile.watch import CONCEPTS, MAIN
from router.providers.provider import Provider


def load_rules(
    path: Path,
    own: Path | None,
    *,
    name: str,
    catalog: Mapping[str, Provider],
    environ: Mapping[str, str],
    known_model: KnownModel,
) -> Profile:
    """The profile that ``path`` would make of the one in the folder ``own``, if that is there.

    What belongs to rules (concepts, a script, ``.env``) is looked for in ``own``; in the file's own folder where that
    is a profile's, by its ``routing.toml`` or ``concepts``. Raises ConfigError with every error of the file.
    """
    try:
        text = read_text(path)
    except Unreadable as problem:
        raise ConfigError(f"{path}{'' if problem.line is None else f':{problem.line}'} {problem}") from None
    whole = path.name == MAIN or (path.parent / CONCEPTS).is_dir()
    folder = path.resolve().parent if whole or own is None else own
    loaded = load_profile(folder, name=name, catalog=catalog, environ=environ, known_model=known_model, text=text)
    if loaded.profile is None:
        main = label_of(folder, MAIN)
        shown = (replace(error, file=str(path)) if error.file == main else error for error in loaded.errors)
        raise ConfigError("\n".join(map(str, shown)))
    return loaded.profile
