"""`jouleloop train planner --report` writes one self-contained page with every line on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.train.planner.tiny import TINY
from train.planner.report import FIGURES, PAGE, study_one, write_report
from train.planner.verdicts import LINES

pytestmark = pytest.mark.train


def test_the_page_shows_every_line_and_needs_nothing_else(tmp_path: Path) -> None:
    # Studied here first: the pool then finds it, as it finds what an interrupted run left.
    record = study_one(tmp_path, TINY, baselines=True)
    verdicts = write_report(
        tmp_path, TINY, 1, device=lambda checkpoint: {"feasible": float(checkpoint.is_dir())}
    )
    page = (tmp_path / PAGE).read_text(encoding="utf-8")
    for verdict in verdicts:
        assert verdict.line.what in page
        assert verdict.measured.split(" (")[0] in page
    assert page.count("<svg") == 3
    assert not any(word in page for word in ("src=", 'href="http', "<script", "@import"))
    figures = json.loads((tmp_path / FIGURES).read_text(encoding="utf-8"))
    assert [line["what"] for line in figures["lines"]] == [line.what for line in LINES]
    assert set(record["samplers"]) >= {
        "noise prediction, 10 steps",
        "hybrid physics loss, 10 steps",
        "INT8, 10 steps",
    }
    # A planner that learned nothing is still feasible: that is what projection is for.
    reached = {verdict.line.what: verdict.reached for verdict in verdicts}
    assert reached["feasible plans, projected at the end, 10 steps, float32"]
    assert reached["feasible plans, INT8 denoiser, projected at the end"]
    assert reached["feasible plans, INT8 on the emulated Cortex-M4F"]
    assert reached["std ratio, 10 steps"] is False
