import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.node.backends import BACKENDS, open_backend
from edge_runtime.wire.bundle import ONNX, TFLITE, write_bundle
from edge_runtime.wire.tensor import TensorSpec
from jouleloop.errors import BundleError, InputError, MissingToolError
from tests.edge_runtime.tiny_bundle import INPUT, OUTPUT, exact, rows, tiny_bundle

pytestmark = pytest.mark.pure

HERE = ["litert", "onnxruntime"]


def infer_all(name: str) -> NDArray[np.int8]:
    backend = open_backend(tiny_bundle(), name)
    return np.stack([backend.infer(row) for row in rows(1000)])


def test_litert_is_exact() -> None:
    np.testing.assert_array_equal(infer_all("litert"), exact(rows(1000)))


def test_onnxruntime_is_within_one() -> None:
    difference = infer_all("onnxruntime").astype(int) - exact(rows(1000))
    assert abs(difference).max() <= 1


@pytest.mark.parametrize("name", HERE)
def test_outputs_are_kept_when_the_next_row_comes(name: str) -> None:
    backend = open_backend(tiny_bundle(), name)
    first = backend.infer(rows(3)[2])
    kept = first.copy()
    backend.infer(rows(1)[0])
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("name", HERE)
def test_the_time_of_an_inference_is_known_after_it(name: str) -> None:
    backend = open_backend(tiny_bundle(), name)
    assert backend.name == name
    assert backend.seconds == 0
    backend.infer(rows(1)[0])
    assert 0 < backend.seconds < 1


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize(
    "row",
    [np.zeros(5, np.int8), np.zeros(7, np.int8), np.zeros(6, np.float32), np.zeros(0, np.int8)],
)
def test_another_row_is_refused(name: str, row: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match=f"a row is 6 int8 values; got {row.size} {row.dtype}"):
        open_backend(tiny_bundle(), name).infer(row)


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize(
    ("edges", "what"),
    [
        ({"inputs": (replace(INPUT, shape=(1, 7)),)}, "input"),
        ({"outputs": (replace(OUTPUT, shape=(4,)),)}, "output"),
        ({"outputs": (OUTPUT, TensorSpec("more", (1,), 1.0, 0))}, "output"),
    ],
)
def test_a_model_that_is_not_the_manifest_s_is_refused(
    name: str, edges: dict[str, Any], what: str
) -> None:
    with pytest.raises(BundleError, match=f"{name} {what}s of tiny are .* manifest says"):
        open_backend(tiny_bundle(**edges), name)


def test_another_scale_is_refused() -> None:
    changed = tiny_bundle(inputs=(replace(INPUT, zero_point=4),))
    with pytest.raises(BundleError, match=r"zero point 3; its manifest says .* and 4"):
        open_backend(changed, "litert")


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("content", [b"", b"no model at all" * 9])
def test_a_broken_model_is_one_clear_error(name: str, content: bytes) -> None:
    with pytest.raises(BundleError, match=f"{name} cannot load model"):
        open_backend(tiny_bundle(files={TFLITE: content, ONNX: content}), name)


@pytest.mark.parametrize("name", HERE)
def test_a_bundle_without_the_model_is_one_clear_error(name: str) -> None:
    with pytest.raises(BundleError, match=r"has no model\."):
        open_backend(tiny_bundle(files={}), name)


def test_an_unknown_backend_names_the_known() -> None:
    with pytest.raises(InputError, match="no backend is called 'torch'") as caught:
        open_backend(tiny_bundle(), "torch")
    assert caught.value.hint == "there are litert, onnxruntime, tflite-runtime"


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("litert", "ai_edge_litert.interpreter"),
        ("onnxruntime", "onnxruntime"),
        ("tflite-runtime", "tflite_runtime.interpreter"),
    ],
)
def test_a_missing_package_is_named(
    name: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingToolError, match="is not installed") as caught:
        open_backend(tiny_bundle(), name)
    assert "pip install" in caught.value.hint
    assert set(BACKENDS) == {"litert", "onnxruntime", "tflite-runtime"}


@pytest.mark.slow
def test_tflite_runtime_is_within_one_in_an_environment_of_its_own(tmp_path: Path) -> None:
    """It needs NumPy 1, which the others do not work with."""
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    packages = ("tflite-runtime==2.14.0", "numpy<2")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    write_bundle(tiny_bundle(), tmp_path / "tiny.jlb")
    np.save(tmp_path / "rows.npy", rows(1000))
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from edge_runtime.node.backends import open_backend\n"
        "from edge_runtime.wire.bundle import read_bundle\n"
        "folder = Path(sys.argv[1])\n"
        "backend = open_backend(read_bundle(folder / 'tiny.jlb'), 'tflite-runtime')\n"
        "outputs = [backend.infer(row) for row in np.load(folder / 'rows.npy')]\n"
        "np.save(folder / 'outputs.npy', np.stack(outputs))\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run([python, "-c", program, tmp_path], check=True, cwd=root)
    difference = np.load(tmp_path / "outputs.npy").astype(int) - exact(rows(1000))
    # It rounds otherwise than LiteRT: about one output in 200 is next to the exact one.
    assert abs(difference).max() == 1
    assert np.count_nonzero(difference) < 40
