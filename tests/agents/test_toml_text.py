"""Keys of a TOML file, comments and order kept."""

from __future__ import annotations

import tomllib

import pytest

from router.agents import toml_text
from router.agents.form_error import FormError

TEXT = '# mine\nmodel = "x" # best\n\n[model_providers.lab]\nbase_url = "http://lab"\n\n[tools]\nweb = true\n'


def test_keys_are_set_and_removed_and_the_rest_stays() -> None:
    changed = toml_text.set_value(TEXT, ("model_provider",), "router")
    changed = toml_text.set_value(changed, ("model_providers", "router", "base_url"), "http://x")
    changed = toml_text.set_value(changed, ("model_providers", "router", "retries"), 2)
    read = tomllib.loads(changed)
    assert read["model_provider"] == "router"
    assert read["model_providers"]["router"] == {"base_url": "http://x", "retries": 2}
    assert [line for line in TEXT.splitlines() if line not in changed.splitlines()] == []
    for path in (("model_providers", "router"), ("model_provider",), ("not", "there")):
        changed = toml_text.remove(changed, path)
    assert tomllib.loads(changed) == tomllib.loads(TEXT)


def test_tables_are_made_in_an_empty_file() -> None:
    changed = toml_text.set_value("", ("a", "b", "c"), 1)
    assert tomllib.loads(changed) == {"a": {"b": {"c": 1}}}


def test_what_is_no_toml_is_refused_with_its_line() -> None:
    for change in (toml_text.parse, lambda text: toml_text.set_value(text, ("a",), 1)):
        with pytest.raises(FormError) as caught:
            change("a = 1\nb = \n")
        assert caught.value.line == 2
    with pytest.raises(FormError, match='expected a table under "a"'):
        toml_text.set_value("a = 1", ("a", "b"), 1)
