"""Recorded answers of this format as parameters: a test that names ``recorded_answer`` runs once for each."""

from __future__ import annotations

import pytest

from tests.support.recorded import cases


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "recorded_answer" in metafunc.fixturenames:
        answers = [
            case.raw
            for case in cases()
            if case.api == "openai-responses"
            and case.endpoint in ("responses", None)
            and case.raw["response"]["status"] == 200
            and not {"stop:queued", "mid-stream-error", "error"} & set(case.raw["kinds"])
        ]
        metafunc.parametrize("recorded_answer", [pytest.param(answer, id=answer["id"]) for answer in answers])
