"""Part maps on older CPUs: the table, and the demo with kernels that add products in 16 bits."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.other_cpus import LIMITS, part_maps, rows
from m2fp_kd import DEMO
from m2fp_kd.data.reading import Photo
from m2fp_kd.data.synthetic import draw_scene
from m2fp_kd.labels import LabelSet
from m2fp_kd.labels.colours import distinct_colours
from m2fp_kd.runtime.artefact import find_model

LABELS = LabelSet("two", ("background", "person"), distinct_colours(2))

KERNELS = """
import json, sys, openvino
model = openvino.Core().read_model(sys.argv[1])
model.reshape([1, 64, 64, 3])
operations = openvino.Core().compile_model(model, "CPU").get_runtime_model().get_ops()
print(json.dumps([operation.get_rt_info()["primitiveType"].value for operation in operations]))
"""


def test_rows_compare_with_the_first_artefact_and_the_first_cpu() -> None:
    truth = np.array([[0, 0], [1, 255]], np.uint8)
    photo = Photo("a", np.zeros((2, 2, 3), np.uint8), truth)
    right, wrong = np.array([0, 0, 1, 1], np.uint8), np.array([0, 1, 1, 1], np.uint8)
    found = {"this CPU": {"fp32": right, "int8": right}, "AVX2": {"fp32": right, "int8": wrong}}
    table = rows(found, [photo], LABELS)
    assert [tuple(row.values()) for row in table] == [
        ("this CPU", "fp32", "100.00", "100.00", "100.00"),
        ("this CPU", "int8", "100.00", "100.00", "100.00"),
        ("AVX2", "fp32", "100.00", "100.00", "100.00"),
        ("AVX2", "int8", "50.00", "75.00", "75.00"),
    ]


def test_the_limit_leaves_only_kernels_of_the_older_cpu() -> None:
    words = [*LIMITS["AVX2"], sys.executable, "-c", KERNELS, str(find_model(DEMO))]
    kernels = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    assert any("avx2" in kernel and "I8" in kernel for kernel in kernels)
    assert not any("avx512" in kernel for kernel in kernels)


def test_the_demo_gives_the_same_parts_without_vnni(tmp_path: Path) -> None:
    for folder in ("Images", "Category_ids"):
        (tmp_path / "Validation" / folder).mkdir(parents=True)
    scene = draw_scene(0, 160, (2, 3)).image
    Image.fromarray(scene).save(tmp_path / "Validation" / "Images" / "a.png")
    Image.fromarray(np.zeros(scene.shape[:2], np.uint8)).save(tmp_path / "Validation" / "Category_ids" / "a.png")
    here, there = (part_maps([DEMO], tmp_path, before=before)[str(DEMO)] for before in ([], LIMITS["AVX2"]))
    assert len(np.unique(here)) > 1
    assert (here == there).mean() > 0.999
