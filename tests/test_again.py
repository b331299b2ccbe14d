"""What is run again, and what isn't: pytest in a process of its own, on tests that fail in every way."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support import slow
from tests.support.slow import TooSlow, in_time, slowness, within

ROOT = Path(__file__).resolve().parent.parent
TESTS = """
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.slow import TooSlow

tries = Counter()


@pytest.fixture(autouse=True)
def nth(request, tmp_path):
    assert not list(tmp_path.iterdir()), "a try has what fixtures make for itself"
    (tmp_path / "used").touch()
    tries[request.node.name] += 1
    with (Path(__file__).parent / "tried").open("a") as file:
        file.write(request.node.name + "\\n")
    yield tries[request.node.name]


@pytest.fixture
def broken():
    yield
    raise ValueError("not for want of time")


def test_well(): pass

def test_slow_once(nth):
    if nth == 1:
        raise TooSlow("1 s")

def test_slow_twice(nth):
    if nth < 3:
        raise TooSlow("1 s")

def test_slow_always():
    raise TooSlow("1 s")

def test_wrong():
    assert 1 == 2, "TooSlow is only a word here"

def test_slow_and_then_wrong(nth):
    if nth == 1:
        raise TooSlow("1 s")
    assert nth == 1

def test_slow_and_broken(broken):
    raise TooSlow("1 s")

@pytest.mark.timeout(0.5)
def test_slow_and_then_hanging(nth):
    if nth == 1:
        raise TooSlow("1 s")
    time.sleep(30)
"""
TRIES = {
    "test_well": 1,
    "test_slow_once": 2,
    "test_slow_twice": 3,
    "test_slow_always": 3,
    "test_wrong": 1,
    "test_slow_and_then_wrong": 2,
    "test_slow_and_broken": 1,
    "test_slow_and_then_hanging": 2,
}
PASS = {"test_well", "test_slow_once", "test_slow_twice"}


@pytest.mark.slow
@pytest.mark.parametrize("processes", ["0", "1"], ids=["in one process", "beside others"])
def test_only_what_was_too_slow_is_run_again(processes: str, tmp_path: Path) -> None:
    (tmp_path / "test_them.py").write_text(TESTS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rA",
        "-n",
        processes,
        "-p",
        "tests.support.again",
        "test_them.py",
    ]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    ran = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert Counter((tmp_path / "tried").read_text().split()) == TRIES
    told = re.findall(r"^(PASSED|FAILED) test_them\.py::(\w+)", ran.stdout, re.MULTILINE)
    assert {test: word == "PASSED" for word, test in told} == {test: test in PASS for test in TRIES}, ran.stdout
    assert ran.stdout.count("AGAIN test_them.py::test_slow_twice - tests.support.slow.TooSlow: 1 s") == 2
    assert ran.returncode == 1


def test_a_limit_is_met_only_by_what_is_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow, "slowness", lambda: 1.0)
    in_time(0.99, 1.0)
    with pytest.raises(TooSlow, match=r"^1 s, and at most 1 s: the loop was held$"):
        in_time(1.0, 1.0, "the loop was held")
    times = iter([10.0, 10.99, 20.0, 21.5])
    with within(1.0, clock=times.__next__):
        pass
    with pytest.raises(TooSlow, match=r"^1\.5 s, and at most 1 s: a nap$"), within(1.0, "a nap", clock=times.__next__):
        pass


@pytest.mark.slow
@pytest.mark.parametrize(("work_s", "longer"), [(slow.WORK_S * 3, 3.0), (slow.WORK_S / 3, 1.0)])
def test_limits_are_longer_where_the_same_work_takes_longer(
    work_s: float, longer: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "thread_time", itertools.count(0, work_s).__next__)
    assert slowness() == pytest.approx(longer)
    in_time(longer - 0.01, 1.0)
    with pytest.raises(TooSlow):
        in_time(longer + 0.01, 1.0)
