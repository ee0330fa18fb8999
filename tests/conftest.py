"""What every test run holds to: one tier per test, no hidden skip in CI, no program left behind."""

from __future__ import annotations

import os
import signal
import tempfile
import uuid
from typing import TYPE_CHECKING

import hypothesis
import pytest

from edge_runtime.key_folder import default_folder, write_signing_key
from tests.keys import KEY
from tests.processes import programs_with

if TYPE_CHECKING:
    from collections.abc import Generator

TIERS = frozenset({"pure", "host_c", "qemu", "broker", "browser", "train"})
# Absent external test data is the one thing that the set-up cannot mend (tests/shared_data.py).
ALLOWED_SKIP = "shared data"

SESSION_VARIABLE = "JOULELOOP_TEST_SESSION"
CONFIGURATION = pytest.StashKey[tempfile.TemporaryDirectory[str]]()

# A worker holds some 500 MB, and makes what a session shares for itself.
MOST_WORKERS = 4

# The default run is the same every time; `--all` looks further, on fresh examples. Time is no
# criterion on a shared machine.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.register_profile("explore", max_examples=500, deadline=None, print_blob=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="slow tests too, and fresh examples")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A worker for each processor, but none where somebody names tests: those want no start-up."""
    names_tests = config.args_source is pytest.Config.ArgsSource.ARGS
    return 0 if names_tests else min(len(os.sched_getaffinity(0)), MOST_WORKERS)


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.load_profile("explore" if config.getoption("--all") else "repeatable")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--all") and "slow" not in config.getoption("-m"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    refuse_skip_in_ci(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    refuse_skip_in_ci(report)
    require_one_tier(report)
    return report


def require_one_tier(report: pytest.CollectReport) -> None:
    """Stop the run where a test has no tier, or two: `-m pure` must mean what it says."""
    wrong = []
    for item in report.result or ():
        if isinstance(item, pytest.DoctestItem):
            item.add_marker("pure")
        tiers = TIERS & {marker.name for marker in item.iter_markers()}
        if isinstance(item, pytest.Item) and len(tiers) != 1:
            wrong.append(f"  {item.nodeid}: {', '.join(sorted(tiers)) or 'none'}")
    if wrong:
        # An error of the collection, for that is what a worker passes on.
        report.outcome = "failed"
        report.longrepr = (
            f"every test has exactly one tier of {', '.join(sorted(TIERS))}; set `pytestmark` "
            "at the top of its module:\n" + "\n".join(wrong)
        )


def refuse_skip_in_ci(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In CI a skip is a failure: `make setup` installed all that a test may ask for."""
    expected_failure = hasattr(report, "wasxfail")
    if not os.environ.get("CI") or report.outcome != "skipped" or expected_failure:
        return
    place, line, reason = report.longrepr if isinstance(report.longrepr, tuple) else ("", 0, "")
    reason = str(reason).removeprefix("Skipped: ")
    if not reason.startswith(ALLOWED_SKIP):
        report.outcome = "failed"
        report.longrepr = f"{place}:{line}: skipped in CI, where nothing may be missing: {reason}"


def pytest_sessionstart(session: pytest.Session) -> None:
    # A run that a shell put in the background ignores SIGINT, and every program that it starts
    # would inherit that; what the tests interrupt must be interruptible.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if is_worker(session):
        return  # what follows it inherits
    # Every program that a test starts inherits this, by which it is found again.
    os.environ[SESSION_VARIABLE] = str(uuid.uuid4())
    # Nor does a test see or touch this user's keys. Every run has the same one, so that firmware,
    # which carries it, is built once.
    session.config.stash[CONFIGURATION] = tempfile.TemporaryDirectory(prefix="jouleloop-tests-")
    os.environ["XDG_CONFIG_HOME"] = session.config.stash[CONFIGURATION].name
    default_folder().mkdir(parents=True)
    write_signing_key(default_folder() / "key-1.pem", KEY)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run that leaves a program behind. Not a fixture: an xfail would swallow that."""
    if is_worker(session):
        return  # a worker's exit status says nothing; the controller looks when all have ended
    session.config.stash[CONFIGURATION].cleanup()
    tag = f"{SESSION_VARIABLE}={os.environ[SESSION_VARIABLE]}"
    survivors = programs_with(tag, names=("qemu-system-arm", "mosquitto", "chromium"))
    for pid, name in survivors.items():
        os.kill(pid, signal.SIGKILL)
        session.config.get_terminal_writer().line(
            f"\ntests left {name} running (process {pid}, killed now)", red=True
        )
    if survivors:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def is_worker(session: pytest.Session) -> bool:
    """Whether this is one of several processes that share the tests of a run."""
    return hasattr(session.config, "workerinput")
