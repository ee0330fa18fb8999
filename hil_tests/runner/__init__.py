"""Run a native module alone on an emulated core, with nothing else in its way."""

from hil_tests.runner.board import RunnerBoard, runner_board
from hil_tests.runner.run import ModuleRun, build_runner, prepare_run, run_module

__all__ = [
    "ModuleRun",
    "RunnerBoard",
    "build_runner",
    "prepare_run",
    "run_module",
    "runner_board",
]
