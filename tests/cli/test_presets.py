"""The presets: which rule takes what real agents send, whether anybody can then answer it, how old their models are."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from router.cli.asked import Asked, Asker, read_object
from router.cli.fitness import Fitness
from router.cli.places import Places
from router.money.prices import PriceTable
from router.profile.profile import Profile
from router.providers.credentials import Credentials
from router.routing.rules import RouteDecision, Target, decide

pytestmark = pytest.mark.sampled(3)

ROOT = Path(__file__).resolve().parents[2]
PRESETS = sorted(path.parent.name for path in (ROOT / "profiles").glob("*/routing.toml"))
KEYS = dict.fromkeys(
    ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "DEEPSEEK_API_KEY", "GROQ_API_KEY"), "set"
)

# --- what is sent -----------------------------------------------------------------------------------------------------

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"}}


def payloads() -> dict[str, dict[str, Any]]:
    """The captured requests that have a body, by their files' names."""
    found = {}
    for path in sorted((ROOT / "tests" / "data" / "payloads").glob("*.json")):
        payload = json.loads(path.read_text("utf-8"))
        if payload.get("body"):
            found[path.stem] = payload
    return found


def said(*blocks: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """Claude Code's last turn with more in it; a message of its system may follow."""

    def change(body: dict[str, Any]) -> None:
        last = [message for message in body["messages"] if message["role"] == "user"][-1]
        words = last["content"]
        last["content"] = [*([{"type": "text", "text": words}] if isinstance(words, str) else words), *blocks]

    return change


def text(words: str) -> Callable[[dict[str, Any]], None]:
    return said({"type": "text", "text": words})


def screenshot(body: dict[str, Any]) -> None:
    """A tool's result that is a picture."""
    results = [block for block in body["messages"][-1]["content"] if block["type"] == "tool_result"]
    results[-1]["content"] = [IMAGE]


def older_picture(body: dict[str, Any]) -> None:
    body["messages"][0]["content"] += [IMAGE]


def picture_for_codex(body: dict[str, Any]) -> None:
    url = f"data:image/png;base64,{PIXEL}"
    body["input"].append({"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": url}]})


def picture_for_gemini(body: dict[str, Any]) -> None:
    body["contents"].append({"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": PIXEL}}]})


def search_at_google(body: dict[str, Any]) -> None:
    body["tools"] = [{"googleSearch": {}}]
    body["contents"] = body["contents"][:1]


MADE: dict[str, tuple[str, Callable[[dict[str, Any]], None]]] = {
    "made-cc-screenshot": ("claude-code-main-turn2", screenshot),
    "made-cc-older-picture": ("claude-code-main-turn2", older_picture),
    "made-cc-document": ("claude-code-main-turn1", said(PDF)),
    "made-cc-plan": ("claude-code-main-turn1", text("<system-reminder>\nPlan mode is active.\n</system-reminder>")),
    "made-cc-think-hard": ("claude-code-main-turn1", text("Think hard about this one.")),
    "made-cc-low-cost": ("claude-code-main-turn1", text("Low cost, please.")),
    "made-cc-bulk": ("claude-code-main-turn1", text("Rename them all, in bulk.")),
    "made-title-think-hard": ("claude-code-title", text("Think hard about this one.")),
    "made-codex-picture": ("codex-own-model-turn2", picture_for_codex),
    "made-codex-search-picture": ("codex-turn1", picture_for_codex),
    "made-gemini-picture": ("gemini-cli-turn1", picture_for_gemini),
    "made-gemini-search": ("gemini-cli-turn1", search_at_google),
}
"""Captured requests with something in them that none of the captured ones has."""


@cache
def requests() -> Mapping[str, dict[str, Any]]:
    captured = payloads()
    found = dict(captured)
    for name, (origin, change) in MADE.items():
        found[name] = copy.deepcopy(captured[origin])
        change(found[name]["body"])
    return found


# --- which rule takes it ----------------------------------------------------------------------------------------------

SEARCHES = "claude-code-websearch-inner made-gemini-search"
CODEX_SEARCHES = "codex-builtin-turn1 codex-long-* codex-remote-compaction codex-subagent codex-turn*"
BACKGROUND = "claude-code-haiku45-main *-title claude-code-title-small-model gemini-cli-model-router made-title-*"
OPENAI = "*-chat-* *-compat-* *-responses-* codex-* made-codex-* aider-chat llm-chat qwen-compaction pydantic-ai-chat"
OPENAI += " pydantic-ai-responses"
GEMINI = "gemini-cli-* *-gemini-* *-genai-* made-gemini-*"

EXPECTED: dict[str, list[tuple[str, str]]] = {
    "balanced": [
        ("image → gemini", "made-cc-screenshot made-codex-*picture made-gemini-picture"),
        ("web search → anthropic", f"{SEARCHES} {CODEX_SEARCHES}"),
        ("long context → gemini", "claude-code-long-* qwen-chat-long-20turns"),
        ("think → anthropic", "made-cc-plan made-cc-think-hard sdk-*-responses-turn1"),
        ("background → anthropic", BACKGROUND),
        ("concept:low-cost → anthropic", "made-cc-low-cost"),
        ("concept:high-throughput → gemini", "made-cc-bulk"),
        ("default → anthropic", "*"),
    ],
    "cheapest": [
        ("web search → anthropic", f"{SEARCHES} {CODEX_SEARCHES} made-codex-search-picture"),
        ("think → deepseek", "made-cc-think-hard"),
        ("default → anthropic", "*"),
    ],
    "demo": [
        ("compaction → demo", "claude-code-compaction codex-*-compaction opencode-compaction qwen-compaction"),
        ("plan-mode → demo", "made-cc-plan"),
        ("subagent → demo", "codex-*subagent opencode-subagent claude-code-subagent-*"),
        ("background → demo", BACKGROUND),
        ("client → demo", "codex-* made-codex-*"),
        ("document → demo", "made-cc-document"),
        ("image → demo", "made-cc-screenshot made-gemini-picture"),
        ("older picture → demo", "made-cc-older-picture"),
        ("web-search → demo", SEARCHES),
        ("thinking-budget-gt → demo", "gemini-cli-turn* qwen-anthropic-turn*"),
        (
            "thinking → demo",
            "claude-code-* made-cc-* opencode-gemini-turn1 opencode-responses-* qwen-gemini-turn1 "
            "sdk-*-responses-turn1",
        ),
        (
            "tool-result → demo",
            "opencode-*-turn2 qwen-chat-turn2 qwen-chat-long-* sdk-py-anthropic-turn2 sdk-py-responses-previous-id",
        ),
        ("tools-gte → demo", "opencode-*-turn1 qwen-chat-turn1"),
        ("tool-use → demo", "*sdk-*-turn1 pydantic-ai-*"),
        ("input-tokens-gt → demo", "aider-anthropic"),
        ("messages-gt → demo", "aider-chat"),
        ("model-equals → demo", "llm-chat"),
        ("stream → demo", "llm-anthropic"),
        ("input-tokens-lt → demo", "sdk-py-count-tokens"),
    ],
    "fastest": [
        ("web search → anthropic", f"{SEARCHES} {CODEX_SEARCHES} made-codex-search-picture"),
        (
            "pictures and long texts → gemini",
            "claude-code-long-100turns made-*picture made-cc-screenshot made-cc-document",
        ),
        ("default → groq", "*"),
    ],
    "local": [
        ("image → ollama", "made-*picture made-cc-screenshot"),
        ("background → ollama", BACKGROUND),
        ("default → ollama", "*"),
    ],
    "quality": [
        ("background → anthropic", BACKGROUND),
        ("OpenAI's clients → openai", OPENAI),
        ("Google's clients → gemini", GEMINI),
        ("default → anthropic", "*"),
    ],
    "savings": [
        ("small jobs of OpenAI clients → openai", "codex-subagent codex-own-model-subagent opencode-chat-title"),
        (
            "small jobs → anthropic",
            "claude-code-compaction claude-code-haiku45-main claude-code-subagent-* claude-code-title* made-title-* "
            "opencode-anthropic-title opencode-compaction opencode-subagent",
        ),
        ("short questions → anthropic", "llm-anthropic sdk-py-count-tokens"),
        ("short questions to OpenAI models → openai", "aider-chat llm-chat qwen-compaction"),
        ("default → anthropic", "claude-code-custom-model"),
        ("Sonnet, drafted by Haiku → anthropic", "claude-code-sonnet-main *-anthropic* "),
        ("Opus, drafted by Sonnet → anthropic", "claude-code-* made-cc-*"),
        ("api → openai", OPENAI),
        ("api → gemini", GEMINI),
    ],
}
"""For each preset its rules with the requests they take; a request is for the first rule that names it."""


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return Places(tmp_path / "home", ROOT / "profiles")


class Preset:
    """A preset as the server would run it with every key that it asks for."""

    def __init__(self, places: Places, name: str) -> None:
        profile = places.load(name).profile
        assert profile is not None
        self.profile: Profile = profile
        self.asker = Asker(places, profile)

    def decide(self, name: str) -> tuple[RouteDecision, Iterator[tuple[Target, str | None]]]:
        """What becomes of a request, and for each candidate in order what is against calling it."""
        asked: Asked = read_object(requests()[name], name)
        facts = self.asker.facts(asked)
        decision = decide(self.profile.routes, facts, catalog=self.asker.tenant.catalog)

        def against(target: Target) -> str | None:
            reason = Fitness(self.asker, facts, target, Credentials(KEYS)).against
            return None if reason is None else reason[1]

        return decision, ((each.target, against(each.target)) for each in decision.all_candidates())


@pytest.mark.parametrize("preset", PRESETS)
def test_each_agents_requests_are_taken_by_the_rule_meant_for_them(places: Places, preset: str) -> None:
    preset_run = Preset(places, preset)
    taken = {name: preset_run.decide(name)[0].rule.label for name in requests()}
    assert taken == {
        name: next(
            label for label, names in EXPECTED[preset] if any(fnmatchcase(name, pattern) for pattern in names.split())
        )
        for name in requests()
    }
    assert {label for label, _ in EXPECTED[preset]} == set(taken.values())


# What nobody at a provider of the preset can answer: longer than a local model's window, or read by none of them.
UNANSWERED = {
    "local": "claude-code-long-* codex-long-100turns qwen-chat-long-20turns made-cc-document made-gemini-search",
}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.slow
def test_somebody_can_answer_each_of_them(places: Places, preset: str) -> None:
    """Where the rule's first target can't, as with a search at another provider, the next one does."""
    preset_run = Preset(places, preset)
    unanswered = {name for name in requests() if all(against is not None for _, against in preset_run.decide(name)[1])}
    assert unanswered == {
        name for name in requests() if any(fnmatchcase(name, pattern) for pattern in UNANSWERED.get(preset, "").split())
    }


@pytest.mark.parametrize(
    ("request_name", "provider"),
    [("claude-code-websearch-inner", "anthropic"), ("codex-turn1", "openai"), ("made-gemini-search", "gemini")],
)
@pytest.mark.parametrize("preset", ["balanced", "cheapest", "fastest", "quality", "savings"])
def test_a_search_stays_where_it_can_run(places: Places, preset: str, request_name: str, provider: str) -> None:
    _, candidates = Preset(places, preset).decide(request_name)
    assert next(target.provider for target, against in candidates if against is None) == provider


# --- which models -----------------------------------------------------------------------------------------------------

_VERSION = re.compile(r"-v?(\d+)(?:[.-](\d{1,2}))?(?![\db])")


def version_of(model: str) -> tuple[str, tuple[int, int]] | None:
    """A model's name without its version, and that; None where there is none."""
    found = _VERSION.search(model)
    if found is None:
        return None
    return model[: found.start()] + model[found.end() :], (int(found[1]), int(found[2] or 0))


@pytest.mark.parametrize(
    ("model", "version"),
    [
        ("claude-haiku-5-5", ("claude-haiku", (5, 5))),
        ("claude-opus-5", ("claude-opus", (5, 0))),
        ("gpt-6.1-sol", ("gpt-sol", (6, 1))),
        ("gemini-3.5-flash-lite", ("gemini-flash-lite", (3, 5))),
        ("deepseek-v4-pro", ("deepseek-pro", (4, 0))),
        ("openai/gpt-oss-120b", None),
    ],
)
def test_versions_are_read(model: str, version: object) -> None:
    assert version_of(model) == version


def targets(profile: Profile) -> set[tuple[str, str]]:
    """Every provider and model that a profile names."""
    named = [*profile.routes.targets(), *(draft for cascade in profile.cascades.values() for draft in cascade.draft)]
    return {(target.provider, target.model) for target in named if target.model is not None}


@pytest.mark.parametrize("preset", PRESETS)
def test_models_are_listed_and_have_no_newer_sister(places: Places, preset: str) -> None:
    prices: PriceTable = places.prices
    for provider, model in sorted(targets(Preset(places, preset).profile)):
        listed_by = places.catalog[provider].price_provider
        if listed_by is None:
            continue  # on this machine
        assert places.known_model(provider, model), model
        version = version_of(model)
        sisters = [version_of(each) for each in prices.models(listed_by)] if version is not None else []
        newer = [
            each
            for each in sisters
            if each is not None and version is not None and each > version and each[0] == version[0]
        ]
        assert newer == [], f"{model} has a newer sister"


@pytest.mark.parametrize("preset", PRESETS)
def test_every_key_that_is_asked_for_is_named_at_the_top(places: Places, preset: str) -> None:
    text_of = (ROOT / "profiles" / preset / "routing.toml").read_text("utf-8")
    head = text_of.split("\nversion = ", 1)[0]
    for provider, _ in targets(Preset(places, preset).profile):
        variables = places.catalog[provider].key_variables
        assert not variables or any(variable in head for variable in variables), provider
