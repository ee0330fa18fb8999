"""What a microcontroller with our firmware says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_runtime.wire.smp import Clock


@dataclass(frozen=True)
class Parameters:
    """What a device can take.

    Args:
        buffer_bytes: its buffer: header and CBOR of a message, and 4 bytes of framing.
        buffers: how many it has.
    """

    buffer_bytes: int
    buffers: int


@dataclass(frozen=True)
class Board:
    """What a device says of the board that it is.

    Args:
        clock: what its ticks come from.
        clock_hz: how many there are in a second.
        is_read_only: it does not write its flash: it takes no uploads and keeps nothing over a
            restart but the model that was put there.
    """

    clock: Clock
    clock_hz: int
    is_read_only: bool


@dataclass(frozen=True)
class ImageState:
    """An image on a device.

    Args:
        image: 0 firmware, 1 model.
        slot: 0 or 1, of this image.
        version: as the device writes it.
        sha256: by which the image is named; None where the device does not know it.
        is_active: it runs, or serves.
        is_confirmed: it is to be kept.
        is_pending: it starts on trial at the next start.
    """

    image: int
    slot: int
    version: str
    sha256: bytes | None
    is_active: bool
    is_confirmed: bool
    is_pending: bool


@dataclass(frozen=True)
class Inference:
    """One run of the model.

    Args:
        output: int8, all outputs one behind the other.
        ticks: that the model's code took, of the board's cycle source.
        sequence: under which the board's outbox keeps the decision; None where it does not.
    """

    output: bytes
    ticks: int
    sequence: int | None = None


@dataclass(frozen=True)
class Decision:
    """A decision as a board's outbox keeps it; `(boot_id, sequence)` names it for ever.

    Args:
        sequence: counts decisions, from 1, over restarts.
        boot_id: the start that it belongs to.
        at_ticks: when, since that start.
        run_ticks: that the model's code took.
        output_bytes: of the whole output.
        output_crc32: of the whole output, as in zlib.
        output: its first bytes, 16 at most.
    """

    sequence: int
    boot_id: int
    at_ticks: int
    run_ticks: int
    output_bytes: int
    output_crc32: int
    output: bytes


@dataclass(frozen=True)
class Outbox:
    """What a board keeps until it is acknowledged.

    Args:
        first: sequence of the oldest decision that it still owes; `next` when it owes none.
        next: sequence that the next decision gets.
        dropped: decisions that made room for newer ones before they were acknowledged.
        decisions: those from the asked sequence on, as many as one answer holds.
    """

    first: int
    next: int
    dropped: int
    decisions: tuple[Decision, ...] = ()


@dataclass(frozen=True)
class Ledger:
    """Where a device's time went since it started; the four states add up to all of it.

    Args:
        boot_id: counts its starts, from 1.
        ticks_hz: length of a second in ticks.
        wake_ticks: start-up, and going from state to state.
        run_ticks: the model's code.
        link_ticks: receiving, answering, storing.
        sleep_ticks: nothing to do.
        decisions: inferences that succeeded.
        bytes_in: received on the link, framing included.
        bytes_out: sent, framing included; the answer that tells this is not yet counted.
    """

    boot_id: int
    ticks_hz: int
    wake_ticks: int
    run_ticks: int
    link_ticks: int
    sleep_ticks: int
    decisions: int
    bytes_in: int
    bytes_out: int


@dataclass(frozen=True)
class Stack:
    """How deep a device's stack has been since it started.

    Args:
        used_bytes: at its deepest.
        reserved_bytes: what there is.
    """

    used_bytes: int
    reserved_bytes: int


@dataclass(frozen=True)
class Trust:
    """Whose images a device takes.

    Args:
        key_hashes: of the public keys that it trusts, 32 bytes each.
        firmware_counter: firmware with a lower security counter is refused.
        model_counter: and models.
    """

    key_hashes: tuple[bytes, ...]
    firmware_counter: int
    model_counter: int


@dataclass(frozen=True)
class Rollback:
    """What a device gave up, and why.

    Args:
        firmware: the reason of the last rollback of firmware, for people; None: there was none.
        model: why the last model was not taken or kept, likewise.
        is_on_trial: the firmware that runs is not confirmed.
        is_model_on_trial: the model that serves is not confirmed.
    """

    firmware: str | None
    model: str | None
    is_on_trial: bool
    is_model_on_trial: bool
