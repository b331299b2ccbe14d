# ruff: noqa: E501  (tables read better with a case a line)

from __future__ import annotations

from collections.abc import Callable

import pytest

from router.profile.load import Loaded

Load = Callable[..., Loaded]

ALWAYS = '[[rule]]\nmatch = { always = true }\nto = "groq"\n'
TOOLS = '[[rule]]\nmatch = { tool-use = true }\nto = "groq"\n'


def warnings(loaded: Loaded) -> list[str]:
    assert loaded.errors == ()
    return [str(problem) for problem in loaded.warnings if "isn't active yet" not in problem.message]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(ALWAYS + TOOLS, ["4: rule[1]: is never chosen: rule[0] (line 1) takes every request before it"],
                     id="behind a rule for everything"),
        pytest.param('[[rule]]\nmatch = {}\nto = "groq"\n' + TOOLS, ["4: rule[1]: is never chosen"], id="an empty match"),
        pytest.param('[[rule]]\nmatch = "always"\nto = "groq"\n' + TOOLS, ["4: rule[1]: is never"], id="the short form"),
        pytest.param(TOOLS + ALWAYS, [], id="the rule for everything is last"),
        pytest.param(TOOLS + ALWAYS + "priority = 1\n", ["1: rule[0]: is never chosen: rule[1] (line 4)"], id="by priority"),
        pytest.param(ALWAYS + "priority = 1\n" + ALWAYS, [], id="two for everything are primary and fallback"),
        pytest.param("[routing]\nfallthrough = false\n" + ALWAYS + ALWAYS, ["6: rule[1]: is never chosen"],
                     id="unless rules don't fall through"),
        pytest.param('[routing]\nstrategy = "weighted"\n' + ALWAYS + TOOLS, [], id="another strategy may choose it"),
        pytest.param(ALWAYS + "enabled = false\n" + TOOLS, [], id="a rule that isn't used hides nothing"),
        pytest.param('[routing]\nrules = "off"\n' + ALWAYS + TOOLS, [], id="rules are off anyway"),
        pytest.param(ALWAYS + '[aliases]\nfast = "groq/x"\n',
                     ["5: aliases.fast: is never used: rule[0] (line 1) takes every request before it; add pin = true"],
                     id="an alias behind a rule for everything"),
        pytest.param(ALWAYS + '[aliases]\nfast = { target = "groq/x", pin = true }\n', [], id="a pinned one"),
        pytest.param(TOOLS + '[aliases]\nfast = "groq/x"\n', [], id="an alias behind another rule"),
        pytest.param('[profile]\nagent = "claude-cod"\n',
                     ['2: profile.agent: unknown agent "claude-cod"; did you mean "claude-code"?'], id="an unknown agent"),
        pytest.param('[default]\nto = "mistral"\n', ["2: default.to: no key for mistral: set MISTRAL_API_KEY"],
                     id="a provider without key"),
        pytest.param('[default]\nto = "groq"\nfallback = ["mistral/x"]\n', ["3: default.fallback[0]: no key for mistral"],
                     id="a fallback without key"),
        pytest.param('[default]\nto = "mistral"\nenabled = false\n', [], id="a provider that isn't used"),
        pytest.param('[default]\nto = "mistral"\n[providers.mistral]\napi-key = "passthrough"\n', [],
                     id="the client's own key"),
        pytest.param('[default]\nto = "mistral"\n[providers.mistral]\napi-keys = ["env:A1", "env:B2"]\n',
                     ["2: default.to: no key for mistral: set A1 or B2"], id="keys of one's own"),
        pytest.param('[default]\nto = "ollama"\n', [], id="a provider that needs no key"),
        pytest.param('[routing]\nother-to = "mistral"\n', ["2: routing.other-to: no key for mistral"], id="other-to"),
    ],
)  # fmt: skip
def test_what_is_warned_of(text: str, expected: list[str], load: Load) -> None:
    found = warnings(load(text))
    assert len(found) == len(expected)
    for line, start in zip(found, expected, strict=True):
        assert line.startswith(f"profiles/work/routing.toml:{start}")


def test_a_key_counts_from_the_environment_and_from_the_dotenv(load: Load) -> None:
    text = '[default]\nto = "mistral"\n'
    assert warnings(load(text, environ={"MISTRAL_API_KEY": "x"})) == []
    assert len(warnings(load(text, environ={"MISTRAL_API_KEY": ""}))) == 1
    assert warnings(load(text, {".env": "MISTRAL_API_KEY=x"})) == []


def test_the_first_place_is_told_once_for_each_provider(load: Load) -> None:
    text = TOOLS.replace("groq", "mistral") + '[default]\nto = "mistral"\nmodel = "x"\n'
    (found,) = warnings(load(text))
    assert ":3: rule[0].to: no key" in found


def test_unknown_models_are_warned_of_where_models_are_known(load: Load) -> None:
    def known(provider: str, model: str) -> bool | None:
        return None if provider == "groq" else model == "gpt-x"

    def models(text: str) -> list[str]:
        return warnings(load(text, known_model=known))

    assert models('[default]\ntarget = "openai/gpt-x"\n') == []
    assert models('[default]\ntarget = "groq/anything"\n') == []
    assert models('[default]\nto = "openai"\n') == []
    (found,) = models('[default]\nto = "openai"\nmodel = "gpt-y"\n')
    assert found.endswith('default.to: unknown model "gpt-y" at openai; its price is unknown')
    assert models('[default]\ntarget = "openai/gpt-y"\n[prices."openai/gpt-y"]\ninput = 1\noutput = 1\n') == []
    assert models('[default]\ntarget = "openai/gpt-y"\n[models."openai/gpt-y"]\ncontext = 1000\n') == []
    assert models('[default]\ntarget = "openai/gpt-y"\n[providers.openai]\nmodels = ["gpt-y"]\n') == []


def test_an_address_with_holes_is_warned_of(load: Load) -> None:
    found = warnings(load('[default]\nto = "azure-openai"\n', environ={"AZURE_OPENAI_API_KEY": "x"}))
    assert any("set base-url in [providers.azure-openai]" in line for line in found)


def test_a_provider_that_only_a_concept_names_is_warned_of_there(load: Load) -> None:
    concept = "# Budget\nsynonyms:: cheap\nroute:: mistral, x\nroute:: mistral, y\n"
    assert warnings(load('[default]\nto = "groq"\n', {"concepts/budget.md": concept})) == [
        "profiles/work/concepts/budget.md:3: route:: no key for mistral: set MISTRAL_API_KEY"
    ]
