"""Write `tflm_digests.json`: what TensorFlow Lite Micro computes for every operator case.

It needs the package tflite-micro, which the project does not depend on:

    pip install tflite-micro && python -m tests.export.make_tflm_digests
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from export.render.tflite import render_tflite
from tests.export.operator_cases import CASES

if TYPE_CHECKING:
    from tests.export.operator_cases import Case

# Known not to compute what the operator means: see test_operators.py.
LEFT_OUT = ("RELU6 narrower", "RELU6 saturating", "RELU6 wider")


def _digest(case: Case) -> str:
    # Not an import statement: the type checker need not find the package.
    runtime = importlib.import_module("tflite_micro.python.tflite_micro").runtime
    graph, rows = case
    content = render_tflite(graph, producer="a test")
    interpreter = runtime.Interpreter.from_bytes(content, arena_size=2**21)
    outputs = []
    for row in range(len(next(iter(rows.values())))):
        for index, name in enumerate(graph.inputs):
            interpreter.set_input(rows[name][row], index)
        interpreter.invoke()
        outputs.append(interpreter.get_output(0))
    return hashlib.sha256(np.stack(outputs).astype(np.int8).tobytes()).hexdigest()


def main() -> None:
    """Ask TFLM about every case that it can run."""
    digests = {}
    for name, case in CASES.items():
        if name in LEFT_OUT:
            continue
        try:
            digests[name] = _digest(case)
        except RuntimeError as error:
            print(f"{name}: {error}")
    version = importlib.metadata.version("tflite-micro")
    record = {"maker": f"tflite-micro {version}", "outputs": digests}
    path = Path(__file__).parent / "tflm_digests.json"
    path.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
