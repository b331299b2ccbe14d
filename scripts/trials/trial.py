"""One trial: an agent with a task, through the router, to a provider of one format; and what is wrong with it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from router.server.demo import DemoProvider
from router.server.demo.answer import Answer, Question
from router.wire.request import Api
from trials.agents import TrialAgent
from trials.drafts import CANARY, DRAFT_PRICE, TIMES_DEARER, Drafts, draft_problems
from trials.installing import Installed
from trials.script import Script

ROOT: Final = Path(__file__).resolve().parent.parent.parent
ROUTER: Final = [sys.executable, "-c", "from router.cli.main import main; main()"]
TASK: Final = "Read the file {path} with your tool and tell me which secret word the notes hold."
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
STARTED_WITHIN_S: Final = 30
AGENT_S: Final = 120
SHORT: Final[Mapping[Api, str]] = {
    "anthropic-messages": "messages",
    "openai-chat": "chat",
    "openai-responses": "responses",
    "gemini": "gemini",
}
# Known providers with models that think, since these ask most of a translation. Their address is the script's.
TARGETS: Final[Mapping[Api, str]] = {
    "anthropic-messages": "anthropic/claude-sonnet-4-5",
    "openai-chat": "moonshot/kimi-k2-thinking",
    "openai-responses": "openai/gpt-5",
    "gemini": "gemini/gemini-3-pro-preview",
}
# Their cheaper siblings, which draft.
DRAFTING: Final[Mapping[Api, str]] = {
    "anthropic-messages": "anthropic/claude-haiku-4-5",
    "openai-chat": "moonshot/kimi-k2-thinking-turbo",
    "openai-responses": "openai/gpt-5-mini",
    "gemini": "gemini/gemini-3-flash-preview",
}


TAKING_TURNS: Final = """\
from itertools import cycle

targets = cycle({targets})


def route(request, config):
    return next(targets)
"""


@dataclass(frozen=True, slots=True)
class Trial:
    """An agent in one of its formats, and the formats of the providers behind the router, which take turns."""

    agent: TrialAgent
    client: Api
    providers: tuple[Api, ...]
    set_up: bool = False
    """By its own settings, as `router setup` writes them; else by `router run`."""
    draft: Api | None = None
    """The format of a provider that is asked for a draft of each answer."""

    @property
    def formats(self) -> str:
        """As in the table."""
        return f"{SHORT[self.client]} → {self._behind}{', set up' if self.set_up else ''}"

    @property
    def name(self) -> str:
        """As for ``--only``."""
        return f"{self.agent.label}: {self.formats}"

    @property
    def profile(self) -> str:
        name = f"{self.agent.label}-{SHORT[self.client]}-{self._behind}{'-set-up' if self.set_up else ''}"
        return name.replace(", ", "-").replace(" ", "-")

    @property
    def translated(self) -> bool:
        return {*self.providers, self.draft or self.client} != {self.client}

    @property
    def files(self) -> int:
        """So many that, where providers take turns, one of them comes twice, and drafts of every kind."""
        return len(self.providers) + 1 if self.draft is None else 6

    @property
    def _behind(self) -> str:
        if self.draft is not None:
            return "drafted" if self.draft == self.providers[0] else f"drafted by {SHORT[self.draft]}"
        return SHORT[self.providers[0]] if len(self.providers) == 1 else "all"


@dataclass(slots=True)
class Outcome:
    """How a trial went: good where there are no problems."""

    seconds: float
    problems: list[str]
    requests: int = 0
    tokens: tuple[int, int] = (0, 0)
    thinking_kept: bool = False
    output: str = ""
    bodies: list[bytes] = field(default_factory=list)


class Stage:
    """The folder of all trials, a provider for each, and the router in front of them."""

    def __init__(self, folder: Path, trials: Sequence[Trial]) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.words = {trial.profile: secrets.token_hex(6) for trial in trials}
        self.scripts = {trial.profile: Script(str(self.files(trial)[0]), trial.client) for trial in trials}
        self._trials = trials

    def files(self, trial: Trial) -> list[Path]:
        """Those that the agent has to read, the one that the person names first."""
        project = self.folder / trial.profile / "project"
        return [project / "notes.txt", *(project / f"more-notes-{number}.txt" for number in range(1, trial.files))]

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """Everything runs; the router's address."""
        async with AsyncExitStack() as stack:

            async def address(answering: Callable[[Question], Answer]) -> str:
                provider = DemoProvider(answering=answering)
                await provider.start()
                stack.push_async_callback(provider.close)
                return f"{provider.provider().base_urls['gemini'].removesuffix('/v1beta')}/v1"

            for trial in self._trials:
                script = self.scripts[trial.profile]
                drafting = None if trial.draft is None else await address(Drafts(script).answer)
                self._write_profile(trial, await address(script.answer), drafting)
            yield await stack.enter_async_context(self._router())

    def _write_profile(self, trial: Trial, address: str, drafting: str | None) -> None:
        """``address`` is that of the providers, ``drafting`` that of the one that drafts."""
        folder = self.home / "profiles" / trial.profile
        folder.mkdir(parents=True)
        self.home.chmod(0o700)
        targets = {api: TARGETS[api] for api in trial.providers}
        provider, _, model = targets[trial.providers[0]].partition("/")
        tables = [f'[default]\nto = "{provider}"\nmodel = "{model}"\n']
        for api, target in targets.items():
            provider = target.partition("/")[0]
            tables.append(_provider_table(provider, api, address))
        if len(targets) > 1:
            tables.append('[routing]\nscript = "route.py"\n')
            (folder / "route.py").write_text(TAKING_TURNS.format(targets=list(targets.values())), "utf-8")
        if trial.draft is not None and drafting is not None:
            tables = [*_cascade_tables(trial.draft, drafting, targets[trial.providers[0]]), *tables[1:]]
        (folder / "routing.toml").write_text("\n".join(tables), "utf-8")

    @asynccontextmanager
    async def _router(self) -> AsyncIterator[str]:
        with (self.folder / "router.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *ROUTER, "serve", "--port", "0", "--home", str(self.home),
                env=environment(PYTHONPATH=str(ROOT)), stdout=asyncio.subprocess.PIPE, stderr=log,
            )  # fmt: skip
            assert process.stdout is not None
            try:
                async with asyncio.timeout(STARTED_WITHIN_S):
                    while line := (await process.stdout.readline()).decode():
                        if found := re.search(r"(http://127\.0\.0\.1:\d+)/", line):
                            break
                    else:
                        raise SystemExit(f"the router didn't start:\n{(self.folder / 'router.log').read_text()}")
                reading = asyncio.create_task(process.stdout.read())
                yield found[1]
            finally:
                if process.returncode is None:
                    process.terminate()
                await process.wait()
        await reading

    async def run(self, trial: Trial, installed: Installed, address: str) -> Outcome:
        """The trial, and what is wrong."""
        script, word = self.scripts[trial.profile], self.words[trial.profile]
        files = self.files(trial)
        files[0].parent.mkdir(parents=True)
        for file, further in pairwise(files):
            file.write_text(f"Meeting at noon.\nThe notes continue in {further}\n", "utf-8")
        files[-1].write_text(f"The secret word is {word}\nBring tea.\n", "utf-8")
        began = time.monotonic()
        status, output, problems = await run_agent(trial, installed, self.home, f"{address}/{trial.profile}", files[0])
        outcome = Outcome(time.monotonic() - began, problems, output=output, bodies=script.bodies)
        if status is None:
            outcome.problems.append(f"not done after {AGENT_S} s")
        elif status:
            outcome.problems.append(f"exit status {status}")
        if word not in output:
            last = " ".join(_COLOURS.sub("", output).split())[-200:]
            outcome.problems.append(f"the secret isn't in its answer, which ends: {last!r}")
        if min(script.calls, script.results) < len(files):
            told = f"of {len(files)} files {script.calls} were asked for and {script.results} came back"
            outcome.problems.append(told)
        outcome.problems += list(dict.fromkeys(script.problems))
        outcome.thinking_kept = script.thinking_kept
        rows = await self.rows(trial)
        outcome.requests = len(rows)
        outcome.tokens = (sum(map(tokens_in, rows)), sum(row["output"] or 0 for row in rows))
        outcome.problems += ledger_problems(rows, trial.agent.name)
        if trial.draft is not None:
            report = await self._asked("usage", "--profile", trial.profile, "--detail")
            requests = [await self._asked("requests", "show", row["id"]) for row in rows]
            outcome.problems += draft_problems(requests, report["total"])
            if CANARY in output or any(CANARY.encode() in body for body in outcome.bodies):
                outcome.problems.append("something of a bad draft reached it")
        return outcome

    async def rows(self, trial: Trial) -> list[dict[str, Any]]:
        """The ledger's rows of this trial, as `router requests --json` shows them."""
        listed = await self._asked("requests", "list", trial.profile, "--limit", "1000")
        found: list[dict[str, Any]] = listed["requests"]
        return found

    async def _asked(self, *command: str) -> Any:
        """What a command of the router's says in JSON."""
        process = await asyncio.create_subprocess_exec(
            *ROUTER, *command, "--json", "--home", str(self.home),
            env=environment(PYTHONPATH=str(ROOT)), stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        printed, _ = await process.communicate()
        if process.returncode:
            raise SystemExit(f"router {' '.join(command)}: status {process.returncode}")
        return json.loads(printed)


def _cascade_tables(api: Api, base_url: str, verifier: str) -> list[str]:
    """A rule that drafts, the provider of the drafts, and prices. One target's provider has one address, so where both
    speak one format that of the drafts gets a name of its own."""
    provider, _, model = DRAFTING[api].partition("/")
    if verifier.startswith(f"{provider}/"):
        provider = "drafts"
    draft = f"{provider}/{model}"
    cascade = f'cascade = {{ draft = "{draft}", threshold = 0.7 }}'
    return [
        f'[[rule]]\nmatch = {{ always = true }}\ntarget = "{verifier}"\n{cascade}\n',
        _provider_table(provider, api, base_url),
        *(
            f'[prices."{target}"]\ninput = {price}\noutput = {5 * price}\n'
            for target, price in ((draft, DRAFT_PRICE), (verifier, TIMES_DEARER * DRAFT_PRICE))
        ),
    ]


def _provider_table(name: str, api: Api, base_url: str) -> str:
    return f'[providers.{name}]\nformats = ["{api}"]\nbase-url = "{base_url}"\napi-key = "none"\n'


def ledger_problems(rows: Sequence[Mapping[str, Any]], client: str) -> list[str]:
    """What is wrong with a trial's rows: they aren't settled, they failed, they lack their tokens, or the client or the
    conversation wasn't recognised."""
    if not rows:
        return ["no ledger rows"]
    found: dict[str, list[str]] = {}
    for row in rows:
        if problem := _row_problem(row, client):
            found.setdefault(problem, []).append(row["id"])
    return [
        f"{len(ids)} of {len(rows)} requests {problem} ({ids[0][:14]}{', …' if len(ids) > 1 else ''})"
        for problem, ids in found.items()
    ]


def _row_problem(row: Mapping[str, Any], client: str) -> str | None:
    if row["state"] != "settled":
        return "not settled"
    if row["outcome"] != "ok":
        return " ".join(str(part) for part in ("ended:", row["outcome"], row["status"], row["error_class"]) if part)
    if row["client"] != client:
        return f"taken for those of {row['client']}"
    if not row["conversation"]:
        return "of no conversation"
    return None if tokens_in(row) and row["output"] else "without tokens"


def tokens_in(row: Mapping[str, Any]) -> int:
    """All input, read fresh, from a cache or written to one."""
    return sum(row[kind] or 0 for kind in ("input", "cache_read", "cache_write", "cache_write_1h"))


def environment(**more: str) -> dict[str, str]:
    """Only what any program needs: nobody's keys, proxies and settings."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "NO_COLOR": "1", **more}


async def run_agent(
    trial: Trial, installed: Installed, router: Path, base_url: str, file: Path
) -> tuple[int | None, str, list[str]]:
    """Start it in its project with a home of its own; its exit status, None if it had to be ended, all it said, and
    what went wrong before and after. ``router`` is the router's home."""
    project, home = file.parent, file.parent.parent / "home"
    home.mkdir()
    for name, settings in trial.agent.settings.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(json.dumps(settings), "utf-8")
    agent, api = trial.agent, trial.client
    path = f"{installed.program.parent}{os.pathsep}{os.environ['PATH']}"  # an agent that writes its settings itself
    variables = environment(HOME=str(home), TERM="dumb", ROUTER_HOME=str(router), PYTHONPATH=str(ROOT), PATH=path)
    command = [str(installed.program), *agent.arguments(api, TASK.format(path=file))]
    if not trial.set_up:
        command = [*ROUTER, "run", trial.profile, "--agent", agent.run_as(api), "--", *command]
        return *await _ended(command, project, variables | agent.environment(api, base_url)), []
    status, said = await _ended([*ROUTER, "setup", trial.profile, "--agent", agent.name, "--json"], project, variables)
    if status != 0:
        return status, said, ["`router setup` failed"]
    files = [Path(name) for name in json.loads(said[said.index("{") : said.rindex("}") + 1])["files"]]
    del variables["PYTHONPATH"]
    result = await _ended(command, project, variables | agent.environment(api, base_url))
    status, said = await _ended(
        [*ROUTER, "setup", "--agent", agent.name, "--undo"], project, {**variables, "PYTHONPATH": str(ROOT)}
    )
    problems = [] if status == 0 else [f"`router setup --undo` ended with status {status}: {said.strip()[-200:]}"]
    left = [file.name for file in files if file.exists() and base_url in file.read_text("utf-8")]
    return *result, problems + [f"undo left the address in {name}" for name in left]


async def _ended(command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> tuple[int | None, str]:
    """Run a command to its end; its exit status, None if it had to be ended, and all it said."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=variables, start_new_session=True,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(AGENT_S):
            output, _ = await process.communicate()
            return process.returncode, output.decode("utf-8", "replace")
    except TimeoutError:
        return None, ""
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with whatever it has started and left
        await process.wait()
