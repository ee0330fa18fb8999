"""The estimate of cycles, held against latencies that other engines published for an STM32L4R5.

None of these engines runs our code, and none of their binaries was counted here, so no figure below
proves the estimate; docs/profiler.md says what each can show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import device_profiles
from benchmarks._compiler import is_absent, measure
from benchmarks._peers import AD, KWS, TFLM, peers_of
from benchmarks._silicon import L4R5, board_ratios, fastest, read_published, results_path
from hil_tests.profiler.cycles import MEMORY
from hil_tests.result import Measure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks._silicon import Published

DEVICE, SILICON, CORE = "mps2-an386", "nucleo-l4r5zi", "cortex-m4f"
MODELS = {"kws": KWS, "ad": AD}
# Engines whose inner loops are CMSIS-NN's, in some version: what TFLM executes today is a guess at
# what they executed.
CMSIS_NN_ENGINES = ("TensorFlow Lite for Microcontrollers v2.3.1", "microTVM")


def main() -> list[Measure]:
    """The figures; none without the shared data."""
    if not results_path().exists() or any(map(is_absent, MODELS.values())):
        print("left out: shared data data/mlperf_tiny is absent (JOULELOOP_SHARED names it)")
        return []
    published = read_published(results_path())
    return [*_beside_the_record(published), *_implied(published), *_memory(published)]


def _beside_the_record(published: Sequence[Published]) -> Iterator[Measure]:
    """What we would take on that board by the estimate, and the best that was published."""
    clock = device_profiles.load(SILICON).figure("clock_hz")
    for short, model in MODELS.items():
        found = measure(model, DEVICE)
        cycles = found.profile["estimated_cycles"]
        best = fastest(published, L4R5, short)
        source = f"{'; '.join(found.commands)}; clock: {clock.source}; {cycles['source']}"
        ends = {end: cycles[end] / clock.value for end in ("low", "high")}
        yield Measure(
            f"{short}: estimated latency",
            cycles["value"] / clock.value,
            "s",
            "modelled",
            source,
            **ends,
        )
        where = f"best published: {best.engine}, {best.round}, {best.latency_s * 1e3:.2f} ms"
        yield Measure(
            f"{short}: best published latency / estimated",
            best.cycles / cycles["value"],
            "",
            "modelled",
            f"{where}; {source}",
            low=best.cycles / cycles["high"],
            high=best.cycles / cycles["low"],
        )
        yield Measure(
            f"{short}: estimated cycles per instruction",
            cycles["value"] / found.instructions,
            "",
            "modelled",
            source,
            low=cycles["low"] / found.instructions,
            high=cycles["high"] / found.instructions,
        )


def _implied(published: Sequence[Published]) -> Iterator[Measure]:
    """Published cycles over the instructions that today's TFLM with CMSIS-NN executes."""
    for short, model in MODELS.items():
        (tflm,) = (peer for peer in peers_of(model, CORE) if peer.engine == TFLM)
        for engine in CMSIS_NN_ENGINES:
            runs = [r for r in published if (r.board, r.engine) == (L4R5, engine)]
            best = fastest(runs, L4R5, short)
            yield Measure(
                f"{short}: cycles of {engine} / instructions of TFLM today",
                best.cycles / tflm.instructions,
                "",
                "modelled",
                f"{best.round}, {best.latency_s * 1e3:.2f} ms at {best.clock_hz / 1e6:.0f} MHz; "
                f"{tflm.instructions:,} instructions of another version",
            )


def _memory(published: Sequence[Published]) -> Iterator[Measure]:
    """How much the board alone changes one engine's cycles."""
    ratios = sorted(board_ratios(published), key=lambda found: found[2])
    for name, (first, second, ratio) in (("lowest", ratios[0]), ("highest", ratios[-1])):
        yield Measure(
            f"one engine on two Cortex-M4F boards: {name} ratio of cycles",
            ratio,
            "",
            "modelled",
            f"{len(ratios)} pairs; {first.engine}, {first.round}, {first.model}: {second.board} / "
            f"{first.board}",
            limit=MEMORY.high,
        )
