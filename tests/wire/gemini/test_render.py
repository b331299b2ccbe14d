"""A neutral conversation as a request for a Gemini target: tools, choices and settings."""

from __future__ import annotations

from typing import Any

import pytest

from router.wire.conversation import (
    Cache,
    Conversation,
    Depth,
    OutputFormat,
    Settings,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    Turn,
)
from router.wire.loss import Losses
from router.wire.traits import Traits
from tests.wire.gemini.saying import GEMINI, OWN, TOOL, conversation, rendered

BUDGET = {"reasoning_in": frozenset({"budget"})}
LEVEL = {"reasoning_in": frozenset({"effort"}), "efforts": ("low", "medium", "high"), "thinking_off": False}


def config(settings: Settings, losses: Losses | None = None, **traits: Any) -> dict[str, Any]:
    body = rendered(conversation(settings=settings), losses, **traits)
    found: dict[str, Any] = body.get("generationConfig", {})
    return found


def test_a_plain_question_is_nothing_but_contents() -> None:
    assert rendered(conversation()) == {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}


def test_the_same_conversation_gives_the_same_bytes() -> None:
    asked = conversation((Text("a"),), (ToolCall("", "f.g", "{}"),), tools=(TOOL, Tool("f.g")))
    assert GEMINI.render(asked, OWN, Losses()).body == GEMINI.render(asked, OWN, Losses()).body


class TestSystem:
    def test_instructions_stand_apart(self) -> None:
        body = rendered(conversation(system=(Text("a"), Text(" "), Text("b"))))
        assert body["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}]}

    def test_instructions_alone_are_the_user_s_words(self) -> None:
        assert rendered(Conversation("m", (), system=(Text("a"),))) == {
            "contents": [{"role": "user", "parts": [{"text": "a"}]}]
        }

    def test_a_conversation_of_nothing_still_has_contents(self) -> None:
        assert rendered(Conversation("m", ()))["contents"][0]["role"] == "user"

    def test_in_mid_conversation_they_are_tagged(self) -> None:
        turns = (Turn("user", (Text("a"),), "m[0]"), Turn("system", (Text("b"),), "m[1]"))
        assert rendered(Conversation("m", turns))["contents"] == [
            {"role": "user", "parts": [{"text": "a"}, {"text": "<system>\nb\n</system>"}]}
        ]


class TestTools:
    def test_functions(self) -> None:
        tools = (TOOL, Tool("f"), Tool("1st.try", namespace="n"))
        (group,) = rendered(conversation(tools=tools))["tools"]
        assert group == {
            "functionDeclarations": [
                {"name": "get_weather", "description": "Tells the weather.", "parametersJsonSchema": TOOL.schema},
                {"name": "f", "parametersJsonSchema": {"type": "object", "properties": {}}},
                {"name": "n__1st_try_cdf540b0", "parametersJsonSchema": {"type": "object", "properties": {}}},
            ]
        }

    def test_a_name_begins_with_a_letter_and_leads_back(self) -> None:
        result = GEMINI.render(conversation(tools=(Tool("1password"),)), OWN, Losses())
        (name,) = [name for name in (result.tools.name("1password"),) if name.startswith("_1password_")]
        assert result.tools.known(name).name == "1password"

    def test_a_freeform_tool_is_a_function_with_one_text(self) -> None:
        tool = Tool("patch", "Patches.", custom=True)
        asked = conversation((Text("a"),), (ToolCall("1", "patch", "*** x", custom=True),), tools=(tool,))
        body = rendered(asked)
        (declaration,) = body["tools"][0]["functionDeclarations"]
        assert declaration["parametersJsonSchema"]["required"] == ["input"]
        assert body["contents"][1]["parts"][0]["functionCall"]["args"] == {"input": "*** x"}

    def test_a_model_without_tools(self) -> None:
        losses = Losses()
        body = rendered(conversation(tools=(TOOL,), tool_choice=ToolChoice("auto")), losses, tools=False)
        assert "tools" not in body
        assert "toolConfig" not in body
        assert [loss.field for loss in losses.refused] == ["tools"]

    @pytest.mark.parametrize(
        ("choice", "calling"),
        [
            pytest.param(None, None, id="nothing said"),
            pytest.param(ToolChoice("auto"), None, id="auto is usual"),
            pytest.param(ToolChoice("none"), {"mode": "NONE"}, id="none"),
            pytest.param(ToolChoice("any"), {"mode": "ANY"}, id="any"),
            pytest.param(
                ToolChoice("any", allowed=("g", "f")), {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}, id="some"
            ),
            pytest.param(
                ToolChoice("auto", allowed=("f",)),
                {"mode": "VALIDATED", "allowedFunctionNames": ["f"]},
                id="some, but nothing forced",
            ),
            pytest.param(ToolChoice("named", "f"), {"mode": "ANY", "allowedFunctionNames": ["f"]}, id="one"),
            pytest.param(
                ToolChoice("named", "x", "n"), {"mode": "ANY", "allowedFunctionNames": ["n__x"]}, id="one of a group"
            ),
        ],
    )
    def test_choices(self, choice: ToolChoice | None, calling: dict[str, Any] | None) -> None:
        tools = (Tool("f"), Tool("g"), Tool("h"), Tool("x", namespace="n"))
        body = rendered(conversation(tools=tools, tool_choice=choice))
        assert body.get("toolConfig") == (None if calling is None else {"functionCallingConfig": calling})

    @pytest.mark.parametrize(
        ("choice", "tools", "traits", "why"),
        [
            pytest.param(
                ToolChoice("named", "x"), (TOOL,), {}, "the tool it names isn't offered", id="an unknown tool"
            ),
            pytest.param(ToolChoice("any"), (), {}, "no tool is offered that could be called", id="no tool"),
            pytest.param(
                ToolChoice("any"),
                (TOOL,),
                {"tool_choices": frozenset({"auto"})},
                "this model doesn't take the choice 'any'",
                id="a model that can't be forced",
            ),
        ],
    )
    def test_choices_that_can_not_be_said(
        self, choice: ToolChoice, tools: tuple[Tool, ...], traits: dict[str, Any], why: str
    ) -> None:
        losses = Losses()
        assert "toolConfig" not in rendered(conversation(tools=tools, tool_choice=choice), losses, **traits)
        assert [(loss.field, loss.why) for loss in losses.refused] == [("tool_choice", why)]


class TestSettings:
    def test_numbers(self) -> None:
        settings = Settings(100, 0.5, 1, 64, ("a", "b"), 7, 0.1, -0.1)
        assert config(settings, max_output=8192) == {
            "maxOutputTokens": 100,
            "temperature": 0.5,
            "topP": 1,
            "topK": 64,
            "stopSequences": ["a", "b"],
            "seed": 7,
            "presencePenalty": 0.1,
            "frequencyPenalty": -0.1,
        }

    @pytest.mark.parametrize(
        ("settings", "traits", "said", "lost"),
        [
            pytest.param(
                Settings(max_tokens=99),
                {"max_output": 50},
                {"maxOutputTokens": 50},
                ["max_tokens"],
                id="a limit too high",
            ),
            pytest.param(Settings(), {"max_output": 50}, {}, [], id="no limit"),
            pytest.param(
                Settings(temperature=0, top_p=1, top_k=1),
                {"sampling": "refused"},
                {},
                ["temperature", "top_p", "top_k"],
                id="no sampling",
            ),
            pytest.param(
                Settings(temperature=0, top_p=1, top_k=1),
                {"sampling": "one"},
                {"temperature": 0, "topK": 1},
                ["top_p"],
                id="temperature or top_p",
            ),
            pytest.param(Settings(top_p=1), {"sampling": "one"}, {"topP": 1}, [], id="top_p alone"),
            pytest.param(
                Settings(stop=tuple("abcdef")), {}, {"stopSequences": list("abcde")}, ["stop"], id="six stop sequences"
            ),
            pytest.param(Settings(stop=("a",)), {"stops": False}, {}, ["stop"], id="no stop sequences"),
            pytest.param(
                Settings(seed=1, presence_penalty=1),
                {"refused_fields": frozenset({"seed"})},
                {"presencePenalty": 1},
                ["seed"],
                id="a refused field",
            ),
            pytest.param(
                Settings(
                    verbosity="low",
                    user="u",
                    cache_key="k",
                    cache_all=Cache(),
                    service_tier="flex",
                    parallel_tools=True,
                ),
                {},
                {},
                ["service_tier", "verbosity", "user", "cache_key", "cache_all"],
                id="what Gemini has no word for",
            ),
        ],
    )
    def test_what_a_target_takes(
        self, settings: Settings, traits: dict[str, Any], said: dict[str, Any], lost: list[str]
    ) -> None:
        losses = Losses()
        assert config(settings, losses, **traits) == said
        assert [loss.field for loss in losses.found] == lost
        assert losses.refused == []

    def test_a_refused_field_of_the_body(self) -> None:
        losses = Losses()
        asked = conversation(settings=Settings(seed=1))
        assert "generationConfig" not in rendered(asked, losses, refused_fields=frozenset({"generationConfig"}))
        assert [loss.field for loss in losses.found] == ["generationConfig"]

    def test_hints_on_parts_and_tools(self) -> None:
        losses = Losses()
        asked = conversation(
            (Text("a", Cache()),), tools=(Tool("f", strict=True),), settings=Settings(parallel_tools=False)
        )
        rendered(asked, losses)
        assert [loss.field for loss in losses.found] == ["tools[].strict", "parallel_tools", "cache"]

    @pytest.mark.parametrize(
        ("tier", "official", "said", "lost"),
        [
            pytest.param("auto", True, None, 0, id="auto"),
            pytest.param("standard", False, None, 0, id="what is usual"),
            pytest.param("flex", True, "flex", 0, id="flex at Google"),
            pytest.param("priority", True, "priority", 0, id="priority at Google"),
            pytest.param("flex", False, None, 1, id="flex elsewhere"),
            pytest.param("fast", True, None, 1, id="a class that it doesn't know"),
        ],
    )
    def test_the_service_class(self, tier: Any, official: bool, said: str | None, lost: int) -> None:
        losses = Losses()
        body = rendered(conversation(settings=Settings(service_tier=tier)), losses, official=official)
        assert body.get("serviceTier") == said
        assert len(losses.found) == lost

    @pytest.mark.parametrize(
        ("output", "said"),
        [
            pytest.param(OutputFormat(), {"responseMimeType": "application/json"}, id="any JSON"),
            pytest.param(
                OutputFormat({"$schema": "x", "type": "object"}, "answer", "An answer.", True),
                {
                    "responseMimeType": "application/json",
                    "responseJsonSchema": {"type": "object", "description": "An answer."},
                },
                id="a schema",
            ),
        ],
    )
    def test_structured_output(self, output: OutputFormat, said: dict[str, Any]) -> None:
        assert config(Settings(output=output)) == said


class TestDepth:
    @pytest.mark.parametrize(
        ("depth", "traits", "said", "lost"),
        [
            pytest.param(Depth(), BUDGET, None, 0, id="nothing said"),
            pytest.param(Depth(False), BUDGET, {"thinkingBudget": 0}, 0, id="off"),
            pytest.param(Depth(effort="none"), BUDGET, {"thinkingBudget": 0}, 0, id="no effort is off"),
            pytest.param(
                Depth(False),
                {**BUDGET, "thinking_off": False},
                {"thinkingBudget": 128},
                1,
                id="a model that always thinks",
            ),
            pytest.param(Depth(True), BUDGET, {"includeThoughts": True}, 0, id="on, however deep"),
            pytest.param(
                Depth(True, budget=5000), BUDGET, {"thinkingBudget": 5000, "includeThoughts": True}, 0, id="a budget"
            ),
            pytest.param(
                Depth(True, budget=60_000),
                BUDGET,
                {"thinkingBudget": 24_576, "includeThoughts": True},
                1,
                id="too large",
            ),
            pytest.param(
                Depth(True, "max"),
                BUDGET,
                {"thinkingBudget": 24_576, "includeThoughts": True},
                0,
                id="as much as it can",
            ),
            pytest.param(
                Depth(effort="low"),
                BUDGET,
                {"thinkingBudget": 1024, "includeThoughts": True},
                0,
                id="an effort as a budget",
            ),
            pytest.param(
                Depth(effort="low", visible=False), BUDGET, {"thinkingBudget": 1024}, 0, id="that nobody wants to read"
            ),
            pytest.param(Depth(visible=True), BUDGET, {"includeThoughts": True}, 0, id="only to be read"),
            pytest.param(
                Depth(effort="high"), LEVEL, {"thinkingLevel": "HIGH", "includeThoughts": True}, 0, id="a level"
            ),
            pytest.param(
                Depth(effort="xhigh"), LEVEL, {"thinkingLevel": "HIGH", "includeThoughts": True}, 1, id="a level below"
            ),
            pytest.param(
                Depth(True, budget=5000),
                LEVEL,
                {"thinkingLevel": "MEDIUM", "includeThoughts": True},
                0,
                id="a budget as a level",
            ),
            pytest.param(Depth(False), LEVEL, {"thinkingLevel": "LOW"}, 1, id="off is the least level"),
            pytest.param(
                Depth(False),
                {**LEVEL, "efforts": ("minimal", "low")},
                {"thinkingLevel": "MINIMAL"},
                1,
                id="off is the minimal level",
            ),
            pytest.param(
                Depth(False),
                {**LEVEL, "efforts": ("none", "low")},
                {"thinkingLevel": "MINIMAL"},
                0,
                id="off has no level of its own",
            ),
            pytest.param(Depth(True, "high"), {"reasoning_in": frozenset()}, None, 1, id="a model that doesn't think"),
            pytest.param(Depth(False), {"reasoning_in": frozenset()}, None, 0, id="off where there is no thinking"),
        ],
    )
    def test_depth(self, depth: Depth, traits: dict[str, Any], said: dict[str, Any] | None, lost: int) -> None:
        losses = Losses()
        assert config(Settings(depth=depth), losses, **traits).get("thinkingConfig") == said
        assert [loss.field for loss in losses.found] == ["depth"] * lost


def test_losses_are_told_in_the_words_of_gemini_s_clients() -> None:
    assert GEMINI.field_names["max_tokens"] == "generationConfig.maxOutputTokens"
    assert GEMINI.field_names["depth"] == "generationConfig.thinkingConfig"
    assert GEMINI.field_names["output"] == "generationConfig.responseJsonSchema"
    assert GEMINI.field_names["tool_choice"] == "toolConfig.functionCallingConfig"


def test_the_model_and_the_stream_stand_in_the_url() -> None:
    body = rendered(Conversation("m", (Turn("user", (Text("Hi"),), "m[0]"),), stream=True))
    assert body.keys() == {"contents"}
    assert Traits(provider="g", model="m").mid_system  # and the flags that say otherwise change nothing
