"""A plugin for pytest: a test that failed for nothing but ``TooSlow`` is run again, up to twice.

Every try begins with the test's fixtures and has all its time; any other failure stands.

Not pytest-rerunfailures (16.7): in several processes it asks the first one about every test, which takes 40 ms each; it
runs a crash again whatever it is told; and its further tries know no time limit, because pytest-timeout has ended its
own when the first one failed.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest
from _pytest.runner import runtestprotocol

from tests.support.slow import TooSlow

TRIES = 3
_TRIES = pytest.StashKey[int]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """One try, and where it was too slow all of pytest's protocol once more, so that other plugins know of it."""
    tries = item.stash[_TRIES] = item.stash.get(_TRIES, 0) + 1
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    failed = [report for report in reports if report.failed]
    again = tries < TRIES and bool(failed) and all(report.too_slow for report in failed)
    for report in reports:
        if again and report.failed:
            report.outcome = "again"
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    if again:
        item.ihook.pytest_runtest_protocol(item=item, nextitem=nextitem)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    report.too_slow = call.excinfo is not None and isinstance(call.excinfo.value, TooSlow)
    return report


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    return ("again", "R", ("AGAIN", {"yellow": True})) if report.outcome == "again" else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was run again, and why: one that always is needs to be looked at."""
    for report in terminalreporter.getreports("again"):
        terminalreporter.write_line(f"AGAIN {report.nodeid} - {report.longrepr.reprcrash.message.splitlines()[0]}")
