"""LiteLLM's proxy ``config.yaml``: every name of ``model_list`` becomes an alias, several of one name its targets.

A request names one of these; the strategy chooses among those of that name, failures go to the fallbacks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from router.errors import ConfigError
from router.importing.draft import Draft, Values
from router.importing.services import Services
from router.importing.yaml_text import load
from router.providers.provider import Provider
from router.wire.request import Api

ENVIRONMENT: Final = "os.environ/"

# The first part of a model there, and the provider here; those of one name aren't listed.
_PREFIXES: Final[Mapping[str, str]] = {
    "azure": "azure-openai", "bedrock": "bedrock", "cohere_chat": "cohere", "dashscope": "alibaba",
    "fireworks_ai": "fireworks", "github": "github-models", "github_copilot": "github-copilot", "hosted_vllm": "vllm",
    "litellm_proxy": "litellm", "lm_studio": "lmstudio", "nvidia_nim": "nvidia", "ollama_chat": "ollama",
    "together_ai": "together", "vercel_ai_gateway": "vercel-gateway", "vertex_ai": "google-vertex",
}  # fmt: skip
_BARE: Final = (
    ("claude-", "anthropic"), ("gpt-", "openai"), ("chatgpt-", "openai"), ("o1", "openai"), ("o3", "openai"),
    ("o4", "openai"), ("deepseek-", "deepseek"),
)  # fmt: skip
_FORMATS: Final[Mapping[str, Api]] = {"anthropic": "anthropic-messages", "gemini": "gemini"}

_STRATEGIES: Final[Mapping[str, tuple[str, str]]] = {
    "simple-shuffle": ("weighted", ""),
    "cost-based-routing": ("lowest-cost", "it also looks at what is in whose prompt cache"),
    "latency-based-routing": ("adaptive", "it looks at failures and speed, too"),
    "least-busy": ("adaptive", "it goes by measured times, not by requests under way"),
    "usage-based-routing": ("weighted", "tokens and requests of the minute aren't counted"),
    "usage-based-routing-v2": ("weighted", "tokens and requests of the minute aren't counted"),
}
_SET: Final = {
    "temperature": "temperature", "top_p": "top-p", "top_k": "top-k", "max_tokens": "max-tokens",
    "max_completion_tokens": "max-tokens", "stop": "stop",
}  # fmt: skip
_PARAMS: Final = {"model", "api_base", "base_url", "api_key", "rpm", "tpm", "weight", "order", "api_version", *_SET}
_PRICES: Final = {
    "input_cost_per_token": "input", "output_cost_per_token": "output", "cache_read_input_token_cost": "cache-read",
    "cache_creation_input_token_cost": "cache-write",
}  # fmt: skip
_MODES: Final = ("chat", "completion", "responses")
_LISTS: Final = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")
_RETRYING: Final = {"num_retries", "timeout", "request_timeout", "allowed_fails", "cooldown_time"}
_ROUTER_KEYS: Final = {"routing_strategy", "model_group_alias", "default_fallbacks", *_LISTS, *_RETRYING}
_LITELLM_KEYS: Final = {"default_fallbacks", "drop_params", *_LISTS, *_RETRYING}


@dataclass(frozen=True, slots=True)
class Deployment:
    """One entry of ``model_list``: where it goes, how often, in which row, and what it sets."""

    model: str  # as it is written there
    target: str
    weight: float | None = None
    order: int = 1
    sets: Mapping[str, Any] = field(default_factory=dict)


def read(text: str, catalog: Mapping[str, Provider]) -> Draft:
    """The profile that a ``config.yaml`` comes to. Raises ConfigError for a file that isn't one."""
    config = load(text)
    if not isinstance(config.get("model_list"), list):
        raise ConfigError("this is no config.yaml of LiteLLM: it has no model_list")
    reader = Models(Draft("LiteLLM"), catalog)
    reader.read(config)
    reader.write_aliases(pin=True)
    return reader.draft


class Models:
    """``config.yaml`` while it is read; ``groups`` are the deployments by the name that clients ask for."""

    def __init__(self, draft: Draft, catalog: Mapping[str, Provider]) -> None:
        self.draft = draft
        self.services = Services(draft, catalog)
        self.groups: dict[str, list[Deployment]] = {}
        self.fallbacks: dict[str, list[str]] = {}
        self.default_fallbacks: list[str] = []
        self.strategy = "weighted"

    def read(self, config: Values) -> None:
        """All but the aliases, which ``write_aliases`` makes of it."""
        for number, entry in enumerate(config["model_list"]):
            self._deployment(entry, f"model_list[{number}]")
        router, litellm = _table(config, "router_settings"), _table(config, "litellm_settings")
        self._strategy(router)
        for where, settings in (("litellm_settings", litellm), ("router_settings", router)):
            self._fallbacks(settings, where)
        self._retries(litellm | router)
        self._group_aliases(router)
        if litellm.get("drop_params"):
            self.draft.changed(
                "litellm_settings.drop_params",
                'hints are always dropped; what changes the meaning is refused, unless [routing] on-loss = "allow"',
            )
        self.draft.unknown(router, _ROUTER_KEYS, "router_settings")
        self.draft.unknown(litellm, _LITELLM_KEYS, "litellm_settings")
        general = _table(config, "general_settings")
        if key := general.get("master_key"):
            self.draft.settings["auth"] = {"keys": "required", "key": self.credential("master", str(key))}
            self.draft.carried("general_settings.master_key", "[auth] key: clients send it as they did")
        self.draft.unknown(general, {"master_key"}, "general_settings")
        self.draft.unknown(config, {"model_list", "router_settings", "litellm_settings", "general_settings"})

    def credential(self, name: str, key: str) -> str:
        """A key's reference."""
        if key.startswith(ENVIRONMENT):
            return f"env:{key.removeprefix(ENVIRONMENT)}"
        return self.draft.secret(name, key)

    def resolve(self, name: str) -> list[str]:
        """The targets that a name stands for, in ``model_list`` or by its pattern for everything."""
        if name in self.groups:
            return [each.target for each in sorted(self.groups[name], key=lambda each: each.order)]
        return [f"{self.draft.default['to']}/{name}"] if self.draft.default is not None else []

    # --- model_list ---------------------------------------------------------------------------------------------------

    def _deployment(self, entry: object, where: str) -> None:
        name = entry.get("model_name") if isinstance(entry, dict) else None
        params = entry.get("litellm_params") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not isinstance(params, dict) or not isinstance(params.get("model"), str):
            self.draft.left_out(where, "it lacks model_name or litellm_params.model")
            return
        assert isinstance(entry, dict)
        where = f"{where} {name}"
        info = _table(entry, "model_info")
        if info.get("mode", "chat") not in _MODES:
            self.draft.left_out(where, f"rules route conversations; {info['mode']} goes by [routing] other-to")
            return
        self.draft.unknown(params, _PARAMS | set(_PRICES), where)
        self.draft.unknown(info, {"mode", "id", *_PRICES}, f"{where}.model_info")
        self.draft.unknown(entry, {"model_name", "litellm_params", "model_info", "rpm", "tpm"}, where)
        if "*" in name:
            self._wildcard(name, params, where)
            return
        target = self._target(params["model"], params)
        if target is None:
            self.draft.left_out(where, f"{params['model']} names no provider that the router knows")
            return
        if "/" not in target:
            self.draft.left_out(where, target)
            return
        self._prices(target, {**info, **params})
        limits = {key: params.get(key, entry.get(key)) for key in ("weight", "rpm", "tpm")}
        weight = next((float(value) for value in limits.values() if isinstance(value, int | float) and value > 0), None)
        order = params.get("order")
        sets = {ours: params[key] for key, ours in _SET.items() if params.get(key) is not None}
        deployment = Deployment(params["model"], target, weight, order if isinstance(order, int) else 1, sets)
        self.groups.setdefault(name, []).append(deployment)
        self.draft.carried(where, target)
        if limits["rpm"] is not None or limits["tpm"] is not None:
            self.draft.changed(f"{where} rpm, tpm", "they weigh the targets of one name; no limit is kept")
        if params.get("api_version"):
            self.draft.left_out(f"{where} api_version", "the router speaks Azure's v1 API, which has none")

    def _target(self, model: str, params: Values) -> str | None:
        """``provider/model`` as ours; None where no provider is known; else a sentence why it can't be."""
        prefix, slash, rest = model.partition("/")
        provider = _PREFIXES.get(prefix, prefix) if slash else None
        if provider is not None and self.services.known(provider) is None:
            provider = None
        if provider is None:
            rest = model
            provider = next((ours for begin, ours in _BARE if model.startswith(begin)), None)
        if provider is None:
            return None
        key = params.get("api_key")
        credential = self.credential(provider, str(key)) if key else None
        base = params.get("api_base") or params.get("base_url")
        if base is None:
            return f"{self.services.named(provider, credential)}/{rest}"
        if str(base).startswith(ENVIRONMENT):
            variable = str(base).removeprefix(ENVIRONMENT)
            return f"its address is in the variable {variable}: write [providers.NAME] with base-url yourself"
        return f"{self._at(provider, str(base), credential)}/{rest}"

    def _at(self, provider: str, base: str, credential: str | None) -> str:
        host = urlsplit(base).hostname or provider
        known = self.services.known(provider)
        if provider == "azure-openai" and known is not None:
            base = f"https://{host}/openai/v1"
            usual = credential or f"env:{known.key_variables[0]}"
            return self.services.own(host.partition(".")[0], list(known.formats), base, usual, auth="api-key")
        if credential is None and known is not None and known.credentials:
            credential = f"env:{known.key_variables[0]}" if known.key_variables else None
        return self.services.at(f"{provider}-{host}", base, credential, api=_FORMATS.get(provider, "openai-chat"))

    def _wildcard(self, name: str, params: Values, where: str) -> None:
        """``claude-*`` for ``anthropic/claude-*`` keeps the model; a name with the provider in it would have to lose
        that part."""
        target = self._target(params["model"], params)
        provider, _, pattern = (target or "").partition("/")
        if not pattern or pattern != name:
            hint = f"; clients write {provider}:MODEL here" if pattern else ""
            self.draft.left_out(where, f"a pattern can't change the name that is asked for{hint}")
        elif name == "*":
            self.draft.default = {"to": provider}
            self.draft.carried(where, f"[default] to {provider}")
        else:
            self.draft.rules.append({"match": {"model-matches": name}, "to": provider})
            self.draft.carried(where, f"a rule for {name} to {provider}")

    def _prices(self, target: str, values: Values) -> None:
        prices = {ours: values[key] for key, ours in _PRICES.items() if isinstance(values.get(key), int | float)}
        if {"input", "output"} <= prices.keys():
            self.draft.prices[target] = {name: round(float(price) * 1_000_000, 9) for name, price in prices.items()}

    # --- settings -----------------------------------------------------------------------------------------------------

    def _strategy(self, router: Values) -> None:
        there = str(router.get("routing_strategy") or "simple-shuffle")
        if there not in _STRATEGIES:
            self.draft.left_out("router_settings.routing_strategy", f"{there} is unknown; weighted is taken")
            return
        self.strategy, differs = _STRATEGIES[there]
        if "routing_strategy" in router:
            tell = self.draft.changed if differs else self.draft.carried
            tell("router_settings.routing_strategy", f"{self.strategy}{f': {differs}' if differs else ''}")

    def _fallbacks(self, settings: Values, where: str) -> None:
        for name in _LISTS:
            for entry in _listed(settings.get(name)):
                for group, others in (entry if isinstance(entry, dict) else {}).items():
                    names = [str(other) for other in _listed(others) if isinstance(other, str)]
                    (self.default_fallbacks if group == "*" else self.fallbacks.setdefault(group, [])).extend(names)
            if settings.get(name):
                self._tell_of_fallbacks(name, where)
        if settings.get("default_fallbacks"):
            self.default_fallbacks += [str(each) for each in _listed(settings["default_fallbacks"])]
            self.draft.carried(f"{where}.default_fallbacks", "behind the fallbacks of each alias")

    def _tell_of_fallbacks(self, name: str, where: str) -> None:
        if name == "fallbacks":
            self.draft.carried(f"{where}.{name}", "fallback of the aliases")
        elif name == "context_window_fallbacks":
            self.draft.changed(f"{where}.{name}", "fallback of the aliases: also after other failures")
        else:
            self.draft.settings.setdefault("retry", {})["on-content-filter"] = "next"
            self.draft.changed(f"{where}.{name}", "[retry] on-content-filter, and fallback of the aliases")

    def _retries(self, settings: Values) -> None:
        retries, fails = settings.get("num_retries"), settings.get("allowed_fails")
        if isinstance(retries, int) and 0 <= retries < 20:
            longest = max((len(group) for group in self.groups.values()), default=1) + len(self.default_fallbacks)
            self.draft.settings.setdefault("retry", {}).update(
                {"attempts": retries + 1, "total": min(100, (retries + 1) * (longest + 1))}
            )
            self.draft.changed("num_retries", "[retry]: only for failures that may pass, and never after a time-out")
        timeout = settings.get("timeout", settings.get("request_timeout"))
        if isinstance(timeout, int | float) and timeout > 0:
            self.draft.settings["timeouts"] = {"whole": f"{timeout:g}s"}
            self.draft.changed("timeout", "[timeouts] whole: of replies that aren't streamed")
        breaker: Values = {}
        if isinstance(fails, int) and fails >= 0:
            breaker["failures"] = fails + 1
            self.draft.changed("allowed_fails", "[breaker] failures: in a minute, and only if half of the calls failed")
        cooldown = settings.get("cooldown_time")
        if isinstance(cooldown, int | float) and cooldown > 0:
            breaker["cooldown"] = f"{cooldown:g}s"
            self.draft.carried("cooldown_time", "[breaker] cooldown")
        if breaker:
            self.draft.settings["breaker"] = breaker

    def _group_aliases(self, router: Values) -> None:
        for name, value in _table(router, "model_group_alias").items():
            group = value.get("model") if isinstance(value, dict) else value
            where = f"router_settings.model_group_alias.{name}"
            if group not in self.groups:
                self.draft.left_out(where, f"{group} isn't in model_list")
                continue
            self.groups[str(name)] = self.groups[group]
            self.fallbacks.setdefault(str(name), self.fallbacks.get(str(group), []))
            self.draft.carried(where, f"the alias {name}, as {group}")

    # --- aliases ------------------------------------------------------------------------------------------------------

    def write_aliases(self, *, pin: bool) -> None:
        """An alias for each name, and a test of each that has one target."""
        for name, group in self.groups.items():
            self.draft.aliases[name] = self.targets(name, group) | ({"pin": True} if pin else {})
            if len(group) == 1:
                test = {"name": f"model_list {name}", "facts": {"model": name}, "expect-target": group[0].target}
                self.draft.tests.append(test)
        for group_name in self.fallbacks.keys() - self.groups.keys():
            self.draft.left_out(f"fallbacks of {group_name}", "it isn't in model_list")
        if self.draft.default is None:
            self.draft.changed(
                "model_list", "a model that isn't in it goes where its price list has it, there it is refused"
            )

    def targets(self, name: str, group: list[Deployment]) -> Values:
        """What a rule or an alias says to go to these deployments and their fallbacks."""
        first = min(deployment.order for deployment in group)
        chosen = [deployment for deployment in group if deployment.order == first]
        later = sorted((deployment for deployment in group if deployment.order != first), key=lambda each: each.order)
        behind = [each.target for each in later]
        for other in (*self.fallbacks.get(name, ()), *self.default_fallbacks):
            found = self.resolve(other) if other != name else []
            if not found and other != name:
                self.draft.left_out(f"fallback {other} of {name}", "it isn't in model_list")
            behind += found
        values: Values = {"target": chosen[0].target}
        if len(chosen) > 1:
            weighs = self.strategy == "weighted"
            values = {"targets": [_weighed(each, weighs) for each in chosen], "strategy": self.strategy}
        fallback = [each for each in dict.fromkeys(behind) if each not in {one.target for one in chosen}]
        values |= {"fallback": fallback} if fallback else {}
        sets = [dict(each.sets) for each in group]
        if all(each == sets[0] for each in sets):
            values |= {"set": sets[0]} if sets[0] else {}
        else:
            self.draft.left_out(
                f"parameters of {name}", "they differ between its deployments; `set` is for all of them"
            )
        return values


def _weighed(deployment: Deployment, weighs: bool) -> str | Values:
    if not weighs or deployment.weight is None:
        return deployment.target
    return {"target": deployment.target, "weight": deployment.weight}


def _table(values: Values, name: str) -> Values:
    found = values.get(name)
    return found if isinstance(found, dict) else {}


def _listed(value: object) -> Iterable[Any]:
    return value if isinstance(value, list) else ()
