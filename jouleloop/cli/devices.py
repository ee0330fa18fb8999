"""`jouleloop devices`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from jouleloop.cli.output import JsonFlag, console, print_json, print_wide

if TYPE_CHECKING:
    from collections.abc import Iterator

    from device_profiles import DeviceProfile

SI_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))
BINARY_PREFIXES = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def devices(
    device: Annotated[
        str | None, typer.Argument(help="Show this device alone, with every source.")
    ] = None,
    json_output: JsonFlag = False,
) -> None:
    """List the devices that jouleloop knows, or show what is known of one.

    Every figure comes from a file under device_profiles/data and names its source there; an unknown
    one is absent, shown as a dash. An emulated board has no power of its own: where it stands for
    silicon with the same core, modelled joules use that part's figures.

    Example: jouleloop devices nucleo-l4r5zi
    """
    import device_profiles

    chosen = (
        list(device_profiles.load_all().values())
        if device is None
        else [device_profiles.load(device)]
    )
    if json_output:
        print_json({"devices": [profile.as_record() for profile in chosen]})
    elif device is None:
        print_wide(_list(chosen))
    else:
        for line in _details(chosen[0]):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _list(profiles: list[DeviceProfile]) -> Table:
    table = Table(
        *("device", "core", "clock", "flash", "RAM", "active", "sleep"),
        *("radio", "emulator", "stands for"),
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for profile in profiles:
        cores = f"{profile.cores}x " if profile.cores > 1 else ""
        table.add_row(
            profile.id,
            cores + profile.core.name,
            _amount(profile, "clock_hz"),
            size(profile.flash_bytes),
            size(profile.ram_bytes),
            _amount(profile, "power.active_w"),
            _amount(profile, "power.sleep_w"),
            profile.radio,
            "-" if profile.emulator is None else profile.emulator.machine,
            profile.stands_for or "-",
        )
    return table


def _details(profile: DeviceProfile) -> Iterator[str]:
    """Everything that the file states, as lines of text."""
    from device_profiles import FIGURES

    yield f"{profile.id}: {profile.name}"
    for label, fact in _facts(profile).items():
        yield f"  {label}: {fact}"
    yield "memories:"
    for memory in profile.memories:
        base = "" if memory.base is None else f" at {memory.base:#010x}"
        erase = "" if memory.erase_bytes is None else f", erase unit {size(memory.erase_bytes)}"
        write = "" if memory.write_bytes is None else f", write unit {size(memory.write_bytes)}"
        yield f"  {memory.name} ({memory.kind}): {size(memory.bytes)}{base}{erase}{write}"
        yield f"      source: {memory.source}"
    yield "figures:"
    for key, figure in profile.figures.items():
        low, high = (quantity(end, FIGURES[key].unit) for end in figure.interval)
        span = "" if low == high else f" ({low} to {high})"
        value = quantity(figure.value, FIGURES[key].unit)
        yield f"  {key}: {value}{span}, confidence {figure.confidence}"
        yield f"      {FIGURES[key].meaning}"
        if figure.condition:
            yield f"      condition: {figure.condition}"
        yield f"      source: {figure.source}"
    yield f"not known: {', '.join(key for key in FIGURES if not profile.has(key))}"


def _facts(profile: DeviceProfile) -> dict[str, str]:
    facts = {
        "core": f"{profile.cores} x {profile.core.name}",
        "kind": profile.kind,
        "radio": profile.radio,
        "images by": ", ".join(profile.flash_methods),
    }
    if profile.emulator is not None:
        port = "our firmware runs there" if profile.emulator.has_firmware else "no firmware port"
        facts["emulator"] = f"QEMU -M {profile.emulator.machine} ({port})"
    if profile.silicon() is None:
        facts["stands for"] = "nothing: instruction counts, no joules"
    elif profile.stands_for is not None:
        facts["stands for"] = f"{profile.stands_for}, whose power and clock count"
    if profile.no_native_reason:
        facts["no native module"] = profile.no_native_reason
    facts["file"] = str(profile.path)
    return facts


def _amount(profile: DeviceProfile, key: str) -> str:
    from device_profiles import FIGURES

    return quantity(profile.figures[key].value, FIGURES[key].unit) if profile.has(key) else "-"


def quantity(value: float, unit: str) -> str:
    """A value with three digits and an SI prefix, for people.

    >>> quantity(0.0429, "W"), quantity(120e6, "Hz"), quantity(31, "B"), quantity(0, "W")
    ('42.9 mW', '120 MHz', '31 B', '0 W')
    """
    # 999.6 rounds to 1000, which belongs to the next prefix.
    rounded = float(f"{value:.3g}")
    for factor, prefix in SI_PREFIXES:
        if rounded >= factor:
            return f"{rounded / factor:.4g} {prefix}{unit}"
    return f"{rounded:g} {unit}"


def size(count: int | None) -> str:
    """A number of bytes, for people; a dash when it is not known.

    >>> size(2**21), size(270336), size(31), size(None)
    ('2 MiB', '264 KiB', '31 B', '-')
    """
    if count is None:
        return "-"
    for factor, unit in BINARY_PREFIXES:
        if count >= factor:
            return f"{count / factor:.4g} {unit}"
    return f"{count} B"
