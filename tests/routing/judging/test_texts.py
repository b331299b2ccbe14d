"""What is seen in an answer's text: refusals, doubt, too little, another topic, talk, broken JSON, loops."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router.routing.judging import Question, judge
from router.wire.conversation import OutputFormat
from tests.support.judging import TOOLS, saying, seen


@pytest.mark.parametrize(
    ("text", "refuses"),
    [
        pytest.param("I'm sorry, but I can’t help with that.", True, id="English"),
        pytest.param("I am unable to access your files.", True, id="no access"),
        pytest.param("Leider kann ich dir dabei nicht helfen.", True, id="German"),
        pytest.param("Je ne peux pas vous aider avec cela.", True, id="French"),
        pytest.param("Lo siento, no puedo ayudarte con eso.", True, id="Spanish"),
        pytest.param("Mi dispiace, non posso aiutarti.", True, id="Italian"),
        pytest.param("Desculpe, não posso ajudar com isso.", True, id="Portuguese"),
        pytest.param("Het spijt me, ik kan je daar niet mee helpen.", True, id="Dutch"),
        pytest.param("Извините, я не могу помочь с этим.", True, id="Russian"),
        pytest.param("抱歉，我无法协助您。", True, id="Chinese"),
        pytest.param("申し訳ありませんが、お手伝いできません。", True, id="Japanese"),
        pytest.param("죄송하지만 도와드릴 수 없습니다.", True, id="Korean"),
        pytest.param("You cannot write to a closed file.", False, id="what somebody else can't"),
        pytest.param("`I cannot help` is the text of the error.", False, id="in code"),
        pytest.param('Answer them: "I can\'t help with that today."', False, id="in a quotation"),
        pytest.param("```\nraise Error('I cannot help with that')\n```", False, id="in a block"),
        pytest.param(
            "It works. It is fast. It is small. Nobody knows why. I can't help but like it.", False, id="later"
        ),
        pytest.param(
            "I can't run it here, but this works:\n```py\n" + "x = 1\n" * 30 + "```", False, id="with the answer"
        ),
    ],
)
def test_refusals(text: str, refuses: bool) -> None:
    judgement = judge(Question("Do it"), saying(text))
    assert bool(seen(judgement, "refusal")) == refuses
    assert judgement.accepted(0.6) != refuses


def test_a_question_about_a_refusal_may_be_answered_with_one() -> None:
    question = Question("Shorten: 'I am sorry to say that I cannot help you with that at all.'")
    assert not seen(judge(question, saying("Sorry, I can't help.")), "refusal")


@pytest.mark.parametrize(
    ("text", "hedges"),
    [
        pytest.param("It might be 80, or perhaps 443, I'm not sure.", True, id="a guess"),
        pytest.param("I don't know.", True, id="an open confession"),
        pytest.param("Ich bin mir nicht sicher, vielleicht ist es wahrscheinlich 80.", True, id="a German guess"),
        pytest.param("It's 80, I think.", False, id="one careful word"),
        pytest.param(
            "It's probably the pool. Perhaps raise its size? " + "Here is how to do that in steps. " * 12,
            False,
            id="careful words in a long answer",
        ),
    ],
)
def test_hedging(text: str, hedges: bool) -> None:
    assert bool(seen(judge(Question("Why?"), saying(text)), "hedging")) == hedges


@pytest.mark.parametrize(
    ("question", "text", "expected"),
    [
        pytest.param("Capital of France?", "Paris", "", id="a word for a fact"),
        pytest.param("Explain monads.", "They chain.", "2 words where about 25 or more are due", id="an explanation"),
        pytest.param("Explain monads in one sentence.", "They chain computations.", "", id="but a brief one"),
        pytest.param(
            "Erkläre ausführlich, was TLS ist.",
            "Verschlüsselung.",
            "1 word where about 60 or more are due",
            id="at length",
        ),
        pytest.param(
            "Write a Python function that adds.",
            "It adds two numbers to each other, and returns that.",
            "code was asked for and there is none",
            id="code",
        ),
        pytest.param(
            "Write a Python function that adds.",
            "def add(a, b): return a + b  # as short as it gets",
            "",
            id="code without a fence",
        ),
        pytest.param("Give me five colours.", "Red and blue", "1 of 5 things that were asked for", id="five things"),
        pytest.param("Give me five colours.", "red, blue, green, grey, black", "", id="five things in a row"),
        pytest.param("Give me five colours.", "- a\n- b\n- c\n- d\n- e", "", id="five points"),
        pytest.param(
            "Yes or no: is it safe?", "Well, yes. " * 100, "200 words where little was asked for", id="too much"
        ),
    ],
)
def test_length(question: str, text: str, expected: str) -> None:
    assert seen(judge(Question(question), saying(text)), "length") == expected


def test_after_results_a_short_report_is_enough() -> None:
    question = Question("Explain in detail what you do, then write a Python script.", tools=TOOLS, results_last=True)
    assert not seen(judge(question, saying("Done, all tests pass.")), "length")


ABOUT_BOATS = "The harbour was quiet in the morning. Boats lay along the pier and gulls sat on the ropes. " * 4


@pytest.mark.parametrize(
    ("question", "text", "off"),
    [
        pytest.param("How do I configure nginx log rotation?", ABOUT_BOATS, True, id="about something else"),
        pytest.param(
            "How do I configure nginx log rotation?",
            "Rotate logs with logrotate. " + ABOUT_BOATS,
            False,
            id="takes it up",
        ),
        pytest.param(
            "Explain parse_date in src/dates.py and its callers.",
            "The module dates reads. " + ABOUT_BOATS,
            False,
            id="a file by its name",
        ),
        pytest.param("How do I configure nginx log rotation?", "With a tool for that.", False, id="too short to tell"),
        pytest.param("Translate into German: configure nginx log rotation", ABOUT_BOATS, False, id="a translation"),
        pytest.param("Write a poem about nginx log rotation, please", ABOUT_BOATS, False, id="a poem"),
        pytest.param("And why?", ABOUT_BOATS, False, id="a question without words of its own"),
        pytest.param(
            "How does a mutex work in general?",
            "互斥锁保护临界区，同一时间只有一个线程可以持有它。" * 4,
            True,
            id="another script",
        ),
        pytest.param(
            "什么是互斥锁？请说明。",
            "互斥锁 (mutex) 保护临界区 critical section，同一时间只有一个线程 thread 持有。" * 3,
            False,
            id="technical terms in another script",
        ),
    ],
)
def test_topic(question: str, text: str, off: bool) -> None:
    judgement = judge(Question(question), saying(text))
    assert any(check.name == "topic" and check.score == 0 for check in judgement.checks) == off


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("I'll read the file now.", "announces what comes next, and ends", id="an announcement"),
        pytest.param("Ich werde jetzt die Datei lesen.", "announces what comes next, and ends", id="a German one"),
        pytest.param("The change, step by step:", "ends with a colon, and nothing follows", id="a colon"),
        pytest.param("Let me know what you think.", "", id="waiting for the person"),
        pytest.param("If you like, I'll do the docs as well.", "", id="an offer"),
        pytest.param("I'll need your password. Where is it kept?", "", id="a question"),
        pytest.param("I renamed it.", "", id="a report"),
    ],
)
def test_talk_where_there_are_tools(text: str, expected: str) -> None:
    question = Question("What about the name?", tools=TOOLS, results_last=True)
    assert seen(judge(question, saying(text)), "action") == expected
    assert not seen(judge(replace(question, tools=()), saying(text)), "action")


def test_an_order_wants_a_call() -> None:
    question = Question("Rename foo to bar in lib/a.py", tools=TOOLS)
    how_to = saying("Open lib/a.py in your editor, replace foo by bar everywhere, and save it.")
    assert seen(judge(question, how_to), "action") == "was told to do something, and calls no tool"
    assert not seen(judge(question, saying("In lib/a.py there is no foo. Which file do you mean?")), "action")
    assert not seen(judge(replace(question, results_last=True), saying("Renamed foo to bar in lib/a.py.")), "action")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("<tool_call>\n{}\n</tool_call>", "a tool call is written as text", id="in tags"),
        pytest.param('```json\n{"name": "Read", "arguments": {}}\n```', "a tool call is written as text", id="as JSON"),
        pytest.param('{"name": "Other", "arguments": {}}', "", id="JSON of something else"),
        pytest.param("Yes.<|im_end|>", "marks of a chat template stand in the text", id="marks of a template"),
    ],
)
def test_form(text: str, expected: str) -> None:
    assert seen(judge(Question("Go", TOOLS), saying(text)), "form") == expected


def test_marks_that_the_question_speaks_of() -> None:
    question = Question("What do <|im_end|> and <tool_call> mean?", TOOLS)
    assert not seen(judge(question, saying("<|im_end|> ends a message, <tool_call> begins a call.")), "form")


PERSON = OutputFormat({"type": "object", "required": ["name"]})


@pytest.mark.parametrize(
    ("output", "asked", "text", "expected"),
    [
        pytest.param(PERSON, "Who?", ' {"name": "Ada"} ', "", id="fits its schema"),
        pytest.param(PERSON, "Who?", "{}", "doesn't fit the schema: name is missing", id="doesn't"),
        pytest.param(PERSON, "Who?", "Ada", "JSON was asked for, and this is none", id="no JSON"),
        pytest.param(OutputFormat(), "Who?", "[1]", "", id="any JSON"),
        pytest.param(
            OutputFormat(),
            "Who?",
            "```json\n[1]\n```",
            "JSON was asked for, and this is none (it is fenced)",
            id="fenced",
        ),
        pytest.param(None, "Reply in JSON.", "Sure:\n```json\n[1]\n```", "", id="by words: fenced is fine"),
        pytest.param(None, "Reply in JSON.", "It is [1] then.", "", id="by words: so is a sentence around it"),
        pytest.param(
            None, "Reply in JSON.", "It is [1 then", "JSON was asked for, and this doesn't parse", id="by words: broken"
        ),
        pytest.param(None, "Reply in JSON.", "It is one.", "JSON was asked for and there is none", id="by words: none"),
        pytest.param(
            None, "Write a Python function that returns JSON only", "`f = json.dumps`", "", id="code about JSON"
        ),
    ],
)
def test_json(output: OutputFormat | None, asked: str, text: str, expected: str) -> None:
    judgement = judge(Question(asked, output=output), saying(text))
    assert seen(judgement, "json") == expected
    assert bool(judgement.fatal) == bool(expected and output)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("It forwards requests to servers. " * 9, "says one sentence 9 times", id="a sentence"),
        pytest.param("Golden " + "crust and " * 100, "ends with the same words 100 times", id="words"),
        pytest.param("| a | b |\n|---|---|\n" + "\n".join(f"| {n} | {n * n} |" for n in range(60)), "", id="a table"),
        pytest.param("1 0 0 0 0\n" * 60, "", id="numbers"),
        pytest.param("-" * 500, "", id="a rule"),
    ],
)
def test_loops(text: str, expected: str) -> None:
    assert seen(judge(Question("What is it?"), saying(text)), "repetition") == expected


def test_a_text_that_breaks_off() -> None:
    long = (
        "The first thing that matters is the pool and its size. The second is the cache, which holds pages, indexes and"
    )
    assert seen(judge(Question("What matters?"), saying(long)), "ending") == "breaks off in the middle of a sentence"
    assert not seen(judge(Question("What matters?"), saying(f"{long} rows.")), "ending")
