"""ccproxy's ``ccproxy.yaml`` with the LiteLLM ``config.yaml`` beside it: rules in their order, each to the model of its
name. They look at the request as the client sent it, and the first that matches decides, as here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from router.errors import ConfigError
from router.importing.draft import Draft, Values
from router.importing.litellm import Models
from router.importing.yaml_text import load
from router.providers.provider import Provider

_OWN: Final = "ccproxy.rules."
_PASSED_ON: Final = 'the client\'s own credential goes to Anthropic as it came: api-key = "passthrough"'
_KEYS: Final = {
    "rules",
    "hooks",
    "default_model_passthrough",
    "handler",
    "debug",
    "metrics_enabled",
    "oat_sources",
    "credentials",
}
_HOOKS: Final = {
    "ccproxy.hooks.rule_evaluator": "",
    "ccproxy.hooks.model_router": "",
    "ccproxy.hooks.forward_oauth": _PASSED_ON,
    "ccproxy.hooks.forward_apikey": _PASSED_ON,
    "ccproxy.hooks.capture_headers": "headers are recorded only where a rule asks for them",
    "ccproxy.hooks.extract_session_id": "the ledger has each request's conversation",
}  # fmt: skip
_FORWARDING: Final = ("ccproxy.hooks.forward_oauth", "ccproxy.hooks.forward_apikey")


def read(text: str, models: str | None, catalog: Mapping[str, Provider]) -> Draft:
    """The profile that the two files come to; ``models`` is the text of ``config.yaml``, None where there is none.

    Raises ConfigError for files that aren't theirs.
    """
    config = load(text)
    own = config.get("ccproxy")
    if not isinstance(own, dict):
        raise ConfigError("this is no ccproxy.yaml: it has no ccproxy")
    draft = Draft("ccproxy")
    reader = Models(draft, catalog)
    if models is None:
        draft.left_out("config.yaml", "there is none beside the file: nothing says which models its rules mean")
    else:
        table = load(models)
        if not isinstance(table.get("model_list"), list):
            raise ConfigError("the config.yaml beside it has no model_list")
        reader.read(table)
    _Rules(draft, reader, own)
    draft.unknown(config, {"ccproxy"})
    return draft


class _Rules:
    def __init__(self, draft: Draft, models: Models, own: Values) -> None:
        self.draft = draft
        self.models = models
        self.names: set[str] = {"default"}  # what stands for rules, and isn't asked for
        self.holding: list[tuple[str, Callable[[Values], bool]]] = []  # as that program asks, for the tests
        for number, entry in enumerate(_listed(own.get("rules"))):
            self._rule(entry, f"rules[{number}]")
        self._default(own)
        self._hooks(own)
        self._aliases(own)
        for name in ("handler", "debug", "metrics_enabled"):
            if name in own:
                draft.left_out(name, "it is about how that program runs")
        for name in ("oat_sources", "credentials"):
            if own.get(name):
                draft.left_out(name, 'commands that print a key: write api-key = "command:…" in [providers.NAME]')
        draft.unknown(own, _KEYS)

    def _rule(self, entry: object, where: str) -> None:
        name = entry.get("name") if isinstance(entry, dict) else None
        kind = entry.get("rule") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(name, str) or not isinstance(kind, str):
            self.draft.left_out(where, "it lacks name or rule")
            return
        where = f"{where} {name}"
        kind, params = kind.removeprefix(_OWN), _params(entry.get("params"))
        condition = self._condition(kind, params, where)
        if condition is None:
            return
        match, facts, differs = condition
        targets = self._targets(name, where)
        if targets is None:
            return
        self.names.add(name)
        self.draft.rules.append({"name": name, "match": match, **targets})
        (self.draft.changed if differs else self.draft.carried)(where, f"a rule for {_shown(match)}{differs}")
        facts = {"client": "claude-code", "model": "claude-sonnet-4-5-20250929", **facts}
        self.holding.append((name, partial(_holds, kind, params)))
        first = next(each for each, holds in self.holding if holds(facts))
        self.draft.tests.append({"name": where, "facts": facts, "expect-rule": first})
        self.draft.unknown(entry, {"name", "rule", "params"}, where)

    def _condition(self, kind: str, params: list[Any], where: str) -> tuple[Values, Values, str] | None:
        """The match, facts that meet it, and what differs."""
        match kind, params:
            case "TokenCountRule", [int(most)]:
                differs = ": system prompt and tools count here, too"
                return {"input-tokens-gt": most}, {"tokens": most + 1}, differs
            case "MatchModelRule", [str(part)]:
                return {"model-matches": f"*{_plain(part)}*"}, {"model": part}, ""
            case "ThinkingRule", []:
                differs = (
                    ": there also where it is in the request and disabled; Claude Code has it on in nearly every one"
                )
                return {"thinking": True}, {"thinking": True}, differs
            case "MatchToolRule", [str(part)]:
                globs = list(dict.fromkeys(f"*{_plain(each)}*" for each in (part, part.lower(), part.capitalize())))
                return {"has-tool": globs}, {"tools": [part]}, ": upper and lower case differ here"
            case (("TokenCountRule" | "MatchModelRule" | "ThinkingRule" | "MatchToolRule"), _):
                self.draft.left_out(where, f"{kind} doesn't take these params")
            case _:
                self.draft.left_out(
                    where, f"{kind} is a program of its own; [routing] script runs one written for here"
                )
        return None

    def _targets(self, name: str, where: str) -> Values | None:
        """Where a rule's name leads: to the model of that name, else to that of ``default``."""
        groups = self.models.groups
        meant = name if name in groups else "default"
        if meant not in groups:
            self.draft.left_out(where, f"no model in config.yaml is called {name}, and none default")
            return None
        if meant != name:
            self.draft.changed(where, f"no model in config.yaml is called {name}: it goes where default goes")
        (first, *_) = groups[meant]
        if first.model in groups and first.model != meant:  # one that config.yaml says more of
            return self.models.targets(first.model, groups[first.model])
        return self.models.targets(meant, groups[meant])

    def _default(self, own: Values) -> None:
        targets = self._targets("default", "default") if "default" in self.models.groups else None
        if own.get("default_model_passthrough", True):
            self.draft.default = {"to": "anthropic"}
            self.draft.carried("default_model_passthrough", "[default] keeps the requested model, at Anthropic")
        elif targets is not None:
            self.draft.default = targets
            self.draft.carried("default", "[default]")
            if "target" in targets:
                facts = {"client": "claude-code", "model": "claude-opus-4-5-20251101"}
                self.draft.tests.append({"name": "default", "facts": facts, "expect-target": targets["target"]})
        else:
            self.draft.left_out("default", "no model in config.yaml is called that")

    def _aliases(self, own: Values) -> None:
        """Without passing through, the model asked for says nothing; with it, only a name that leads elsewhere does."""
        groups = self.models.groups
        for name in list(groups):
            plain = [(each.target, each.sets) for each in groups[name]] == [(f"anthropic/{name}", {})]
            if name in self.names or plain or not own.get("default_model_passthrough", True):
                del groups[name]
        self.models.write_aliases(pin=False)

    def _hooks(self, own: Values) -> None:
        for entry in _listed(own.get("hooks")):
            name = str(entry.get("hook") if isinstance(entry, dict) else entry)
            if name not in _HOOKS:
                self.draft.left_out(f"hooks: {name}", "programs that change requests aren't run")
            elif name in _FORWARDING:
                self.draft.providers.setdefault("anthropic", {})["api-key"] = "passthrough"
                self.draft.carried(f"hooks: {name}", _HOOKS[name])
            elif _HOOKS[name]:
                self.draft.left_out(f"hooks: {name}", _HOOKS[name])


def _holds(kind: str, params: list[Any], facts: Values) -> bool:
    """Whether that program's rule would take such a request."""
    match kind:
        case "TokenCountRule":
            return bool(facts.get("tokens", 0) > params[0])
        case "MatchModelRule":
            return params[0] in facts["model"]
        case "MatchToolRule":
            return any(params[0].lower() in tool.lower() for tool in facts.get("tools", ()))
        case _:
            return "thinking" in facts


def _params(value: object) -> list[Any]:
    """The arguments of a rule, whose names say nothing more than the rule does."""
    entries = value if isinstance(value, list) else [value] if value is not None else []
    return [inner for entry in entries for inner in (entry.values() if isinstance(entry, dict) else [entry])]


def _plain(text: str) -> str:
    """A text as a glob that matches just it."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in text)


def _shown(match: Values) -> str:
    return ", ".join(
        f"{name} = {str(value).lower() if isinstance(value, bool) else value}" for name, value in match.items()
    )


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
