"""README and docs are true: what they show loads, parses, runs and exists, and nothing of the router is left out."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, get_args

import aiohttp
import click
import pytest
import pytest_asyncio
from click.testing import CliRunner

from router import __version__
from router.agents.agents import AGENTS
from router.cli.main import COMMANDS, cli
from router.errors import Refused
from router.ledger.entry import Outcome
from router.profile.document import Document
from router.profile.home import read_server_file
from router.profile.load import load_profile
from router.profile.making import presets
from router.profile.names import RESERVED
from router.profile.table import Table
from router.providers.catalog import load_catalog
from router.routing.conditions import CONDITIONS
from router.server.endpoints import Endpoint, EndpointKind, resolve
from tests.support import ledgers
from tests.support.serving import Running, serving

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {path: path.read_text("utf-8") for path in PAGES}


def page(name: str) -> str:
    return TEXTS[ROOT / name]


def blocks(language: str, path: Path) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXTS[path], re.MULTILINE | re.DOTALL)


def prose(path: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", TEXTS[path], flags=re.MULTILINE | re.DOTALL)


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the tables between a heading and the next one."""
    section = re.split(r"^#+ ", text.split(f"{heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# --- rules files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", blocks("toml", README))
def test_a_rules_file_of_the_readme_loads_and_asks_for_nothing_inactive(text: str, tmp_path: Path) -> None:
    """Those of docs/ are loaded in tests/profile/test_docs.py."""
    (tmp_path / "routing.toml").write_text(text, "utf-8")
    environ = {"ANTHROPIC_API_KEY": "set", "DEEPSEEK_API_KEY": "set"}
    loaded = load_profile(
        tmp_path, name="work", catalog=load_catalog(), environ=environ, known_model=lambda provider, model: None
    )
    assert loaded.problems == ()
    assert loaded.profile is not None


def test_the_readmes_rules_file_serves_every_client_of_anthropics_format() -> None:
    (text,) = blocks("toml", README)
    named = set(re.findall(r'^to = "(.+?)"', text, re.MULTILINE))
    catalog = load_catalog()
    assert named == {"anthropic", "deepseek"}
    assert all("anthropic-messages" in catalog[provider].formats for provider in named)


class Noon(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Noon:
        return cls(2026, 11, 20, 12, tzinfo=tz)


def test_the_readmes_commands_print_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (rules,) = blocks("toml", README)
    (shown,) = [block for block in blocks("console", README) if "router explain" in block]
    folder = tmp_path / "profiles" / "work"
    folder.mkdir(parents=True)
    (folder / "routing.toml").write_text(rules, "utf-8")
    tmp_path.chmod(0o700)
    for name, value in {"ROUTER_HOME": str(tmp_path), "ANTHROPIC_API_KEY": "a", "DEEPSEEK_API_KEY": "b"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("router.cli.explain.datetime", Noon)  # DeepSeek's prices go by the hour
    printed = ""
    for line in re.findall(r"^\$ (router .+)$", shown, re.MULTILINE):
        result = CliRunner().invoke(cli, shlex.split(line)[1:], prog_name="router")
        printed += f"$ {line}\n{result.output}"
    assert printed == shown


# --- commands ---------------------------------------------------------------------------------------------------------


def command_lines() -> Iterator[object]:
    for path in PAGES:
        for block in blocks("console", path):
            for line in block.splitlines():
                if line.startswith("$ router "):
                    yield pytest.param(line.removeprefix("$ "), id=f"{path.name}: {line[:60]}")


@pytest.mark.parametrize("line", [*command_lines()])
def test_a_command_line_shown_is_one_that_the_router_takes(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "request.json").write_text("{}")
    (tmp_path / "profiles").mkdir()
    parse(cli, "router", shlex.split(line, comments=True)[1:])


def parse(command: click.Command, name: str, arguments: list[str], parent: click.Context | None = None) -> None:
    """As click does it, without running anything. Raises UsageError."""
    context = command.make_context(name, list(arguments), parent=parent)
    if isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        if not rest and command.invoke_without_command:
            return
        inner_name, inner, left = command.resolve_command(context, rest)
        assert inner is not None
        assert inner_name is not None
        parse(inner, inner_name, left, context)


def mentions() -> Iterator[object]:
    for path in PAGES:
        for text in sorted(set(re.findall(r"`(router [^`]+)`", prose(path).replace("\n", " ")))):
            yield pytest.param(text, id=f"{path.name}: {text}")


@pytest.mark.parametrize("text", [*mentions()])
def test_a_command_named_in_a_sentence_exists_with_its_options(text: str) -> None:
    """Its arguments may be placeholders."""
    command: click.Command = cli
    for word in text.split()[1:]:
        if word.startswith("--"):
            if word == "--help":
                continue
            options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
            assert word in options
        elif word == "COMMAND":
            return
        elif isinstance(command, click.Group):
            inner = command.get_command(click.Context(command), word)
            assert inner is not None or command is not cli, f"there is no `router {word}`"
            command = inner or command


def test_docs_commands_has_a_section_for_each_command_and_no_other() -> None:
    assert sorted(re.findall(r"^## router (.+)$", page("docs/commands.md"), re.MULTILINE)) == sorted(COMMANDS)


# --- conditions and settings ------------------------------------------------------------------------------------------


def test_every_condition_of_the_rules_page_exists() -> None:
    """The other way round: tests/routing/test_rules_page.py."""
    table = [cells for cells in rows(page("docs/rules.md"), "## Conditions") if cells[0].startswith("`")]
    named = [word.partition(" = ")[0] for cells in table for word in words(cells[0])]
    assert len(named) > 30
    assert [key for key in named if key not in CONDITIONS] == ["keywords-in"]  # says where another one looks


EVERY_TABLE = """
[profile]
[auth]
[routing]
openrouter = {}
[[rule]]
match = {}
targets = [{ target = "groq/x" }]
cascade = { draft = "groq/y" }
[default]
to = "groq"
[aliases]
a = { target = "groq/x" }
[retry]
[timeouts]
[breaker]
[adaptive]
weights = {}
[budget]
[limits]
per-key = {}
[prices."groq/x"]
input = 1
output = 1
[models."groq/x"]
[ledger]
[log]
[[test]]
facts = {}
expect-rule = "x"
"""
# Where configuration.md tells of a table that has no heading of its own.
SECTIONS = {
    "": "## routing.toml",
    "rule": "### [[rule]]",
    "default": "### [[rule]]",
    "rule.targets": "### [[rule]]",
    "rule.cascade": "### cascade",
    "rule.budget": "### [budget] ○",
    "aliases.a": "### [[rule]]",
    "routing.openrouter": "### [routing]",
    "adaptive.weights": "### [adaptive]",
    "limits.per-key": "### [limits]",
    "prices.groq/x": '### [prices."PROVIDER/MODEL"]',
    "models.groq/x": '### [models."PROVIDER/MODEL"]',
    "test": "### [[test]]",
    "server": "## router.toml",
    "network": "## router.toml",
    "helper": "## router.toml",
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """What the code that reads files asks for: the keys of each table by its place."""
    found: dict[str, set[str]] = {}
    finish = Table.finish

    def noting(table: Table, **options: Any) -> None:
        place = ".".join(step for step in table.path if isinstance(step, str))
        found.setdefault(place, set()).update(table._asked)
        finish(table, **options)

    monkeypatch.setattr(Table, "finish", noting)
    return found


def section(heading: str) -> str:
    text = page("docs/configuration.md")
    if f"{heading}\n" not in text:
        heading += " ○"
    return re.split(r"^##", text.split(f"{heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def test_every_key_that_is_read_is_in_the_configuration_page(asked: dict[str, set[str]], tmp_path: Path) -> None:
    (tmp_path / "routing.toml").write_text(EVERY_TABLE)
    load_profile(tmp_path, name="work", catalog=load_catalog(), environ={}, known_model=lambda *_: None)
    tables = asked.pop("")
    text = page("docs/configuration.md")
    assert [name for name in tables if not re.search(rf"^##+ \[*{name}\b|^\| `{name}`", text, re.MULTILINE)] == []
    asked.pop("rule.openrouter", None)
    assert len(asked) > 15
    missing = [
        f"{place}: {key}"
        for place, keys in asked.items()
        for key in keys - {"pin"}
        if not re.search(rf"[`{{ ]{key}\b", section(SECTIONS.get(place, f"### [{place}]")))
    ]
    assert missing == []


def test_every_key_of_the_servers_file_is_in_the_configuration_page(asked: dict[str, set[str]]) -> None:
    text = '[server]\n[network]\n[[helper]]\nname = "a"\ncommand = ["a"]\n'
    read_server_file(Document("router.toml", text))
    asked.pop("")
    assert set(asked) == {"server", "network", "helper"}
    described = section(SECTIONS["server"])
    assert [key for keys in asked.values() for key in keys if f"`{key}`" not in described] == []


# --- HTTP -------------------------------------------------------------------------------------------------------------

HTTP = "docs/http.md"


def paths() -> list[tuple[str, str, Endpoint]]:
    found = []
    for method, path in re.findall(r"`(GET|POST|DELETE) (/[^`]*)`", prose(ROOT / HTTP)):
        concrete = path.replace("MODEL", "m").replace("ID", "r1")
        found.append((method, path, resolve(concrete, prefixed=True)))
    return found


def test_every_documented_path_is_served_and_every_kind_of_path_documented() -> None:
    assert [path for method, path, endpoint in paths() if method not in endpoint.methods] == []
    assert {endpoint.kind for _, _, endpoint in paths()} == set(get_args(EndpointKind)) - {"unknown"}


def test_reserved_names_are_documented() -> None:
    text = page("docs/configuration.md")
    (named,) = re.findall(r"are paths of the server can't be used: `([^`]+)`", text)
    assert set(named.split()) == RESERVED


def test_the_table_of_errors_is_the_tree_of_errors() -> None:
    def tree(kind: type[Refused]) -> Iterator[type[Refused]]:
        yield kind
        for below in kind.__subclasses__():
            yield from tree(below)

    table = {(cells[0], words(cells[1])[0]) for cells in rows(page(HTTP), "## Errors") if words(cells[1])}
    assert table - {("500", "internal")} == {(str(kind.status), kind.code) for kind in tree(Refused)}


@dataclass
class Example:
    """A curl command of the page and, where the page shows it, what it prints."""

    line: str
    shown: list[str] = field(default_factory=list)


def curl_examples() -> list[Example]:
    found: list[Example] = []
    for block in blocks("console", ROOT / HTTP):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Example(line.removeprefix("$ ")))
            else:
                found[-1].shown.append(line)
    return [example for example in found if example.line.startswith("curl ")]


@pytest_asyncio.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Running]:
    """The shipped demo, as `router serve --demo` serves it."""
    shutil.copytree(presets()["demo"], tmp_path / "home" / "profiles" / "demo")
    async with serving(tmp_path / "home", environ={}) as router:
        yield router


async def curl(line: str, base: str) -> tuple[aiohttp.ClientResponse, bytes]:
    """What curl would do: the few options that the page uses."""
    arguments = shlex.split(line.replace("$BASE", f"{base}/demo").replace("http://127.0.0.1:8080", base))[1:]
    headers, data, url = {"content-type": "application/x-www-form-urlencoded"}, None, ""
    while arguments:
        match arguments.pop(0):
            case "-s" | "-sN" | "-si":
                pass
            case "-H":
                name, _, value = arguments.pop(0).partition(": ")
                headers[name] = value
            case "-d":
                data = arguments.pop(0).encode()
            case other:
                assert not other.startswith("-"), f"the test knows no {other}"
                url = other
    method = "POST" if data else "GET"
    async with aiohttp.ClientSession() as session, session.request(method, url, data=data, headers=headers) as reply:
        try:
            return reply, await reply.read()
        except aiohttp.ClientPayloadError:  # as the page says of a stream that breaks off
            return reply, b""


def shape(value: object) -> object:
    """The keys of an answer, and its values where they don't change from time to time."""
    match value:
        case dict():
            return {key: shape(inner) for key, inner in value.items() if key not in ("id", "uptime_seconds")}
        case list():
            return [shape(inner) for inner in value]
        case _:
            return value


@pytest.mark.parametrize("example", curl_examples(), ids=lambda example: example.line[:70])
async def test_a_curl_example_prints_what_is_shown(example: Example, demo: Running) -> None:
    reply, body = await curl(example.line, demo.url)
    match example.shown:
        case []:
            assert reply.status == 200
        case [first, *lines] if first.startswith("HTTP/1.1 "):
            assert first == f"HTTP/1.1 {reply.status} {reply.reason}"
            for line in lines:
                name, _, value = line.partition(": ")
                assert name.endswith("request-id") or reply.headers[name] == value
        case [shown]:
            assert shape(json.loads(body)) == shape(json.loads(shown))
        case _:
            pytest.fail("an answer is one line, or the head of one")


# --- the ledger -------------------------------------------------------------------------------------------------------

LEDGER = "docs/ledger.md"


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    connection = ledgers.create()
    yield connection
    connection.close()


@pytest.mark.parametrize("query", blocks("sql", ROOT / LEDGER))
def test_a_query_runs(query: str, database: sqlite3.Connection) -> None:
    assert database.execute(query).fetchall() == []


def columns(database: sqlite3.Connection, table: str) -> set[str]:
    return {name for _, name, *_ in database.execute(f"PRAGMA table_info({table})")}


def test_the_columns_of_requests_are_those_of_the_page(database: sqlite3.Connection) -> None:
    table = rows(page(LEDGER), "### requests")
    split = [cells[0] for cells in table].index("outcome")
    assert {word for cells in table[:split] for word in words(cells[0])} == columns(database, "requests")
    assert {word for cells in table[split:] for word in words(cells[0])} == set(get_args(Outcome))


def test_every_column_of_attempts_and_every_table_is_named(database: sqlite3.Connection) -> None:
    text = page(LEDGER).split("### attempts\n", 1)[1]
    usual = {"input", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning"}  # "the tokens"
    assert [name for name in columns(database, "attempts") - usual if f"`{name}`" not in text] == []
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert [name for name in tables if f"`{name}`" not in page(LEDGER)] == []


# --- links, names, the map --------------------------------------------------------------------------------------------


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def links() -> Iterator[object]:
    for path in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
            if not re.match(r"https?://", target):
                yield pytest.param(path, target, id=f"{path.name}: {target}")


@pytest.mark.parametrize(("path", "target"), [*links()])
def test_a_link_leads_somewhere(path: Path, target: str) -> None:
    file, _, fragment = target.partition("#")
    there = (path.parent / file).resolve() if file else path
    assert there.exists()
    if fragment:
        headings = re.findall(r"^#+ (.+)$", there.read_text("utf-8"), re.MULTILINE)
        assert fragment in map(anchor, headings)


def test_every_page_is_linked_from_the_readme() -> None:
    assert [path.name for path in PAGES[2:] if f"(docs/{path.name})" not in TEXTS[README]] == []


def test_every_file_named_in_the_readme_exists() -> None:
    named = re.findall(r"`((?:router|tests|scripts|docs)/[\w./-]*)`", TEXTS[README])
    assert len(named) > 30
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_folder_script_and_preset_is_in_the_readme() -> None:
    text = TEXTS[README]
    folders = [path.name for path in (ROOT / "router").iterdir() if (path / "__init__.py").is_file()]
    scripts = [path.name for path in (ROOT / "scripts").iterdir() if path.is_file()]
    assert [name for name in folders if f"| `router/{name}/` |" not in text] == []
    assert [name for name in scripts if f"| `scripts/{name}` |" not in text] == []
    assert [name for name in presets() if f"`{name}`" not in text] == []


def test_what_the_readme_runs_are_agents_by_their_commands() -> None:
    started = re.findall(r"^\$ router run work -- (\w+)", "\n".join(blocks("console", README)), re.MULTILINE)
    assert set(started) - {"python"} == {"claude", "codex", "opencode", "qwen", "gemini"}
    assert set(started) - {"python"} < {agent.command for agent in AGENTS}


def test_the_changes_tell_of_this_version() -> None:
    assert f"\n## [{__version__}]" in page("CHANGELOG.md")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_is_whole(path: Path) -> None:
    text = TEXTS[path]
    assert text.startswith("# ")
    assert text.endswith("\n")
    assert len(re.findall(r"^```", text, re.MULTILINE)) % 2 == 0
    assert re.findall(r"[ \t]+$", text, re.MULTILINE) == []
