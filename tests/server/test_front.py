# ruff: noqa: E501  (tables read better with a case a line)

"""Who is answered at the door, and in which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.asking import FORMATS, Format
from tests.support.provider import FakeProvider, whole
from tests.support.serving import serving

GOOD = '[default]\nto = "fake"\n'
BAD = '[default]\nto = "nowhere"\n'


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
async def test_a_profile_that_never_was_right_is_down_and_says_so(form: Format, tmp_path: Path) -> None:
    async with serving(tmp_path / "home", {"bad": BAD}) as router:
        async with router.post(f"/bad{form.path}", json=form.body) as reply:
            assert reply.status == 503
            assert "profile bad is down" in form.error_of(await reply.read())
        async with router.get("/bad/health") as reply:
            health: dict[str, Any] = await reply.json()
        assert (reply.status, health["status"], list(health["profiles"])) == (200, "degraded", ["bad"])
        assert "nowhere" in health["profiles"]["bad"]["problems"][0]


async def test_the_default_profile_is_down_rather_than_unnamed(tmp_path: Path) -> None:
    settings = '[server]\ndefault-profile = "bad"\n'
    profiles = {"bad": BAD, "good": '[default]\nto = "demo"\n'}
    async with (
        serving(tmp_path / "home", profiles, settings=settings) as router,
        router.post("/v1/messages", json={}) as reply,
    ):
        assert reply.status == 503
        assert "profile bad is down" in await reply.text()


@pytest.mark.parametrize(
    ("headers", "shape"),
    [
        pytest.param({"anthropic-version": "2023-06-01"}, {"type", "error", "request_id"}, id="anthropic"),
        pytest.param({"x-goog-api-key": "k"}, {"error"}, id="gemini"),
        pytest.param({}, {"error"}, id="openai"),
    ],
)
@pytest.mark.parametrize("path", ["/work/v1/models/none", "/work/v1/nothing", "/nobody/v1/models"])
async def test_an_url_without_a_format_is_answered_in_that_of_the_headers(
    headers: dict[str, str], shape: set[str], path: str, tmp_path: Path
) -> None:
    async with (
        serving(tmp_path / "home", {"work": '[default]\nto = "demo"\n'}) as router,
        router.get(path, headers=headers) as reply,
    ):
        answer = await reply.json()
        assert reply.status == 404
        assert answer.keys() == shape
        assert ("status" in answer["error"]) == ("x-goog-api-key" in headers)


async def test_a_name_of_any_length_fits_the_reply_headers(tmp_path: Path) -> None:
    async with (
        FakeProvider(lambda request: whole({"type": "message", "content": []})) as provider,
        serving(tmp_path / "home", {"work": GOOD}, providers={"fake": provider.url}) as router,
        router.post("/work/v1/messages", json={"model": "é" * 2_000, "messages": []}) as reply,
    ):
        assert reply.status == 200
        assert reply.headers["x-router-model"].startswith("%C3%A9%C3%A9")


async def test_a_request_that_is_wrong_is_no_fault_of_the_router(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path / "home", {"work": '[default]\nto = "demo"\n'}) as router:
        async with router.post("/work/v1/messages", json={"messages": []}) as reply:
            assert reply.status == 400
            assert "'model' is missing" in await reply.text()
        (row,) = await router.rows()
    assert row["outcome"] == "refused"
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        pytest.param(
            '[[rule]]\nmatch = { tool-use = true }\nto = "demo"\n',
            'profile work: no route for model "m": none of the rules matches (tool-use → demo)',
            id="no route",
        ),
        pytest.param(
            '[default]\nto = "anthropic"\n', 'profile work: rule "default → anthropic", no key for provider anthropic', id="no key"
        ),
    ],
)  # fmt: skip
async def test_a_refusal_names_profile_and_rules(rules: str, text: str, tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "home", {"work": rules}) as router,
        router.post("/work/v1/messages", json={"model": "m", "max_tokens": 9, "messages": []}) as reply,
    ):
        assert reply.headers["x-should-retry"] == "false"
        assert text in (await reply.json())["error"]["message"]
