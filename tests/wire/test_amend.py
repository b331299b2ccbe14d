"""What is learned from a target that refuses a parameter, by the words in which providers say so."""

from __future__ import annotations

import msgspec
import pytest

from router.wire.amend import amended, without_sealed
from router.wire.conversation import Conversation, OpaqueState, Text, Thought, ToolCall, Turn
from router.wire.error_words import too_long
from router.wire.traits import Traits

TRAITS = Traits(provider="lab", model="m")


@pytest.mark.parametrize(
    ("message", "field", "value"),
    [
        pytest.param(
            "Unsupported parameter: 'max_tokens' is not supported here. Use 'max_completion_tokens' instead.",
            "max_tokens_field",
            "max_tokens",
            id="the limit's name, which the message suggests itself",
        ),
        pytest.param(
            "`max_tokens` must be less than or equal to `32768`, the maximum value for `max_tokens` is less than the "
            "`context_window` for this model",
            "max_output",
            32768,
            id="a limit that is too high",
        ),
        pytest.param(
            "max_tokens: 64000 > 8192, which is the maximum number of output tokens of claude-3-haiku-20240307",
            "max_output",
            8192,
            id="one compared with what was asked",
        ),
        pytest.param(
            "Unable to submit request because it has a maxOutputTokens value of 64000 but the supported range is "
            "from 1 (inclusive) to 8193 (exclusive).",
            "max_output",
            8192,
            id="a range",
        ),
        pytest.param("temperature: Extra inputs are not permitted", "sampling", "refused", id="sampling"),
        pytest.param(
            "Unsupported value: 'temperature' does not support 0.2 with this model.",
            "sampling",
            "refused",
            id="a value",
        ),
        pytest.param(
            "Unrecognized request argument supplied: stream_options", "stream_usage", "never", id="usage asked"
        ),
        pytest.param("parallel_tool_calls is not supported", "parallel_tools", False, id="parallel calls"),
        pytest.param(
            "Your organization must be verified to generate reasoning summaries.", "summaries", False, id="summaries"
        ),
        pytest.param("Unknown parameter: 'reasoning_effort'.", "reasoning_in", frozenset(), id="effort"),
        pytest.param("'stop' is not supported with this model", "stops", False, id="stop sequences"),
        pytest.param(
            "This response_format type is unavailable now",
            "refused_fields",
            frozenset({"response_format.json_schema"}),
            id="a schema for the answer",
        ),
        pytest.param("unexpected role: developer", "system_role", "system", id="the developer's role"),
        pytest.param(
            "The encrypted content gAAA... could not be verified: invalid_encrypted_content",
            "replays_sealed",
            False,
            id="sealed reasoning of an earlier turn",
        ),
        pytest.param(
            "messages.1.content.0: Invalid `signature` in `thinking` block", "replays_sealed", False, id="a signature"
        ),
    ],
)
def test_a_refusal_that_names_what_we_chose_changes_that(message: str, field: str, value: object) -> None:
    start = msgspec.structs.replace(TRAITS, system_role="developer") if field == "system_role" else TRAITS
    changed = amended(start, message)
    assert changed is not None
    assert getattr(changed, field) == value
    assert changed == msgspec.structs.replace(start, **{field: value})


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("prompt is too long: 210000 tokens > 200000 maximum", id="too long"),
        pytest.param("messages: at least one message is required", id="the client's fault"),
        pytest.param("Unsupported parameter: 'colour'", id="something we never send"),
        pytest.param("temperature must be between 0 and 2", id="a parameter is named but not refused"),
        pytest.param(
            "'max_tokens' is too large: 8000. This model's maximum context length is 8192 tokens and your request has "
            "1000 input tokens",
            id="no room beside this input",
        ),
        pytest.param("", id="nothing"),
    ],
)
def test_any_other_error_is_left_to_the_client(message: str) -> None:
    assert amended(TRAITS, message) is None


def test_the_same_refusal_is_not_met_twice() -> None:
    once = amended(TRAITS, "temperature: Extra inputs are not permitted")
    assert once is not None
    assert amended(once, "temperature: Extra inputs are not permitted") is None
    sealed = amended(TRAITS, "invalid_encrypted_content")
    assert sealed is not None
    assert amended(sealed, "invalid_encrypted_content") is None


def test_sealed_reasoning_goes_and_what_could_be_read_stays() -> None:
    state = OpaqueState("anthropic-signature", "abc", "lab/m")
    call = ToolCall("c", "n", "{}", state=state)
    conversation = Conversation(
        model="m",
        turns=(Turn("assistant", (Thought("because", state), Text("yes", state=state), call), "messages[1]"),),
    )
    (turn,) = without_sealed(conversation).turns
    thought, text, bare = turn.parts
    assert thought == Thought("because", OpaqueState("visible", "", ""))
    assert text == Text("yes")
    assert bare == ToolCall("c", "n", "{}")


@pytest.mark.parametrize(
    ("message", "told"),
    [
        pytest.param(
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 130,512 tokens.",
            "prompt is too long: 130512 tokens > 128000 maximum",
            id="OpenAI",
        ),
        pytest.param(
            "The input token count (1048600) exceeds the maximum number of tokens allowed (1048576).",
            "prompt is too long: 1048600 tokens > 1048576 maximum",
            id="Gemini",
        ),
        pytest.param(
            "prompt is too long: 210000 tokens > 200000 maximum", "prompt is too long: 210000 tokens > 200000 maximum",
            id="Anthropic's own words stay",
        ),
        pytest.param("context length exceeded", "prompt is too long: context length exceeded", id="no counts"),
        pytest.param(
            f"{'9' * 5000} > 200,000", f"prompt is too long: {'9' * 5000} > 200,000", id="more digits than Python reads"
        ),
    ],
)  # fmt: skip
def test_agents_hear_the_words_by_which_they_compact(message: str, told: str) -> None:
    assert too_long(message) == told
