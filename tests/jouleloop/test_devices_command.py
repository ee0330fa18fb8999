"""`jouleloop devices` lists every device, and shows one with every source."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import device_profiles
from jouleloop import cli
from jouleloop.errors import UnknownDeviceError

pytestmark = pytest.mark.pure

PROFILES = device_profiles.load_all()


def run(*arguments: str) -> str:
    result = CliRunner().invoke(cli.app, ["devices", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_list_has_a_row_for_each_device_and_cuts_nothing() -> None:
    rows = {line.split()[0]: line.split() for line in run().splitlines() if line.strip()}
    assert set(PROFILES) <= set(rows)
    assert "…" not in run()
    assert rows["mps2-an386"][-1] == "nucleo-l4r5zi"
    # id, core, clock, flash, RAM, active, sleep, radio, emulator, stands for
    assert " ".join(rows["nucleo-l4r5zi"]) == (
        "nucleo-l4r5zi cortex-m4f 120 MHz 2 MiB 640 KiB 42.9 mW 4.63 µW none - -"
    )
    assert " ".join(rows["raspberry-pi-5"]) == (
        "raspberry-pi-5 4x cortex-a76 2.4 GHz - - 4 W - wifi - -"
    )


def test_json_is_one_object_with_every_figure_and_its_source() -> None:
    records = json.loads(run("--json"))["devices"]
    assert [record["id"] for record in records] == list(PROFILES)
    for record in records:
        assert record == json.loads(json.dumps(PROFILES[record["id"]].as_record()))
        assert all(figure["source"] and figure["unit"] for figure in record["figures"].values())


def test_json_of_one_device_has_the_same_form() -> None:
    whole = {record["id"]: record for record in json.loads(run("--json"))["devices"]}
    assert json.loads(run("rp2040", "--json")) == {"devices": [whole["rp2040"]]}


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_details_name_every_source_and_what_is_not_known(
    profile: device_profiles.DeviceProfile,
) -> None:
    text = run(profile.id)
    for figure in profile.figures.values():
        assert figure.source in text
        assert figure.condition in text
    for memory in profile.memories:
        assert memory.source in text
    unknown = text.splitlines()[-1].removeprefix("not known: ").split(", ")
    assert set(unknown) | set(profile.figures) == set(device_profiles.FIGURES)
    assert profile.no_native_reason in text
    if profile.silicon() is None:
        assert "stands for: nothing" in text


def test_an_unknown_device_names_the_nearest() -> None:
    with pytest.raises(UnknownDeviceError) as caught:
        run("nucleo-l4r5")
    assert caught.value.nearest[0] == "nucleo-l4r5zi"
