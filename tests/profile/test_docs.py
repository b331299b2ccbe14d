"""Every TOML block of the documentation loads, and every key is in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from router.profile.document import Document
from router.profile.home import read_server_file
from router.profile.inactive import INACTIVE
from router.profile.load import Loaded
from router.profile.providers_schema import read_providers
from router.profile.table import Table
from router.providers.catalog import load_catalog

Load = Callable[..., Loaded]

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Companions that a block may refer to.
FILES = {
    "route.py": "def route(request, config):\n    return None\n",
    "concepts/budget.md": "# Budget\nsynonyms:: low cost\n",
}


def blocks() -> list[object]:
    found = []
    for path in sorted(DOCS.glob("*.md")):
        text = path.read_text("utf-8")
        for match in BLOCK.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(pytest.param(match[1], id=f"{path.name}:{line}"))
    return found


@pytest.mark.parametrize("text", blocks())
def test_a_documented_file_loads(text: str, load: Load) -> None:
    """The first line names the file, where it isn't a profile's ``routing.toml``."""
    document = Document("file", text)
    if text.startswith("# router.toml"):
        read_server_file(document)
        problems = document.problems
    elif text.startswith("# providers.toml"):
        read_providers(Table(document, (), document.values), load_catalog(), key=None)
        problems = document.problems
    else:
        problems = list(load(text, FILES).problems)
    assert [str(problem) for problem in problems if problem.severity == "error"] == []


KEYS = {
    "top": "version",
    "[profile]": "description agent port front log-level",
    "[auth]": "keys key",
    "[routing]": "rules strategy fallthrough sticky concepts script explicit-provider timezone echo-model ask-usage "
    "other-to openrouter on-loss on-disconnect",
    "[[rule]]": "name match to model target targets strategy weight priority fallback cascade sticky set drop headers "
    "openrouter budget enabled",
    "[aliases]": "pin",
    "cascade": "draft threshold risky-tools pause-when-losing",
    "[retry]": "attempts total backoff max-delay deadline on-content-filter after-timeout",
    "[timeouts]": "connect first-event first-event-last whole idle",
    "[breaker]": "failures ratio window cooldown",
    "[adaptive]": "weights min-requests explore half-life max-first-token min-success",
    "[budget]": "daily-usd monthly-usd mode on-exceed degrade-to notify notify-at",
    "[limits]": "requests-per-minute concurrent-requests queue per-key",
    "[providers": "formats base-url anthropic-base-url gemini-base-url auth api-key api-keys billing headers models "
    "proxy ca-file timeouts",
    "[prices": "input output cache-read cache-write cache-write-1h",
    "[models": "context max-output images tools documents thinking",
    "[ledger]": "on-error token-facts retention",
    "[log]": "bodies keep",
    "[[test]]": "name request facts expect-rule expect-target",
    "router.toml": "host port port-range hosts origins default-profile max-body stop-grace restart-grace tls-cert "
    "tls-key metrics-key proxy ca-file name command stop-command health-path order enabled timeout env restart",
}


@pytest.mark.parametrize("table", KEYS)
def test_every_key_has_a_row(table: str) -> None:
    text = (DOCS / "configuration.md").read_text("utf-8")
    heading = "## routing.toml" if table == "top" else table
    sections = [
        part
        for part in re.split(r"^##", text, flags=re.MULTILINE)
        if part.lstrip("# ").startswith(heading.lstrip("# "))
    ]
    assert len(sections) == 1
    rows = " ".join(line.split(" | ")[0] for line in sections[0].splitlines() if line.startswith("| `"))
    assert [key for key in KEYS[table].split() if f"`{key}`" not in rows] == []


def test_keys_that_are_not_active_are_marked() -> None:
    marked = "\n".join(line for line in (DOCS / "configuration.md").read_text("utf-8").splitlines() if "○" in line)
    assert [key for key in INACTIVE if f"`{key[1]}` ○" not in marked] == []
    assert marked.count("` ○") == len(INACTIVE)
