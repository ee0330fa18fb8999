"""Which figures a profile may state: key -> unit and meaning. The unit stands in the key too."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FigureKey:
    """A question that a profile may answer.

    Args:
        unit: SI symbol.
        suffix: how the key ends, so that no one reads the number in another unit.
        meaning: what the number says.
    """

    unit: str
    suffix: str
    meaning: str


FIGURES = {
    "clock_hz": FigureKey("Hz", "_hz", "core clock while it computes"),
    "power.active_w": FigureKey("W", "_w", "whole part while one core computes at `clock_hz`"),
    "power.idle_w": FigureKey("W", "_w", "booted and waiting, nothing suspended"),
    "power.sleep_w": FigureKey("W", "_w", "deepest state that keeps the RAM and a timer"),
    "power.off_w": FigureKey("W", "_w", "deepest state; RAM lost, the next wake is a boot"),
    "power.wake_s": FigureKey("s", "_s", "from the wake event in `power.sleep_w` to the code"),
    "boot.seconds": FigureKey("s", ".seconds", "from power on until a program of ours can run"),
    "boot.joules": FigureKey("J", ".joules", "spent in `boot.seconds`"),
    "radio.tx_w": FigureKey("W", "_w", "drawn by the transmitter alone"),
    "radio.joules_per_message": FigureKey("J", "joules_per_message", "fixed cost of one message"),
    "radio.joules_per_byte": FigureKey("J/B", "joules_per_byte", "added by each payload byte"),
    "radio.message_bytes": FigureKey("B", "_bytes", "largest payload of one message"),
    "flash.erase_s": FigureKey("s", "_s", "erasing one unit of `erase_bytes`"),
    "flash.write_s": FigureKey("s", "_s", "writing one unit of `write_bytes`"),
}
