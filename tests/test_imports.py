"""Who may import whom: lower ranks only, and the pure folders touch nothing outside their arguments."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "router"

# Lowest first; folders of one line don't import each other.
RANKS: list[set[str]] = [
    {"errors"},
    {"wire"},
    {"agents"},
    {"routing", "money", "health"},
    {"providers"},
    {"profile"},
    {"ledger", "upstream", "importing", "reconciling"},
    {"server"},
    {"replaying"},
    {"advising"},
    {"web"},
    {"cli"},
]
RANK = {folder: rank for rank, folders in enumerate(RANKS) for folder in folders}
# Below every rank: the package itself (its version) and its data files.
FREE = {"", "data"}

PURE = {"errors", "wire", "agents", "routing", "money", "health"}
# The network, files, the clock, chance and the environment come in as arguments.
IMPURE = {
    "aiohttp", "aiosqlite", "asyncio", "http", "logging", "multiprocessing", "os", "random", "secrets", "select",
    "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "time", "urllib", "uuid",
}  # fmt: skip
ALLOWED = {
    # A URL's text is split, nothing is opened.
    ("*", "urllib.parse"),
}
CLOCK_CALLS = {"now", "utcnow", "today"}


def folder_of(module: str) -> str:
    """The first name below the package: ``router.wire.sse`` → ``wire``, ``router`` → ``""``."""
    return module.split(".")[1] if "." in module else ""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(source: str, module: str, *, is_package: bool) -> Iterator[tuple[int, str]]:
    """Every (line, imported name), wherever in the file; ``from a import b`` gives ``a.b``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                kept = module.split(".")[: len(module.split(".")) - node.level + is_package]
                base = ".".join([*kept, *filter(None, [base])])
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"


def rank_problems(module: str, imports: Iterator[tuple[int, str]]) -> list[str]:
    own = folder_of(module)
    if own in FREE:
        return []
    if own not in RANK:
        return [f"{module}: folder {own!r} has no rank"]
    found = []
    for line, name in imports:
        if name.split(".")[0] != "router":
            continue
        other = folder_of(name)
        if other == own or other in FREE or other.startswith("__"):
            continue
        if RANK.get(other, len(RANKS)) >= RANK[own]:
            found.append(f"{module}:{line} ({own}) imports {name} ({other})")
    return found


def purity_problems(module: str, imports: Iterator[tuple[int, str]]) -> list[str]:
    if folder_of(module) not in PURE:
        return []
    return [
        f"{module}:{line} imports {name}"
        for line, name in imports
        if name.split(".")[0] in IMPURE
        and not any(where in ("*", module) and (name + ".").startswith(what + ".") for where, what in ALLOWED)
    ]


def test_modules_import_only_lower_ranks_and_pure_folders_stay_pure() -> None:
    problems = []
    for path in modules():
        module = name_of(path)
        found = list(imports_of(path.read_text("utf-8"), module, is_package=path.name == "__init__.py"))
        problems += rank_problems(module, iter(found)) + purity_problems(module, iter(found))
    assert problems == []


def test_pure_modules_never_read_the_clock() -> None:
    calls = [
        f"{path.name}:{node.lineno} {ast.unparse(node.func)}()"
        for path in modules()
        if folder_of(name_of(path)) in PURE
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CLOCK_CALLS
        and ast.unparse(node.func.value) in {"datetime", "date", "datetime.datetime", "datetime.date"}
    ]
    assert calls == []


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        pytest.param("router.wire.sse", "from router.errors import BadRequest", 0, id="a lower rank may be imported"),
        pytest.param("router.wire.sse", "from router.wire import body", 0, id="the own folder may be imported"),
        pytest.param(
            "router.wire.sse", "from router import __version__", 0, id="the package's version may be imported"
        ),
        pytest.param("router.wire.sse", "from router.routing import facts", 1, id="a higher rank may not"),
        pytest.param("router.wire.sse", "from router import routing", 1, id="nor under another spelling"),
        pytest.param("router.wire.sse", "from ..routing import facts", 1, id="nor relatively"),
        pytest.param("router.money.cost", "import router.health.breaker", 1, id="nor a folder of the same rank"),
        pytest.param("router.wire.sse", "def f():\n    import asyncio", 1, id="a pure folder can't hide an import"),
        pytest.param("router.wire.sse", "from os import environ", 1, id="nor take the environment by name"),
        pytest.param("router.wire.sse", "from urllib.parse import quote", 0, id="splitting a URL is pure"),
        pytest.param("router.wire.sse", "import urllib.request", 1, id="opening one isn't"),
        pytest.param("router.server.app", "import asyncio", 0, id="the shell may do what it is for"),
        pytest.param("router.utils.x", "import json", 1, id="a folder without a rank is a problem"),
    ],
)
def test_the_check_sees(module: str, source: str, expected: int) -> None:
    found = list(imports_of(source, module, is_package=False))
    assert len(rank_problems(module, iter(found)) + purity_problems(module, iter(found))) == expected
