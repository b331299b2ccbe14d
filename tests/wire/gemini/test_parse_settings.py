"""A Gemini client's settings, tools and choice among them."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import BadRequest
from router.wire.conversation import Depth, OutputFormat, Settings, Tool, ToolChoice
from tests.wire.gemini.saying import parsed, parsed_bytes

PAYLOADS = Path(__file__).parents[2] / "data" / "payloads"


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        pytest.param({}, Settings(), id="nothing"),
        pytest.param(
            {
                "maxOutputTokens": 100,
                "temperature": 0.5,
                "topP": 1,
                "topK": 64,
                "stopSequences": ["a", "b"],
                "seed": 7,
                "presencePenalty": 0.1,
                "frequencyPenalty": -0.1,
            },
            Settings(100, 0.5, 1, 64, ("a", "b"), 7, 0.1, -0.1),
            id="all numbers",
        ),
        pytest.param(
            {"max_output_tokens": 100, "top_p": 0.9, "top_k": 64.0, "stop_sequences": [], "presence_penalty": 1},
            Settings(max_tokens=100, top_p=0.9, top_k=64, presence_penalty=1),
            id="in snake case",
        ),
        pytest.param({"temperature": None, "candidateCount": 1}, Settings(), id="null, and one answer"),
        pytest.param({"responseModalities": ["TEXT"], "responseMimeType": "text/plain"}, Settings(), id="text"),
        pytest.param({"responseMimeType": "application/json"}, Settings(output=OutputFormat()), id="any JSON"),
        pytest.param(
            {"responseMimeType": "application/json", "responseSchema": {"type": "OBJECT"}},
            Settings(output=OutputFormat({"type": "object"})),
            id="Google's schema",
        ),
        pytest.param(
            {"response_mime_type": "application/json", "response_json_schema": {"type": "object", "title": "x"}},
            Settings(output=OutputFormat({"type": "object", "title": "x"})),
            id="a JSON schema",
        ),
    ],
)
@pytest.mark.parametrize("name", ["generationConfig", "generation_config"])
def test_settings(name: str, config: dict[str, Any], settings: Settings) -> None:
    conversation, losses = parsed({name: config})
    assert conversation.settings == settings
    assert losses.found == []


@pytest.mark.parametrize(
    ("config", "depth"),
    [
        pytest.param({}, Depth(), id="nothing"),
        pytest.param({"thinkingBudget": 0}, Depth(False), id="a budget of 0 is off"),
        pytest.param({"thinkingBudget": -1}, Depth(True), id="a budget of -1 is up to the model"),
        pytest.param({"thinkingBudget": 8192}, Depth(True, budget=8192), id="a budget"),
        pytest.param(
            {"thinking_budget": 512, "include_thoughts": False},
            Depth(True, budget=512, visible=False),
            id="in snake case",
        ),
        pytest.param({"thinkingLevel": "HIGH"}, Depth(True, "high"), id="a level"),
        pytest.param({"thinkingLevel": "minimal"}, Depth(True, "minimal"), id="a level in small letters"),
        pytest.param({"thinkingLevel": "THINKING_LEVEL_LOW"}, Depth(True, "low"), id="a level by its full name"),
        pytest.param(
            {"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED", "includeThoughts": True},
            Depth(visible=True),
            id="a level that says nothing",
        ),
        pytest.param({"includeThoughts": True}, Depth(visible=True), id="only that it be seen"),
        pytest.param({"thinkingBudget": 0, "thinkingLevel": "HIGH"}, Depth(False), id="off wins"),
    ],
)
def test_depth(config: dict[str, Any], depth: Depth) -> None:
    conversation, losses = parsed({"generationConfig": {"thinkingConfig": config}})
    assert conversation.settings.depth == depth
    assert losses.found == []


@pytest.mark.parametrize(
    ("body", "field", "refused"),
    [
        pytest.param({"cachedContent": "x"}, "cachedContent", True, id="a stored prompt"),
        pytest.param({"safetySettings": []}, "safetySettings", False, id="safety settings"),
        pytest.param({"labels": {}}, "labels", False, id="labels"),
        pytest.param({"store": True}, "store", False, id="storing"),
        pytest.param({"brandNew": 1}, "brandNew", False, id="an unknown field"),
        pytest.param(
            {"generationConfig": {"candidateCount": 2}}, "generationConfig.candidateCount", True, id="several answers"
        ),
        pytest.param(
            {"generationConfig": {"responseLogprobs": True, "logprobs": 3}},
            "generationConfig.responseLogprobs",
            True,
            id="likelihoods",
        ),
        pytest.param(
            {"generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}},
            "generationConfig.responseModalities",
            True,
            id="pictures",
        ),
        pytest.param(
            {"generationConfig": {"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING"}}},
            "generationConfig.responseMimeType",
            True,
            id="an enumeration",
        ),
        pytest.param(
            {"generationConfig": {"mediaResolution": "LOW"}}, "generationConfig.mediaResolution", False, id="a hint"
        ),
        pytest.param({"tools": [{"googleSearch": {}}]}, "tools[0].googleSearch", True, id="a search"),
        pytest.param({"tools": [{"code_execution": {}}]}, "tools[0].codeExecution", True, id="code"),
        pytest.param({"tools": {"urlContext": {}}}, "tools[0].urlContext", True, id="pages"),
        pytest.param(
            {"tools": [{"functionDeclarations": [{"name": "f", "behavior": "NON_BLOCKING"}]}]},
            "tools[0].functionDeclarations[0].behavior",
            False,
            id="how a function behaves",
        ),
        pytest.param({"toolConfig": {"retrievalConfig": {}}}, "toolConfig.retrievalConfig", False, id="where one is"),
        pytest.param(
            {"toolConfig": {"functionCallingConfig": {"streamFunctionCallArguments": True}}},
            "toolConfig.functionCallingConfig.streamFunctionCallArguments",
            False,
            id="arguments in pieces",
        ),
        pytest.param(
            {"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["g"]}}},
            "toolConfig.functionCallingConfig.allowedFunctionNames",
            True,
            id="a choice that isn't offered",
        ),
    ],
)
def test_what_is_lost(body: dict[str, Any], field: str, refused: bool) -> None:
    _, losses = parsed(body)
    assert [(loss.field, loss.refused) for loss in losses.found] == [(field, refused)]


def test_a_service_class() -> None:
    assert parsed({"serviceTier": "flex"})[0].settings.service_tier == "flex"
    assert parsed({"service_tier": "PRIORITY"})[0].settings.service_tier == "priority"
    assert parsed({"serviceTier": "unspecified"})[0].settings.service_tier is None


class TestTools:
    def test_functions_of_all_groups(self) -> None:
        groups = [
            {"functionDeclarations": [{"name": "f", "description": "F.", "parameters": {"type": "OBJECT"}}]},
            {"function_declarations": [{"name": "g", "parameters_json_schema": {"type": "object"}}, {"name": "h"}]},
        ]
        conversation, losses = parsed({"tools": groups})
        assert conversation.tools == (
            Tool("f", "F.", {"type": "object"}),
            Tool("g", None, {"type": "object"}),
            Tool("h"),
        )
        assert losses.found == []

    def test_hosted_tools_beside_functions(self) -> None:
        conversation, losses = parsed({"tools": [{"googleSearch": {}}, {"functionDeclarations": [{"name": "f"}]}]})
        assert conversation.tools == (Tool("f"),)
        assert [loss.field for loss in losses.refused] == ["tools[0].googleSearch"]

    @pytest.mark.parametrize(
        ("config", "choice"),
        [
            pytest.param({}, None, id="nothing"),
            pytest.param({"functionCallingConfig": {}}, None, id="nothing in it"),
            pytest.param({"functionCallingConfig": {"mode": "MODE_UNSPECIFIED"}}, None, id="a mode that says nothing"),
            pytest.param({"functionCallingConfig": {"mode": "AUTO"}}, ToolChoice("auto"), id="auto"),
            pytest.param({"functionCallingConfig": {"mode": "auto"}}, ToolChoice("auto"), id="in small letters"),
            pytest.param({"functionCallingConfig": {"mode": "NONE"}}, ToolChoice("none"), id="none"),
            pytest.param({"function_calling_config": {"mode": "ANY"}}, ToolChoice("any"), id="any"),
            pytest.param(
                {"functionCallingConfig": {"mode": "ANY", "allowed_function_names": ["f"]}},
                ToolChoice("named", "f"),
                id="one",
            ),
            pytest.param(
                {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}},
                ToolChoice("any", allowed=("f", "g")),
                id="one of some",
            ),
        ],
    )
    @pytest.mark.parametrize("name", ["toolConfig", "tool_config"])
    def test_choices(self, name: str, config: dict[str, Any], choice: ToolChoice | None) -> None:
        tools = [{"functionDeclarations": [{"name": "f"}, {"name": "g"}, {"name": "h"}]}]
        conversation, losses = parsed({"tools": tools, name: config})
        assert conversation.tool_choice == choice
        assert losses.found == []

    def test_checked_calls_are_a_promise_that_nobody_else_makes(self) -> None:
        tools = [{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}]
        config = {"functionCallingConfig": {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}}
        conversation, losses = parsed({"tools": tools, "toolConfig": config})
        assert conversation.tool_choice == ToolChoice("auto", allowed=("f",))
        assert [(loss.field, loss.refused) for loss in losses.found] == [
            ("toolConfig.functionCallingConfig.mode", False)
        ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param({"generationConfig": 1}, "the field 'generationConfig' must be an object", id="settings"),
        pytest.param(
            {"generationConfig": {"temperature": "1"}},
            "the field 'generationConfig.temperature' must be a number",
            id="a number as text",
        ),
        pytest.param(
            {"generationConfig": {"topK": True}}, "the field 'generationConfig.topK' must be a number", id="true"
        ),
        pytest.param(
            {"generationConfig": {"seed": 1.5}}, "the field 'generationConfig.seed' must be a whole number", id="a half"
        ),
        pytest.param(
            {"generationConfig": {"stopSequences": [1]}},
            "the field 'generationConfig.stopSequences' must be a string",
            id="a stop sequence",
        ),
        pytest.param(
            {"generationConfig": {"thinkingConfig": {"thinkingLevel": "deep"}}},
            "the field 'generationConfig.thinkingConfig.thinkingLevel' isn't a level that is known",
            id="a level",
        ),
        pytest.param(
            {"generationConfig": {"thinkingConfig": {"includeThoughts": "yes"}}},
            "the field 'generationConfig.thinkingConfig.includeThoughts' must be true or false",
            id="a flag",
        ),
        pytest.param(
            {"generationConfig": {"responseSchema": "x"}},
            "the field 'generationConfig.responseSchema' must be an object",
            id="a schema",
        ),
        pytest.param({"tools": [1]}, "the field 'tools[0]' must be an object", id="a tool"),
        pytest.param(
            {"tools": [{"functionDeclarations": [{}]}]},
            "the field 'tools[0].functionDeclarations[0].name' is missing",
            id="a function without a name",
        ),
        pytest.param(
            {"tools": [{"functionDeclarations": [{"name": "f", "parameters": []}]}]},
            "the field 'tools[0].functionDeclarations[0].parameters' must be an object",
            id="parameters",
        ),
        pytest.param(
            {"toolConfig": {"functionCallingConfig": {"mode": "SOME"}}},
            "the field 'toolConfig.functionCallingConfig.mode' must be 'AUTO', 'ANY', 'NONE' or 'VALIDATED'",
            id="a mode",
        ),
    ],
)
def test_malformed_settings_are_told_by_their_field(body: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRequest) as error:
        parsed(body)
    assert str(error.value) == message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "contents parts role text functionCall functionResponse name args response inlineData mimeType data id "
                "tools functionDeclarations parameters type properties items generationConfig thinkingConfig "
                "thinkingBudget thoughtSignature toolConfig functionCallingConfig mode systemInstruction enum".split()
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from("contents tools toolConfig generationConfig systemInstruction".split()), JSON))
def test_no_body_breaks_the_parser(body: dict[str, Any]) -> None:
    with suppress(BadRequest):
        parsed_bytes(json.dumps(body).encode())


def _nested(opening: str, closing: str, depth: int) -> str:
    return opening * depth + "{}" + closing * depth


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            '{"contents":[],"tools":[{"functionDeclarations":[{"name":"f","parameters":'
            + _nested('{"items":', "}", 600)
            + "}]}]}",
            id="a schema",
        ),
        pytest.param(
            '{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f","args":'
            + _nested('{"a":', "}", 2000)
            + "}}]}]}",
            id="arguments",
        ),
    ],
)
def test_a_body_nested_too_deeply_is_the_client_s_fault(body: str) -> None:
    with pytest.raises(BadRequest, match="nested too deeply"):
        parsed_bytes(body.encode())


def test_what_gemini_cli_sends() -> None:
    body = json.loads((PAYLOADS / "gemini-cli-turn2.json").read_text())["body"]
    conversation, losses = parsed(body)
    assert losses.found == []
    assert [turn.role for turn in conversation.turns] == ["user", "assistant", "user"]
    assert len(conversation.tools) == 16
    assert conversation.settings == Settings(
        temperature=1, top_p=0.95, top_k=64, depth=Depth(True, budget=8192, visible=True)
    )
