"""What a profile's script says is used, or shown as a problem; never passed over in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.serving import serving, write_profile

RULES = '[routing]\nscript = "route.py"\n[aliases]\nquick = "demo/demo-small"\n[default]\ntarget = "demo/demo-large"\n'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "rule", "model", "problem"),
    [
        pytest.param("'demo/demo-thinker'", "script -> demo", "demo-thinker", None, id="a target"),
        pytest.param("'quick'", "script -> demo", "demo-small", None, id="an alias"),
        pytest.param("None", "default -> demo", "demo-large", None, id="nothing"),
        pytest.param("'nowhere/x'", "default -> demo", "demo-large", 'answered "nowhere/x"', id="an unknown provider"),
        pytest.param("7", "default -> demo", "demo-large", "expected a string or None", id="no text"),
        pytest.param("1 / 0", "default -> demo", "demo-large", "ZeroDivisionError", id="an error"),
    ],
)
async def test_the_script_decides_or_its_problem_is_shown(
    answer: str, rule: str, model: str, problem: str | None, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    folder = write_profile(home, "work", RULES, {"route.py": f"def route(request, config):\n    return {answer}\n"})
    (folder / "route.py").chmod(0o600)
    async with serving(home) as router:
        async with router.post("/work/v1/messages", json={"model": "m", "max_tokens": 9, "messages": []}) as reply:
            assert (reply.headers["x-router-rule"], reply.headers["x-router-model"]) == (rule, model)
        async with router.get("/work/health") as reply:
            problems = (await reply.json())["profiles"]["work"]["problems"]
    assert [problem in line for line in problems] == ([True] if problem else [])
