"""The report says what the result says, and stands alone."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from hil_tests.plots import draw_decisions, draw_energy, draw_sizes
from hil_tests.report import write_report
from hil_tests.result import write_result
from tests.hil_tests.examples import LABELS, a_bundle, a_result

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.pure


def test_report_loads_nothing_from_outside(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, a_bundle(), (a_result(),))
    page = path.read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)\s*=\s*["'](https?:)?//""", page)
    assert page.count("<svg") == 3


def test_report_states_interval_kind_source_and_absence(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, a_bundle(), (a_result(),))
    page = path.read_text(encoding="utf-8")
    assert "2.9 µJ to 4.71 µJ" in page
    assert "Kind: modelled. Source: a test." in page
    assert "radio_joules is absent: mps2-an386 has no figure radio.tx_w" in page


def test_report_says_whether_two_targets_agree(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, a_bundle(), (a_result(), a_result(target="local")))
    assert "All 12 decisions are equal" in path.read_text(encoding="utf-8")
    write_report(path, a_bundle(), (a_result(), a_result(target="local", decisions=(3,) * 6)))
    assert "10 of 12 decisions differ" in path.read_text(encoding="utf-8")


def test_report_of_an_interrupted_run_says_so(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, a_bundle(), (a_result(complete=False),))
    assert "1 of 2 scenarios finished" in path.read_text(encoding="utf-8")


def test_report_escapes_what_it_did_not_write(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    metric = {"name": "<script>", "value": 1.0, "kind": "modelled", "source": "<b>"}
    write_report(path, a_bundle(), (a_result(),), [metric])
    assert "<script>" not in path.read_text(encoding="utf-8")


def test_plots_are_reproducible_and_leave_out_what_is_unknown() -> None:
    result = a_result()
    assert draw_decisions(result) == draw_decisions(result)
    assert all(label in draw_decisions(result) for label in LABELS)
    without = a_result(measures=())
    assert draw_energy(without) is None
    assert draw_sizes(without) is None


def test_result_is_old_or_new_never_half(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_result(a_result(complete=False), path)
    broken = a_result(seed=float("nan"))
    with pytest.raises(ValueError, match="JSON"):
        write_result(broken, path)
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["complete"] is False
    assert len(record["scenarios"]) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]
