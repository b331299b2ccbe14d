"""A Gemini client's contents as neutral turns."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from router.errors import BadRequest
from router.wire.conversation import (
    Document,
    Image,
    Inline,
    Link,
    OpaqueState,
    Part,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Turn,
    Written,
)
from router.wire.gemini.signature import written
from router.wire.loss import Losses
from tests.wire.gemini.saying import claude, native, owned, parsed, parsed_bytes, parts

CALL = {"functionCall": {"name": "f", "args": {}}}
PLAIN = base64.b64encode("Grüße".encode()).decode()


class TestTurns:
    @pytest.mark.parametrize(
        ("contents", "turns"),
        [
            pytest.param("Hi", [("user", "Hi")], id="just a text"),
            pytest.param({"parts": [{"text": "Hi"}]}, [("user", "Hi")], id="just one turn"),
            pytest.param([{"role": "user", "parts": {"text": "Hi"}}], [("user", "Hi")], id="just one part"),
            pytest.param([{"role": "user", "parts": ["Hi"]}], [("user", "Hi")], id="a part that is just a text"),
            pytest.param([{"role": "", "parts": [{"text": "Hi"}]}], [("user", "Hi")], id="an empty role"),
            pytest.param([{"role": None, "parts": [{"text": "Hi"}]}], [("user", "Hi")], id="a role that is null"),
            pytest.param(
                [{"role": "function", "parts": [{"text": "Hi"}]}], [("user", "Hi")], id="the old role of results"
            ),
            pytest.param(
                [{"role": "user", "parts": [{"text": "a"}]}, {"role": "user", "parts": [{"text": "b"}]}],
                [("user", "a"), ("user", "b")],
                id="the user's turns stay apart",
            ),
            pytest.param(
                [
                    {"role": "user", "parts": [{"text": "a"}]},
                    {"role": "model", "parts": [{"text": "b"}]},
                    {"role": "model", "parts": [{"text": "c"}, {"text": "d"}]},
                ],
                [("user", "a"), ("assistant", "bcd")],
                id="the pieces of a streamed answer become one",
            ),
            pytest.param([], [], id="none"),
        ],
    )
    def test_who_says_what(self, contents: Any, turns: list[tuple[str, str]]) -> None:
        conversation, losses = parsed({"contents": contents})
        said = ((turn.role, part) for turn in conversation.turns for part in turn.parts)
        assert [(role, part.text) for role, part in said if isinstance(part, Text)] == turns
        assert losses.found == []

    def test_where_a_turn_stands(self) -> None:
        conversation, _ = parsed({"contents": [{"parts": [{"text": "a"}]}, {"role": "model", "parts": [CALL]}]})
        assert [turn.place for turn in conversation.turns] == ["contents[0]", "contents[1]"]

    def test_the_url_says_model_and_stream(self) -> None:
        conversation, _ = parsed({"model": "models/other"})
        assert conversation.model == "gemini-3"
        assert conversation.stream

    @pytest.mark.parametrize(
        ("system", "texts"),
        [
            pytest.param("Be brief.", ["Be brief."], id="just a text"),
            pytest.param({"parts": [{"text": "a"}, {"text": "b"}]}, ["a", "b"], id="several parts"),
            pytest.param({"role": "user", "parts": {"text": "a"}}, ["a"], id="one part, a role"),
            pytest.param({}, [], id="an empty one"),
            pytest.param(None, [], id="null"),
        ],
    )
    @pytest.mark.parametrize("name", ["systemInstruction", "system_instruction"])
    def test_instructions(self, name: str, system: Any, texts: list[str]) -> None:
        conversation, losses = parsed({name: system})
        assert [text.text for text in conversation.system] == texts
        assert losses.found == []

    def test_an_instruction_that_is_no_text_is_refused(self) -> None:
        conversation, losses = parsed({"systemInstruction": {"parts": [{"inlineData": {}}, {"text": "a"}]}})
        assert conversation.system == (Text("a"),)
        assert [loss.field for loss in losses.refused] == ["systemInstruction.parts[0]"]


class TestUser:
    @pytest.mark.parametrize(
        ("part", "read"),
        [
            pytest.param({"text": "Hi"}, Text("Hi"), id="text"),
            pytest.param(
                {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
                Image(Inline("image/png", "AA==")),
                id="an image",
            ),
            pytest.param(
                {"inline_data": {"mime_type": "image/png", "data": "AA=="}},
                Image(Inline("image/png", "AA==")),
                id="an image in snake case",
            ),
            pytest.param(
                {"inlineData": {"mimeType": "application/pdf", "data": "AA==", "displayName": "a.pdf"}},
                Document(Inline("application/pdf", "AA=="), "a.pdf"),
                id="a PDF with a name",
            ),
            pytest.param(
                {"inlineData": {"mimeType": "text/plain; charset=utf-8", "data": PLAIN}},
                Document(Written("Grüße")),
                id="a text document",
            ),
            pytest.param(
                {"fileData": {"mimeType": "image/png", "fileUri": "https://example.com/a"}},
                Image(Link("https://example.com/a", "image/png")),
                id="a linked image",
            ),
            pytest.param(
                {"file_data": {"file_uri": "https://example.com/a.PNG?x=1"}},
                Image(Link("https://example.com/a.PNG?x=1")),
                id="a linked image by its ending",
            ),
            pytest.param(
                {"fileData": {"fileUri": "https://example.com/a"}},
                Document(Link("https://example.com/a")),
                id="a linked document",
            ),
        ],
    )
    def test_parts(self, part: dict[str, Any], read: Part) -> None:
        assert parts(part) == (read,)

    @pytest.mark.parametrize(
        ("part", "field", "why"),
        [
            pytest.param(
                {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x"}},
                "fileData",
                "the file is stored at Google and nowhere else",
                id="a file of Google's",
            ),
            pytest.param(
                {"fileData": {"fileUri": "gs://bucket/a.png", "mimeType": "image/png"}},
                "fileData",
                "the file is stored at Google and nowhere else",
                id="a bucket",
            ),
            pytest.param(
                {"fileData": {"fileUri": "https://m.youtube.com/watch?v=1"}},
                "fileData",
                "video can't be given to it",
                id="a video by its address",
            ),
            pytest.param(
                {"inlineData": {"mimeType": "video/mp4", "data": ""}},
                "inlineData",
                "video can't be given to it",
                id="a video",
            ),
            pytest.param(
                {"inlineData": {"mimeType": "audio/wav", "data": ""}},
                "inlineData",
                "audio can't be given to it",
                id="a sound",
            ),
            pytest.param(
                {"executableCode": {"code": "1"}},
                "executableCode",
                "only Google's own tools write and read it",
                id="code",
            ),
            pytest.param(
                {"code_execution_result": {}},
                "codeExecutionResult",
                "only Google's own tools write and read it",
                id="what code gave",
            ),
            pytest.param({"toolCall": {}}, "toolCall", "only Google's own tools write and read it", id="a hosted call"),
            pytest.param({"hologram": {}}, "hologram", "this kind of part isn't known", id="something new"),
            pytest.param(
                {"text": "a", "inlineData": {}}, "text", "this kind of part isn't known", id="two kinds at once"
            ),
        ],
    )
    def test_what_can_not_be_said_is_refused(self, part: dict[str, Any], field: str, why: str) -> None:
        losses = Losses()
        if "inlineData" in part and "text" in part:
            part = {**part, "inlineData": {"mimeType": "image/png", "data": "A"}}
        parts({"text": "Look:"}, part, losses=losses)
        assert [(loss.field, loss.why) for loss in losses.refused] == [(f"contents[0].parts[1].{field}", why)]

    def test_hints_about_media_are_dropped(self) -> None:
        losses = Losses()
        image = {"inlineData": {"mimeType": "image/png", "data": "A"}, "mediaResolution": {"level": "HIGH"}}
        assert parts(image, losses=losses) == (Image(Inline("image/png", "A")),)
        assert [loss.field for loss in losses.found] == ["contents[0].parts[0].mediaResolution"]
        assert losses.refused == []

    def test_nothing_is_nothing(self) -> None:
        assert parts({}, {"text": ""}, {"text": None}, {"thoughtSignature": "x"}) == ()


class TestResults:
    @pytest.mark.parametrize(
        ("response", "text", "is_error"),
        [
            pytest.param({"result": "sunny"}, "sunny", False, id="a result"),
            pytest.param({"output": "sunny"}, "sunny", False, id="an output"),
            pytest.param({"error": "no such city"}, "no such city", True, id="an error"),
            pytest.param({"error": {"code": 404}}, '{"code":404}', True, id="an error that is an object"),
            pytest.param({"result": {"a": 1}}, '{"result":{"a":1}}', False, id="a result that is an object"),
            pytest.param({"result": "a", "b": 1}, '{"result":"a","b":1}', False, id="a result among others"),
            pytest.param({"return_value": "x"}, '{"return_value":"x"}', False, id="another name"),
            pytest.param({"error": "", "output": "x"}, '{"error":"","output":"x"}', False, id="an error among others"),
            pytest.param({}, "{}", False, id="an empty object"),
        ],
    )
    def test_what_a_function_gave(self, response: dict[str, Any], text: str, is_error: bool) -> None:
        result = {"functionResponse": {"id": "1", "name": "f", "response": response}}
        assert parts(result) == (ToolResult("1", (Text(text),), is_error, "f"),)

    def test_numbers_keep_their_spelling(self) -> None:
        response = b'{"a": 1.0, "b": 12345678901234567890}'
        body = b'{"contents":[{"parts":[{"functionResponse":{"name":"f","response":%b}}]}]}' % response
        conversation, _ = parsed_bytes(body)
        assert conversation.turns[0].parts == (ToolResult("", (Text('{"a":1.0,"b":12345678901234567890}'),), name="f"),)

    def test_media_in_a_result(self) -> None:
        losses = Losses()
        result = {
            "function_response": {
                "name": "f",
                "response": {"output": "Two:"},
                "parts": [
                    {"inlineData": {"mimeType": "image/png", "data": "A"}},
                    {"fileData": {"mimeType": "application/pdf", "fileUri": "https://example.com/a"}},
                    {"inlineData": {"mimeType": "audio/wav", "data": "A"}},
                    {"text": "x"},
                ],
            }
        }
        assert parts(result, losses=losses) == (
            ToolResult(
                "",
                (
                    Text("Two:"),
                    Image(Inline("image/png", "A")),
                    Document(Link("https://example.com/a", "application/pdf")),
                ),
                name="f",
            ),
        )
        place = "contents[0].parts[0].functionResponse.parts"
        assert [loss.field for loss in losses.refused] == [f"{place}[2].inlineData", f"{place}[3]"]

    def test_an_empty_result_has_no_text(self) -> None:
        assert parts({"functionResponse": {"name": "f", "response": {"output": ""}}}) == (ToolResult("", name="f"),)
        assert parts({"functionResponse": {"id": "1"}}) == (ToolResult("1"),)


class TestModel:
    @pytest.mark.parametrize(
        ("said", "read"),
        [
            pytest.param([{"text": "Hi"}], (Text("Hi"),), id="text"),
            pytest.param([{"text": "a", "thoughtSignature": "s"}], (Text("a", state=native("s")),), id="signed text"),
            pytest.param(
                [{"text": "a"}, {"text": "", "thought_signature": "s"}],
                (Text("a"), Thought("", native("s"))),
                id="a signature behind the text",
            ),
            pytest.param(
                [{"text": "Hm", "thought": True}, {"text": "m.", "thought": True}, {"text": "a"}],
                (Thought("Hmm."), Text("a")),
                id="a thought in pieces",
            ),
            pytest.param(
                [{"text": "Hm", "thought": True}, {"text": "m.", "thought": True, "thoughtSignature": "s"}],
                (Thought("Hmm.", native("s")),),
                id="a thought in pieces, the last one signed",
            ),
            pytest.param([{"text": "a", "thought": False}], (Text("a"),), id="no thought"),
            pytest.param([{"text": "", "thought": True}], (), id="an empty thought"),
            pytest.param(
                [{"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "s"}],
                (ToolCall("1", "f", '{"a":1}', state=native("s")),),
                id="a signed call",
            ),
            pytest.param(
                [{"function_call": {"name": "f"}}], (ToolCall("", "f", "{}"),), id="a call without arguments or id"
            ),
            pytest.param([{"thoughtSignature": "s"}], (Thought("", native("s")),), id="nothing but a signature"),
            pytest.param([{"text": "a", "thoughtSignature": ""}], (Text("a"),), id="an empty signature"),
            pytest.param(
                [{"text": "a", "thoughtSignature": "s"}, {"text": "b"}, {"text": "c", "thoughtSignature": "t"}],
                (Text("ab", state=native("s")), Text("c", state=native("t"))),
                id="two signed texts stay two",
            ),
        ],
    )
    def test_parts(self, said: list[dict[str, Any]], read: tuple[Part, ...]) -> None:
        assert parts(*said, role="model") == read

    def test_arguments_keep_the_spelling_of_numbers(self) -> None:
        body = b'{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f","args":{ "a": 1.50, "b": 1e3 }}}]}]}'
        conversation, _ = parsed_bytes(body)
        assert conversation.turns[0].parts == (ToolCall("", "f", '{"a":1.50,"b":1e3}'),)


class TestSlots:
    """Reasoning of other models, on the part behind it."""

    SLOT = written((Thought("Hm.", claude("s")),), None)

    def test_thoughts_stand_before_their_part_again(self) -> None:
        assert parts({**CALL, "thoughtSignature": self.SLOT}, role="model") == (
            Thought("Hm.", claude("s")),
            ToolCall("", "f", "{}"),
        )
        assert parts({"text": "a", "thoughtSignature": self.SLOT}, role="model") == (
            Thought("Hm.", claude("s")),
            Text("a"),
        )
        assert parts({"text": "", "thoughtSignature": self.SLOT}, role="model") == (Thought("Hm.", claude("s")),)

    def test_a_client_that_keeps_thoughts_doesn_t_give_them_twice(self) -> None:
        shown = {"text": "Hm.", "thought": True}
        assert parts(shown, {"text": "a", "thoughtSignature": self.SLOT}, role="model") == (
            Thought("Hm.", claude("s")),
            Text("a"),
        )

    def test_nor_where_each_piece_is_a_turn_of_its_own(self) -> None:
        said = [{"text": "H", "thought": True}, {"text": "m.", "thought": True}]
        said += [{"text": "a", "thoughtSignature": self.SLOT}, {"text": "b"}]
        conversation, _ = parsed({"contents": [{"role": "model", "parts": [part]} for part in said]})
        assert conversation.turns == (Turn("assistant", (Thought("Hm.", claude("s")), Text("ab")), "contents[0]"),)

    def test_a_thought_before_an_earlier_part_stays(self) -> None:
        said: list[dict[str, Any]] = [
            {"text": "x", "thought": True},
            {"text": "a"},
            {**CALL, "thoughtSignature": self.SLOT},
        ]
        assert parts(*said, role="model")[:2] == (Thought("x"), Text("a"))

    def test_a_thought_without_words_leaves_what_was_shown(self) -> None:
        slot = written((Thought("", claude("s")),), None)
        assert parts({"text": "x", "thought": True}, {**CALL, "thoughtSignature": slot}, role="model") == (
            Thought("x"),
            Thought("", claude("s")),
            ToolCall("", "f", "{}"),
        )

    def test_a_call_s_own_state(self) -> None:
        slot = written((), owned("s"))
        assert parts({**CALL, "thoughtSignature": slot}, role="model") == (ToolCall("", "f", "{}", state=owned("s")),)

    def test_a_model_that_seals_nothing(self) -> None:
        thought = Thought("Hm.", OpaqueState("visible", "", "deepseek/chat"))
        assert parts({**CALL, "thoughtSignature": written((thought,), None)}, role="model")[0] == thought

    def test_a_damaged_slot_is_none(self) -> None:
        assert parts({"text": "a", "thoughtSignature": self.SLOT[:30]}, role="model") == (Text("a"),)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param("{}", "the field 'contents' is missing", id="no contents"),
        pytest.param('{"contents":null}', "the field 'contents' is missing", id="null"),
        pytest.param('{"contents":3}', "the field 'contents' must be a list", id="a number"),
        pytest.param('{"contents":[3]}', "the field 'contents[0]' must be an object", id="a turn that is a number"),
        pytest.param('{"contents":[{"role":1}]}', "the field 'contents[0].role' must be a string", id="a role"),
        pytest.param(
            '{"contents":[{"role":"system"}]}',
            "the field 'contents[0].role' must be 'user' or 'model'",
            id="another role",
        ),
        pytest.param('{"contents":[{"parts":1}]}', "the field 'contents[0].parts' must be a list", id="parts"),
        pytest.param('{"contents":[{"parts":[1]}]}', "the field 'contents[0].parts[0]' must be an object", id="a part"),
        pytest.param(
            '{"contents":[{"parts":[{"text":1}]}]}',
            "the field 'contents[0].parts[0].text' must be a string",
            id="a text",
        ),
        pytest.param(
            '{"contents":[{"parts":[{"inlineData":{"data":"x"}}]}]}',
            "the field 'contents[0].parts[0].inlineData' must have mimeType and data",
            id="data of no type",
        ),
        pytest.param(
            '{"contents":[{"parts":[{"fileData":{}}]}]}',
            "the field 'contents[0].parts[0].fileData.fileUri' is missing",
            id="no address",
        ),
        pytest.param(
            '{"contents":[{"parts":[{"functionResponse":{"response":{}}}]}]}',
            "the field 'contents[0].parts[0].functionResponse.name' is missing",
            id="a result of nothing",
        ),
        pytest.param(
            '{"contents":[{"parts":[{"functionResponse":{"name":"f","response":"x"}}]}]}',
            "the field 'contents[0].parts[0].functionResponse.response' must be an object",
            id="a response that is a text",
        ),
        pytest.param(
            '{"contents":[{"role":"model","parts":[{"functionCall":{"args":{}}}]}]}',
            "the field 'contents[0].parts[0].functionCall.name' is missing",
            id="a call of nothing",
        ),
        pytest.param(
            '{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f","args":[]}}]}]}',
            "the field 'contents[0].parts[0].functionCall.args' must be an object",
            id="arguments that are a list",
        ),
        pytest.param(
            '{"contents":[{"role":"model","parts":[{"text":"a","thoughtSignature":1}]}]}',
            "the field 'contents[0].parts[0].thoughtSignature' must be a string",
            id="a signature that is a number",
        ),
        pytest.param(
            '{"contents":[],"systemInstruction":{"parts":[{"text":1}]}}',
            "the field 'systemInstruction.parts[0].text' must be a string",
            id="an instruction that is a number",
        ),
    ],
)
def test_malformed_contents_are_told_by_their_field(body: str, message: str) -> None:
    with pytest.raises(BadRequest) as error:
        parsed_bytes(body.encode())
    assert str(error.value) == message
