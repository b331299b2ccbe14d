"""Large matrices: a sample of their cases in the fast run, all of them in the full one."""

from __future__ import annotations

from collections import Counter

import pytest


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all but every nth case of a test with ``sampled(n)`` as slow."""
    seen = Counter[str]()
    for item in items:
        if (marker := item.get_closest_marker("sampled")) is None:
            continue
        test = item.nodeid.partition("[")[0]
        if seen[test] % marker.args[0]:
            item.add_marker(pytest.mark.slow)
        seen[test] += 1
