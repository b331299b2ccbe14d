"""Large matrices and properties: a sample of their cases in the fast run, all of them in the full one."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, settings

from tests.support import again

MANY = 3  # cases of a test; of more, the fast run takes every second, third, …

# A busy machine is no failure.
for name, examples in (("few", 8), ("many", 200)):
    settings.register_profile(name, max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def pytest_addoption(parser: pytest.Parser) -> None:
    """The largest matrices have more cases than anybody wants to wait for every time."""
    parser.addoption("--exhaustive", action="store_true", help="try every case of the largest matrices: minutes")


def pytest_configure(config: pytest.Config) -> None:
    """What was only too slow is tried again; properties are tried with few examples where slow tests are left out."""
    config.pluginmanager.register(again)
    settings.load_profile("few" if "not slow" in config.option.markexpr else "many")


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all but every nth case of a test with ``sampled(n)`` as slow; of any other with many cases all but some."""
    cases = Counter(_test(item) for item in items)
    seen = Counter[str]()
    for item in items:
        test = _test(item)
        marker = item.get_closest_marker("sampled")
        step = marker.args[0] if marker is not None else -(-cases[test] // MANY)
        if seen[test] % step:
            item.add_marker(pytest.mark.slow)
        seen[test] += 1


def _test(item: pytest.Item) -> str:
    return item.nodeid.partition("[")[0]
