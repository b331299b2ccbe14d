# ruff: noqa: E501  (scripts on one line)

"""A profile's script in its own process: slow, broken or hostile, it never holds a request up."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from router.server import script as module
from router.server.script import Script
from tests.support.slow import in_time, within

pytestmark = pytest.mark.sampled(2)

QUESTION = {"model": "m", "tokens": 5}
CONFIG = {"profile": "work", "providers": ["a"], "aliases": {}, "default": None}


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Callable[[str], Script]]:
    made: list[Script] = []

    def write(code: str) -> Script:
        path = tmp_path / "route.py"
        path.write_text(code)
        made.append(Script(path))
        return made[-1]

    yield write
    for script in made:
        await script.end()


async def timed(script: Script) -> tuple[str | None, float]:
    began = time.monotonic()
    return await script.ask(QUESTION, CONFIG), time.monotonic() - began


async def test_it_sees_the_request_and_the_config_and_keeps_its_state(make: Callable[[str], Script]) -> None:
    script = make(
        "asked = 0\n"
        "def route(request, config):\n"
        "    global asked\n"
        "    asked += 1\n"
        "    return f'{config[\"profile\"]}/{request.model}-{request.tokens}-{asked}'\n"
    )
    assert [await script.ask(QUESTION, CONFIG) for _ in range(3)] == ["work/m-5-1", "work/m-5-2", "work/m-5-3"]
    assert script.problem is None


async def test_answers_are_those_of_their_questions_however_many_ask(make: Callable[[str], Script]) -> None:
    script = make("def route(request, config):\n    return request.name\n")
    names = [f"a/{number}" for number in range(50)]
    assert await asyncio.gather(*(script.ask({"name": name}, CONFIG) for name in names)) == names


async def test_a_slow_one_is_killed_and_the_request_goes_on(make: Callable[[str], Script]) -> None:
    script = make(
        "import time, os\n"
        "def route(request, config):\n"
        "    if request.slow: time.sleep(60)\n"
        "    return f'pid/{os.getpid()}'\n"
    )
    first = await script.ask({"slow": False}, CONFIG)
    began = time.monotonic()
    assert await script.ask({"slow": True}, CONFIG) is None
    took_s = time.monotonic() - began
    assert took_s > 0.09
    in_time(took_s, 0.4)
    assert script.problem == "route.py: took longer than 100 ms and was restarted"
    second = await script.ask({"slow": False}, CONFIG)
    assert second is not None
    assert second != first, "another process answers"
    assert script.problem is None
    assert first is not None
    async with asyncio.timeout(10):
        while alive(int(first.partition("/")[2])):
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
async def test_many_who_wait_for_a_slow_one_do_not_wait_long(
    make: Callable[[str], Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TURN_S", 0.3)
    script = make("import time\ndef route(request, config):\n    time.sleep(request.s)\n    return 'a/b'\n")
    assert await script.ask({"s": 0}, CONFIG) == "a/b"
    with within(1.0):
        answers = await asyncio.gather(*(script.ask({"s": 0.05}, CONFIG) for _ in range(100)))
    assert answers[0] == "a/b"
    assert answers[-1] is None
    assert await script.ask({"s": 0}, CONFIG) == "a/b"


BROKEN = [
    pytest.param("def route(request, config:\n", "SyntaxError", id="a syntax error"),
    pytest.param("raise RuntimeError('at the start')\n", "RuntimeError: at the start", id="an error at its start"),
    pytest.param("import no_such_module\n", "ModuleNotFoundError", id="a module that isn't there"),
    pytest.param("x = 1\n", "there is no function route", id="no function"),
    pytest.param("route = 5\n", "there is no function route", id="no function of that name"),
    pytest.param("raise SystemExit(3)\n", "SystemExit: 3", id="an exit at its start"),
    pytest.param("import os; os._exit(3)\n", "it did not start", id="a hard exit at its start"),
    pytest.param("import router\n", None, id="the router's own code"),
]


@pytest.mark.parametrize(("code", "problem"), BROKEN)
async def test_one_that_does_not_start_is_a_problem_and_not_started_for_every_request(
    code: str, problem: str | None, make: Callable[[str], Script]
) -> None:
    script = make(code)
    assert await script.ask(QUESTION, CONFIG) is None
    assert script.problem is not None
    assert problem is None or problem in script.problem
    for _ in range(20):
        answer, took = await timed(script)
        assert answer is None
        in_time(took, 0.01, "no process is started")
    assert problem is None or problem in (script.problem or "")


async def test_one_that_hangs_at_its_start_is_given_up_once(
    make: Callable[[str], Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "START_S", 0.2)
    script = make("import time\ntime.sleep(60)\n")
    answer, took = await timed(script)
    assert answer is None
    in_time(took, 1)
    assert script.problem == "route.py: it did not start within 0.2 s"
    for _ in range(5):
        answer, took = await timed(script)
        in_time(took, 0.01, "no process is started")


async def test_a_mended_one_is_taken_up_at_once(make: Callable[[str], Script]) -> None:
    script = make("def route(request, config:\n")
    assert await script.ask(QUESTION, CONFIG) is None
    script.path.write_text("def route(request, config):\n    return 'a/b'\n")
    script.reload()
    assert script.problem is None
    assert await script.ask(QUESTION, CONFIG) == "a/b"


ODD = [
    pytest.param("print('hello'); print('{\"target\": \"x/y\"}')", "'a/b'", "a/b", id="it prints"),
    pytest.param("import sys; sys.stderr.write('x' * 100000)", "'a/b'", "a/b", id="it writes a lot to the console"),
    pytest.param("", "None", None, id="it has no opinion"),
    pytest.param("", "'ü→字'", "ü→字", id="letters that aren't ASCII"),
    pytest.param("import os; os.write(1, b'garbage\\n')", "'a/b'", None, id="it writes over its answer"),
    pytest.param("import os; os._exit(1)", "'a/b'", None, id="it ends"),
    pytest.param("raise SystemExit", "'a/b'", None, id="it leaves"),
    pytest.param("raise KeyboardInterrupt", "'a/b'", None, id="it is interrupted"),
    pytest.param("", "'x' * 10_000_000", None, id="an endless answer"),
    pytest.param("", "{'target': 'a/b'}", None, id="an object"),
    pytest.param("", "'\\ud800'", None, id="no text"),
    pytest.param("import threading; threading.Thread(target=threading.Event().wait, daemon=False).start()", "'a/b'",
                 "a/b", id="it leaves threads"),
    pytest.param("config.clear(); request.model = 5", "'a/b'", "a/b", id="it changes what it was given"),
    pytest.param("request.no_such_thing", "'a/b'", None, id="it asks for what isn't there"),
]  # fmt: skip


@pytest.mark.parametrize(("first", "answer", "expected"), ODD)
async def test_whatever_it_does_the_next_question_is_answered(
    first: str, answer: str, expected: str | None, make: Callable[[str], Script]
) -> None:
    script = make(
        f"def route(request, config):\n    if request.odd:\n        {first or 'pass'}\n        return {answer}\n    return 'c/d'\n"
    )
    got = await script.ask({"odd": True, "model": "m"}, dict(CONFIG))
    assert got in (expected, None) if "ü" in str(expected) else got == expected
    assert await script.ask({"odd": False, "model": "m"}, dict(CONFIG)) == "c/d"
    assert script.problem is None


async def test_keys_are_not_in_its_environment(make: Callable[[str], Script], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-canary")
    script = make(
        "import os\ndef route(request, config):\n    return ','.join(sorted(os.environ)) + str(os.environ.get('ANTHROPIC_API_KEY'))\n"
    )
    answer = await script.ask(QUESTION, CONFIG)
    assert answer is not None
    assert "ANTHROPIC" not in answer
    assert "sk-canary" not in answer


async def test_a_client_that_leaves_takes_its_answer_with_it(make: Callable[[str], Script]) -> None:
    script = make("import time\ndef route(request, config):\n    time.sleep(request.s)\n    return request.name\n")
    assert await script.ask({"s": 0, "name": "a/1"}, CONFIG) == "a/1"
    leaving = asyncio.create_task(script.ask({"s": 0.05, "name": "a/2"}, CONFIG))
    await asyncio.sleep(0.02)
    leaving.cancel()
    await asyncio.wait([leaving])
    assert await script.ask({"s": 0, "name": "a/3"}, CONFIG) == "a/3"


async def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    script = Script(tmp_path / "route.py")
    assert await script.ask(QUESTION, CONFIG) is None
    assert "FileNotFoundError" in (script.problem or "")
    await script.end()
