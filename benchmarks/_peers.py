"""What other inference engines need for the same INT8 models, counted on the same emulated cores.

Executed instructions of one inference on QEMU 7.2 with `-icount shift=0`, read with SysTick around
the call (a loop of known length reads true to 0.01 %); batch 1; compiled with arm-none-eabi-gcc
12.2 -O2; TensorFlow Lite Micro of 2026-08 with only the operators that the model needs. `flash` is
code and constants without the model, `arena` what the engine asks for.
"""

from __future__ import annotations

from dataclasses import dataclass

TFLM = "TFLM + CMSIS-NN"
METHOD = "QEMU 7.2 -icount shift=0, SysTick, arm-none-eabi-gcc 12.2 -O2, 2026"


@dataclass(frozen=True)
class Peer:
    """One engine on one core with one model.

    Args:
        engine: its name.
        core: `Core.name`.
        model: file name without its end.
        instructions: of one inference.
        ram_bytes: its arena (TFLM) or all its RAM.
        flash_bytes: code and constants without the model; with it where `holds_model`.
        holds_model: `flash_bytes` includes the weights.
        note: what it computes when that is not the exact INT8 result, else "".
    """

    engine: str
    core: str
    model: str
    instructions: int
    ram_bytes: int
    flash_bytes: int
    holds_model: bool = False
    note: str = ""


KWS, AD, MLP = "kws_ref_model", "ad01_int8", "mlp_32_64_64_8"
M4, M55 = "cortex-m4f", "cortex-m55"
PEERS = (
    Peer(TFLM, M4, KWS, 7_699_800, 22_820, 53_352),
    Peer(TFLM, M4, AD, 582_880, 2_580, 28_016),
    Peer(TFLM, M4, MLP, 21_680, 1_956, 28_016),
    Peer(TFLM, M55, KWS, 1_815_750, 27_348, 44_748),
    Peer(TFLM, M55, AD, 149_969, 9_268, 20_052),
    Peer(TFLM, M55, MLP, 6_781, 2_500, 20_052),
    Peer("TinyEngine", M4, MLP, 22_120, 420, 9_800, True, "up to 3 LSB off"),
    Peer("TinyEngine", M4, AD, 771_080, 3_364, 280_720, True, "up to 7 LSB off"),
    Peer("onnx2c INT8", M4, MLP, 69_560, 164, 9_376, True, "does not saturate"),
    Peer("onnx2c float", M4, MLP, 42_720, 548, 28_116, True, "float32"),
    Peer("emlearn float", M4, MLP, 43_000, 672, 30_960, True, "float32"),
)


def peers_of(model: str, core: str) -> tuple[Peer, ...]:
    """Engines with figures for a model on a core; none for a model that was built here."""
    return tuple(peer for peer in PEERS if (peer.model, peer.core) == (model, core))
