"""claude-code-router's ``config.json`` (versions 1 and 2), in the order in which that program decides.

A model written ``provider,model`` first; then tokens above the threshold, a sub-agent's own tag, the haiku model,
thinking, a web search, the default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from router.agents.form_error import FormError
from router.agents.jsonc import parse
from router.errors import ConfigError
from router.importing.draft import Draft, Values
from router.importing.services import Services
from router.providers.provider import Provider
from router.wire.request import Api

_VARIABLE: Final = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")
_KNOWN: Final = {
    "Providers",
    "providers",
    "Router",
    "APIKEY",
    "HOST",
    "PORT",
    "PROXY_URL",
    "API_TIMEOUT_MS",
    "CUSTOM_ROUTER_PATH",
}
_NOT_ROUTING: Final = {
    "LOG": "the router logs every request to logs/NAME.log",
    "LOG_LEVEL": "see [profile] log-level",
    "CLAUDE_PATH": "`router run NAME -- claude` finds the agent on the PATH",
    "NON_INTERACTIVE_MODE": "the router starts no agent with other settings than its address",
    "StatusLine": "the router has no status line; `router usage` tells what was spent",
    "transformers": "programs that change requests aren't run; the router translates between wire formats by itself",
    "REWRITE_SYSTEM_PROMPT": "the router doesn't change what is said",
    "forceUseImageAgent": "the router has no agent of its own that looks at pictures",
}  # fmt: skip
_PROVIDER_KEYS: Final = {"name", "api_base_url", "api_key", "models", "transformer"}
_ROUTER_KEYS: Final = {"default", "background", "think", "longContext", "longContextThreshold", "webSearch", "image"}
_THRESHOLD: Final = 60_000
# Adapters to a provider's habits, which the router knows by itself.
_ADAPTERS: Final = {
    "deepseek", "gemini", "openrouter", "groq", "Anthropic", "tooluse", "reasoning", "enhancetool", "cleancache",
    "streamoptions", "sampling", "vertex-gemini", "OpenAI", "openai",
}  # fmt: skip


def read(text: str, catalog: Mapping[str, Provider]) -> Draft:
    """The profile that a ``config.json`` comes to. Raises ConfigError for a file that isn't one."""
    try:
        config = parse(text)
    except FormError as error:
        raise ConfigError(f"line {error.line}: {error}") from None
    if "Router" not in config and "Providers" not in config and "providers" not in config:
        raise ConfigError("this is no config.json of claude-code-router: it has neither Providers nor Router")
    return _Reader(config, catalog).draft


class _Reader:
    def __init__(self, config: Values, catalog: Mapping[str, Provider]) -> None:
        self.draft = Draft("claude-code-router")
        self.config = config
        self.services = Services(self.draft, catalog)
        self.limits: dict[str, int] = {}  # output limits that a transformer sets, by target
        self.names: dict[str, tuple[str, tuple[str, ...]]] = {}  # the source's provider -> ours, its models
        self._server()
        for number, entry in enumerate(_list(config.get("Providers") or config.get("providers"))):
            self._provider(entry, f"Providers[{number}]")
        self._rules(config.get("Router"))
        for name, why in _NOT_ROUTING.items():
            if config.get(name):
                self.draft.left_out(name, why)
        self.draft.unknown(config, _KNOWN | set(_NOT_ROUTING))

    # --- the server and its providers ---------------------------------------------------------------------------------

    def _server(self) -> None:
        config, draft = self.config, self.draft
        if key := config.get("APIKEY"):
            draft.settings["auth"] = {"keys": "required", "key": self._credential("client", str(key))}
            draft.carried("APIKEY", "[auth] key: clients send it as they did")
        for name in ("HOST", "PORT"):
            if name in config:
                draft.left_out(name, "the address belongs to the server, not to a profile: [server] of router.toml")
        timeout = config.get("API_TIMEOUT_MS")
        if str(timeout or "").isdigit() and int(str(timeout)):
            draft.settings["timeouts"] = {"whole": f"{int(str(timeout))}ms"}
            draft.changed("API_TIMEOUT_MS", "[timeouts] whole: of replies that aren't streamed")
        if config.get("CUSTOM_ROUTER_PATH"):
            draft.left_out(
                "CUSTOM_ROUTER_PATH", 'it is JavaScript; [routing] script = "route.py" does the same in Python'
            )
        if config.get("PROXY_URL"):
            draft.carried("PROXY_URL", "proxy of each provider")

    def _provider(self, entry: object, where: str) -> None:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            self.draft.left_out(where, "it has no name")
            return
        name = entry["name"]
        where = f"Providers.{name}"
        url = entry.get("api_base_url")
        if not isinstance(url, str) or "://" not in url:
            self.draft.left_out(where, "its api_base_url is no address")
            return
        key = str(entry.get("api_key") or "")
        credential = self._credential(name, key) if key else None
        transformers = self._transformers(entry.get("transformer"), name, where)
        api: Api | None = "anthropic-messages" if "Anthropic" in transformers else None
        proxy = str(self.config.get("PROXY_URL") or "") or None
        ours = self.services.at(name, url, credential, api=api, proxy=proxy)
        models = tuple(str(model) for model in _list(entry.get("models")))
        self.names[name] = ours, models
        self._own_limits(entry.get("transformer"), ours, models)
        known = self.services.known(ours)
        if known is not None and not known.credentials and credential is not None:
            self.draft.env = {each: value for each, value in self.draft.env.items() if f"env:{each}" != credential}
            self.draft.carried(where, f"{ours} of the catalog, which needs no key")
        elif known is not None:
            self.draft.carried(where, f"{ours} of the catalog{_with(credential)}")
        else:
            sent = _with(credential) or ", without a key, as it has none there"
            self.draft.carried(where, f"[providers.{ours}]{sent}; the prices of its models aren't known")
        self.draft.unknown(entry, _PROVIDER_KEYS, where)

    def _credential(self, name: str, key: str) -> str:
        found = _VARIABLE.fullmatch(key)
        return f"env:{found[1] or found[2]}" if found else self.draft.secret(name, key)

    def _transformers(self, value: object, provider: str, where: str) -> set[str]:
        """The names of the adapters in use; a note on each that the router doesn't do by itself."""
        used: set[str] = set()
        tables = value if isinstance(value, dict) else {}
        for scope, entry in tables.items():
            listed = entry if scope == "use" else entry.get("use") if isinstance(entry, dict) else None
            for use in _list(listed):
                name = use[0] if isinstance(use, list) and use else use
                if scope == "use":
                    used.add(str(name))
                options = use[1] if isinstance(use, list) and len(use) > 1 else None
                if name == "maxtoken":
                    continue
                place = f"{where}.transformer" if scope == "use" else f"{where}.transformer.{scope}"
                if name not in _ADAPTERS:
                    self.draft.left_out(f"{place}: {name}", "programs that change requests aren't run")
                elif options is not None:
                    self.draft.left_out(f"{place}: {name}", "its options have no place here")
        if used & _ADAPTERS:
            self.draft.left_out(
                f"{where}.transformer", "not needed: the router knows the habits of providers and models"
            )
        return used

    def _own_limits(self, value: object, ours: str, models: tuple[str, ...]) -> None:
        """``maxtoken`` sets the output limit of requests: so do the rules that go there."""
        for scope, entry in (value if isinstance(value, dict) else {}).items():
            for use in _list(entry if scope == "use" else entry.get("use") if isinstance(entry, dict) else None):
                if isinstance(use, list) and use[:1] == ["maxtoken"] and len(use) > 1 and isinstance(use[1], dict):
                    limit = use[1].get("max_tokens")
                    if isinstance(limit, int) and limit > 0:
                        self.limits |= {f"{ours}/{model}": limit for model in (models if scope == "use" else (scope,))}

    # --- rules --------------------------------------------------------------------------------------------------------

    def _rules(self, value: object) -> None:
        router = value if isinstance(value, dict) else {}
        draft = self.draft
        threshold = router.get("longContextThreshold") or _THRESHOLD
        if not isinstance(threshold, int):
            draft.left_out("Router.longContextThreshold", f"it is no number; {_THRESHOLD} is taken, as without it")
            threshold = _THRESHOLD
        self._rule(
            router, "image", {"image": "last-turn"}, {"image": "last-turn"},
            "there the picture is handed to an agent of that program, here the request goes to the model",
        )  # fmt: skip
        self._rule(
            router, "longContext", {"input-tokens-gt": threshold}, {"tokens": threshold + 1},
            "there also while the last reply's usage was above the threshold",
        )  # fmt: skip
        self._rule(
            router, "background", {"model-matches": "claude-*haiku*"}, {"model": "claude-haiku-4-5"},
            "there only for models that begin with claude-3-5-haiku; here for any haiku",
        )  # fmt: skip
        self._rule(
            router, "think", {"thinking": True}, {"thinking": True},
            "there also where thinking is in the request and disabled. Claude Code has it on in nearly every request",
        )  # fmt: skip
        self._rule(
            router, "webSearch", {"web-search": True}, {"web-search": True},
            "a search that runs at the provider is refused (400) where it would have to be translated, unless "
            '[routing] on-loss = "allow"',
        )  # fmt: skip
        self._default(router)
        draft.unknown(router, _ROUTER_KEYS, "Router")
        draft.left_out("<CCR-SUBAGENT-MODEL>", "a tag in a prompt chooses no model here; see the condition subagent")
        draft.changed("/model provider,model", "is written provider:model here")

    def _rule(self, router: Values, name: str, match: Values, facts: Values, why: str) -> None:
        target = self._target(router, name)
        if target is None:
            return
        self.draft.rules.append({"name": name, "match": match, "target": target, **self._limit(target)})
        self.draft.changed(f"Router.{name}", f"goes to {target}: {why}")
        facts = {"client": "claude-code", "model": "claude-sonnet-4-5", "tools": 20, **facts}
        self.draft.tests.append(
            {"name": f"Router.{name}", "facts": facts, "expect-rule": name, "expect-target": target}
        )

    def _default(self, router: Values) -> None:
        target = self._target(router, "default")
        if target is None:
            if not router.get("default"):
                self.draft.left_out(
                    "Router.default", "there is none: what no rule takes goes where its model is listed"
                )
            return
        self.draft.default = {"target": target, **self._limit(target)}
        self.draft.carried("Router.default", f"[default] {target}")
        facts = {"client": "claude-code", "model": "claude-sonnet-4-5", "tools": 20}
        self.draft.tests.append({"name": "Router.default", "facts": facts, "expect-target": target})

    def _limit(self, target: str) -> Values:
        return {"set": {"max-tokens": self.limits[target]}} if target in self.limits else {}

    def _target(self, router: Values, name: str) -> str | None:
        """``provider,model`` as ours; None where it is left out, with a note."""
        value = router.get(name)
        if not value:
            return None
        provider, comma, model = str(value).partition(",")
        if not comma or not model:
            self.draft.left_out(f"Router.{name}", f'"{value}" isn\'t provider,model')
            return None
        if provider not in self.names:
            self.draft.left_out(f"Router.{name}", f"it names {provider}, which is none of the Providers")
            return None
        ours, models = self.names[provider]
        if models and model not in models:
            self.draft.changed(
                f"Router.{name}", f"{model} isn't among the models of {provider}; it is asked for all the same"
            )
        return f"{ours}/{model}"


def _with(credential: str | None) -> str:
    return f", key {credential}" if credential else ""


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
