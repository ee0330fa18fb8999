"""Which figures a profile may state: key -> unit and meaning. The unit stands in the key too."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FigureKey:
    """A question that a profile may answer.

    Args:
        unit: SI symbol.
        meaning: what the number says.
    """

    unit: str
    meaning: str


FIGURES = {
    "clock_hz": FigureKey("Hz", "core clock while it computes"),
    "power.active_w": FigureKey("W", "whole part while one core computes at `clock_hz`"),
    "power.idle_w": FigureKey("W", "booted and waiting, nothing suspended"),
    "power.sleep_w": FigureKey("W", "deepest state that keeps the RAM and a timer"),
    "power.off_w": FigureKey("W", "deepest state; RAM lost, the next wake is a boot"),
    "power.wake_s": FigureKey("s", "from the wake event in `power.sleep_w` to the code"),
    "boot.seconds": FigureKey("s", "from power on until a program of ours can run"),
    "boot.joules": FigureKey("J", "spent in `boot.seconds`"),
    "radio.tx_w": FigureKey("W", "drawn by the transmitter alone"),
    "radio.joules_per_message": FigureKey("J", "fixed cost of one message"),
    "radio.joules_per_byte": FigureKey("J/B", "added by each payload byte"),
    "radio.message_bytes": FigureKey("B", "largest payload of one message"),
    "flash.erase_s": FigureKey("s", "erasing one unit of `erase_bytes`"),
    "flash.write_s": FigureKey("s", "writing one unit of `write_bytes`"),
}
