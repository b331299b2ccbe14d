"""Recorded traffic as parameters: a test that names one of the fixtures below runs once for every such case."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CASES = sorted((Path(__file__).parents[1] / "data" / "wire" / "cases").glob("*.json"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    wanted: dict[str, Callable[[dict[str, Any]], object]] = {
        "recorded_request": lambda case: case["request"] is not None,
        "recorded_stream": lambda case: "event-stream" in (case["response"]["content_type"] or ""),
        "recorded_reply": lambda case: not isinstance(case["response"]["body"], str),
        "recorded_usage": lambda case: (
            isinstance(body := case["response"]["body"], dict) and (body.get("usage") or body.get("usageMetadata"))
        ),
    }
    for name, belongs in wanted.items():
        if name in metafunc.fixturenames:
            cases = [case for case in map(_load, CASES) if belongs(case)]
            metafunc.parametrize(name, [pytest.param(case, id=case["id"]) for case in cases])


def _load(path: Path) -> dict[str, Any]:
    case: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return case
