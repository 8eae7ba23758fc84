"""The torch-free runtime and the demo on an emulated Arm CPU, where `make arm64` has set up the emulator."""

from pathlib import Path

import pytest
from PIL import Image

from benchmarks.arm64.compare import compare
from benchmarks.arm64.emulator import Emulator
from benchmarks.demo_at import smaller_demo
from m2fp_kd.data.synthetic import draw_scene

MISSING = Emulator().missing()


@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
def test_the_demo_gives_the_same_parts_on_arm(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(draw_scene(3, 160, (2, 3)).image).save(photo)
    demos = [smaller_demo(tmp_path / kind, 160, kind) for kind in ("fp32", "int8")]
    (fp32, int8) = compare(demos, [photo], ["cortex-a76"], None, Emulator())["cortex-a76"]
    assert (fp32.engine, int8.engine) == ("onnxruntime", "onnxruntime")
    assert fp32.holds and int8.holds, (fp32, int8)
