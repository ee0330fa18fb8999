"""The command line turns errors into exit codes and words, and standard output stays clean."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from jouleloop import cli, errors

pytestmark = pytest.mark.pure

SCRIPT = Path(sys.executable).with_name("jouleloop")


def run(
    *arguments: str, sabotage: str = "", folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the installed console script.

    Args:
        arguments: its command line.
        sabotage: Python code that runs in the process before the command does.
        folder: where that code is put.
    """
    environment = dict(os.environ)
    if folder is not None:
        (folder / "sitecustomize.py").write_text(textwrap.dedent(sabotage))
        environment["PYTHONPATH"] = str(folder)
    return subprocess.run(
        [str(SCRIPT), *arguments], capture_output=True, text=True, check=False, env=environment
    )


# The console script as it is installed.


def test_help_and_version_exit_0() -> None:
    assert run("--help").returncode == 0
    version = run("--version")
    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout.startswith("jouleloop ")


def test_no_command_prints_help_and_is_wrong_usage() -> None:
    bare = run()
    assert bare.returncode == 2
    assert "Usage: jouleloop" in bare.stdout + bare.stderr


@pytest.mark.parametrize(
    "arguments", [("--no-such",), ("no-such",), ("devices", "a", "b"), ("devices", "--jsn")]
)
def test_wrong_usage_exits_2_and_prints_nothing_on_stdout(arguments: tuple[str, ...]) -> None:
    wrong = run(*arguments)
    assert wrong.returncode == errors.EXIT_USAGE
    assert wrong.stdout == ""
    assert "Usage" in wrong.stderr


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_bad_input_exits_1_with_one_error_and_its_next_step(flags: tuple[str, ...]) -> None:
    bad = run("devices", "rp2O40", *flags)
    assert bad.returncode == errors.EXIT_USER
    assert bad.stdout == ""
    first, second = bad.stderr.splitlines()
    assert first == "jouleloop: error: no device profile is called 'rp2O40'"
    assert second.startswith("  the nearest is rp2040")


def test_a_bug_exits_70_with_its_traceback(tmp_path: Path) -> None:
    sabotage = """
        import device_profiles
        def broken(device): raise ZeroDivisionError("sabotage")
        device_profiles.load = broken
    """
    bug = run("devices", "rp2040", "--json", sabotage=sabotage, folder=tmp_path)
    assert bug.returncode == errors.EXIT_BUG
    assert bug.stdout == ""
    assert "ZeroDivisionError: sabotage" in bug.stderr
    assert bug.stderr.rstrip().endswith("this is a bug; please report the lines above")


def test_a_full_disk_is_no_bug(tmp_path: Path) -> None:
    sabotage = f"""
        import device_profiles
        def full(device): raise OSError({errno.ENOSPC}, "No space left on device", "out/a.json")
        device_profiles.load = full
    """
    full = run("devices", "rp2040", sabotage=sabotage, folder=tmp_path)
    assert full.returncode == errors.EXIT_USER
    assert full.stderr == "jouleloop: error: out/a.json: No space left on device\n"


def test_a_reader_that_goes_away_ends_the_command_quietly() -> None:
    process = subprocess.Popen(
        [str(SCRIPT), "devices"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait() == 1


def test_a_broken_pipe_to_a_device_is_said(tmp_path: Path) -> None:
    sabotage = f"""
        import device_profiles
        def gone(device): raise BrokenPipeError({errno.EPIPE}, "Broken pipe")
        device_profiles.load = gone
    """
    gone = run("devices", "rp2040", sabotage=sabotage, folder=tmp_path)
    assert gone.returncode == errors.EXIT_USER
    assert gone.stderr.startswith("jouleloop: error: the program or device at the other end")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_command_in_order(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    trace = tmp_path / "closed"
    (tmp_path / "sitecustomize.py").write_text(
        textwrap.dedent(
            f"""
            import pathlib, signal
            import device_profiles
            def wait(device):
                try:
                    print("here", flush=True)
                    signal.pause()
                finally:
                    pathlib.Path({str(trace)!r}).touch()
            device_profiles.load = wait
            """
        )
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(
        [str(SCRIPT), "devices", "rp2040"], stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        process.send_signal(number)
        assert process.wait() == code
    assert trace.exists()


def test_the_command_line_starts_without_the_heavy_packages() -> None:
    heavy = {"torch", "onnx", "onnxruntime", "matplotlib", "PV_ICE", "pandas", "ai_edge_litert"}
    code = f"import sys, jouleloop.cli; print(sorted({heavy!r} & set(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"


def test_devices_as_json_is_one_object_and_nothing_else() -> None:
    listing = run("devices", "--json")
    assert (listing.returncode, listing.stderr) == (0, "")
    assert len(json.loads(listing.stdout)["devices"]) >= 16


# The translation itself.


def raises(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InputError("bad"), 1),
        (errors.MissingToolError("gcc", "gcc", "sudo apt-get install gcc"), 1),
        (errors.PortInUseError("127.0.0.1", 1883), 1),
        (errors.DeviceRefusedError("no", code=5), 1),
        (errors.MixedEnergyError("mixed"), 1),
        (PermissionError(errno.EACCES, "Permission denied", "out"), 1),
        (KeyboardInterrupt(), 130),
        (RuntimeError("bug"), 70),
        (AssertionError("bug"), 70),
        (ValueError("bug"), 70),
        (MemoryError(), 70),
    ],
)
def test_exit_code_of_an_error(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
) -> None:
    monkeypatch.setattr(cli, "app", raises(error))
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as caught:
            cli.main()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught.value.code == code
    assert capsys.readouterr().out == ""


def test_over_budget_prints_its_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = errors.OverBudgetError(
        "flash: 9 000 B of [8 000] B",
        rows=(("weights", "6 000 B", "8 000 B"), ("code [dsp]", "3 000 B", "")),
        hint="choose a smaller model",
    )
    monkeypatch.setattr(cli, "app", raises(error))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit):
        cli.main()
    printed = capsys.readouterr().err
    for word in ("[8 000]", "weights", "6 000 B", "code [dsp]", "choose a smaller model"):
        assert word in printed


def test_unknown_device_names_the_nearest() -> None:
    known = ("mps2-an385", "mps2-an386", "rp2040", "stm32f405")
    error = errors.UnknownDeviceError("mps2-an368", known)
    assert error.nearest[:2] == ("mps2-an386", "mps2-an385")
    assert "mps2-an386" in error.hint
    assert "lists all 4" in error.hint
    far = errors.UnknownDeviceError("qqqq", known)
    assert far.nearest == ()
    assert "nearest" not in far.hint


def test_a_missing_figure_names_figure_file_and_purpose() -> None:
    error = errors.MissingFigureError(
        "power.sleep", Path("data") / "rp2040.toml", needed_for="the sleep floor"
    )
    assert error.message == "rp2040.toml has no figure power.sleep, which the sleep floor needs"
    assert str(Path("data") / "rp2040.toml") in error.hint


def test_every_error_of_the_tree_is_drawn_in_it() -> None:
    assert errors.__doc__ is not None
    classes = {errors.JouleloopError}
    while more := {sub for cls in classes for sub in cls.__subclasses__()} - classes:
        classes |= more
    missing = [cls.__name__ for cls in classes if cls.__name__ not in errors.__doc__]
    assert missing == []
    assert all(cls.__module__ == "jouleloop.errors" for cls in classes)
