"""Conditions on what the request itself is."""

from __future__ import annotations

from router.routing.conditions.condition import Condition, Need
from router.routing.conditions.kinds import Flag, Glob, Keyed, Number, OneOf
from router.routing.conditions.parsing import Place, shown
from router.routing.facts import Facts


class ToolUse(Flag):
    """The request offers one or more tools."""

    __slots__ = ()
    key = "tool-use"

    def test(self, facts: Facts) -> bool:
        return facts.tool_count > 0

    def seen(self, facts: Facts) -> str:
        return f"{facts.tool_count} tools"


class Tools(Number):
    """How many tools the request offers."""

    __slots__ = ()
    key = "tools"

    def value(self, facts: Facts) -> int:
        return facts.tool_count


class HasTool(Glob):
    """A tool with a matching name is offered."""

    __slots__ = ()
    key = "has-tool"
    needs = Need.TOOLS

    def names(self, facts: Facts) -> tuple[str, ...]:
        return tuple(tool.name for tool in facts.tools)


class ToolResult(Flag):
    """The last turn holds a tool's result, with or without text beside it: an agent going on with its work."""

    __slots__ = ()
    key = "tool-result"
    needs = Need.LAST_TURN

    def test(self, facts: Facts) -> bool:
        return facts.tool_result


class InputTokens(Number):
    """Estimated input tokens: system prompt, tools, every message, images by their size in pixels."""

    __slots__ = ("_holds_when_reached", "_reach")
    key = "input-tokens"
    needs = Need.TOKENS
    needs_tokens = True

    def __init__(self, form: str, threshold: float) -> None:
        super().__init__(form, threshold)
        # Each form is "at least so many", or its opposite: that can often be told without counting to the end.
        self._reach = int(threshold) + (1 if form in ("gt", "lte") else 0)
        self._holds_when_reached = form in ("gt", "gte")

    def test(self, facts: Facts) -> bool:
        if self.form == "eq":
            return facts.tokens_reach(self._reach) and not facts.tokens_reach(self._reach + 1)
        return facts.tokens_reach(self._reach) is self._holds_when_reached

    def value(self, facts: Facts) -> int:
        return facts.tokens()


class MaxTokens(Number):
    """The output limit the client asked for."""

    __slots__ = ()
    key = "max-tokens"

    def value(self, facts: Facts) -> int | None:
        return facts.max_tokens


class Messages(Number):
    """How many messages (or input items) the conversation has."""

    __slots__ = ()
    key = "messages"
    needs = Need.TOOLS

    def value(self, facts: Facts) -> int:
        return facts.messages


class Turns(Number):
    """How many human turns the conversation has: messages with a person's text, not tool results."""

    __slots__ = ()
    key = "turns"
    needs = Need.MESSAGES

    def value(self, facts: Facts) -> int:
        return facts.turns


class HasSystemPrompt(Flag):
    """A system prompt is present."""

    __slots__ = ()
    key = "has-system-prompt"
    needs = Need.TOOLS

    def test(self, facts: Facts) -> bool:
        return facts.has_system_prompt


class ModelEquals(OneOf):
    """The requested model is exactly this."""

    __slots__ = ()
    key = "model-equals"

    def value(self, facts: Facts) -> str:
        return facts.model


class ModelMatches(Glob):
    """The requested model matches this glob (upper and lower case differ)."""

    __slots__ = ()
    key = "model-matches"

    def names(self, facts: Facts) -> tuple[str, ...]:
        return (facts.model,)


class Thinking(Flag):
    """Thinking (reasoning) is switched on, whatever the client's format calls it; ``disabled``, ``none`` and
    ``minimal`` are not on."""

    __slots__ = ()
    key = "thinking"

    def test(self, facts: Facts) -> bool:
        return facts.thinking


class ThinkingBudget(Number):
    """The thinking budget in tokens, where the client gave one."""

    __slots__ = ()
    key = "thinking-budget"

    def value(self, facts: Facts) -> int | None:
        return facts.thinking_budget


class Image(Flag):
    """An image anywhere in the conversation, also inside tool results."""

    __slots__ = ()
    key = "image"
    needs = Need.MESSAGES

    @classmethod
    def parse(cls, place: Place, value: object) -> Condition | None:
        if value == "last-turn":
            return ImageInLastTurn()
        if isinstance(value, bool):
            return super().parse(place, value)
        place.problem(f'expected true, false or "last-turn", got {shown(value)}')
        return None

    def test(self, facts: Facts) -> bool:
        return facts.image


class ImageInLastTurn(Keyed):
    """An image in the last turn."""

    __slots__ = ()
    key = "image"
    needs = Need.LAST_TURN

    @classmethod
    def parse(cls, place: Place, value: object) -> Condition | None:
        return Image.parse(place, value)

    def test(self, facts: Facts) -> bool:
        return facts.image_in_last_turn

    def seen(self, facts: Facts) -> str:
        return "an image in the last turn" if facts.image_in_last_turn else "none in the last turn"

    def text(self) -> str:
        return 'image="last-turn"'

    def canonical(self) -> object:
        return {"image": "last-turn"}


class Document(Flag):
    """A PDF or another document is attached."""

    __slots__ = ()
    key = "document"
    needs = Need.MESSAGES

    def test(self, facts: Facts) -> bool:
        return facts.document


class WebSearch(Flag):
    """The provider must search the web: a server-side search tool is offered, or a web search function is forced or the
    only tool. A search function offered among others is ``has-tool``."""

    __slots__ = ()
    key = "web-search"
    needs = Need.TOOLS

    def test(self, facts: Facts) -> bool:
        return facts.web_search


class Stream(Flag):
    """The client asked for a stream."""

    __slots__ = ()
    key = "stream"

    def test(self, facts: Facts) -> bool:
        return facts.stream


class Background(Flag):
    """A client's small-model traffic: a haiku-family model, or the title, summary or quota probe of a known agent."""

    __slots__ = ()
    key = "background"
    needs = Need.LAST_TURN

    def test(self, facts: Facts) -> bool:
        return facts.background


class PlanMode(Flag):
    """The agent is in plan mode."""

    __slots__ = ()
    key = "plan-mode"
    needs = Need.LAST_TURN

    def test(self, facts: Facts) -> bool:
        return facts.plan_mode


class Subagent(Flag):
    """The request comes from a sub-agent of a known agent."""

    __slots__ = ()
    key = "subagent"
    needs = Need.LAST_TURN

    def test(self, facts: Facts) -> bool:
        return facts.subagent


class Compaction(Flag):
    """The agent is compacting its context."""

    __slots__ = ()
    key = "compaction"
    needs = Need.LAST_TURN

    def test(self, facts: Facts) -> bool:
        return facts.compaction
