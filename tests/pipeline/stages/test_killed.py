"""A compression that is killed while it writes: no file is half-written, and the same command writes the rest."""

import subprocess
import sys
from pathlib import Path

import pytest

from m2fp_kd.pipeline import run
from tests.hostile.killing import whole_files
from tests.pipeline.conftest import Composer

ROOT = Path(__file__).parents[3]

KILLED = """
import sys
from pathlib import Path
from tests.hostile.killing import die_at
die_at(Path(sys.argv[1]), int(sys.argv.pop()))
sys.argv[1] = f"run_dir={sys.argv[1]}"
from m2fp_kd.train import main
sys.exit(main())
"""
"""Program with the run's folder, overrides, and the change of files before which it is killed."""

MOMENTS = (9, 25, 46, 58, 93)
"""Changes in the middle of the settings, the two artefacts, the checks and the report."""

NEVER = 10_000


def _written(folder: Path) -> dict[str, bytes]:
    """Return the files that do not depend on the clock."""
    return {name: content for name, content in whole_files(folder).items() if name.endswith((".onnx", ".jpg"))}


@pytest.mark.long
def test_a_killed_compression_is_finished_by_the_same_command(composed: Composer, scenes: Path, tmp_path: Path) -> None:
    cfg = composed("trainer.max_epochs=1")
    run(cfg)
    overrides = [
        "stage=compress", f"student.checkpoint={cfg.run_dir}/student.json", "data=cihp", f"data.root={scenes}",
        "data.size=64", "teacher=none", "distill=labels", "logger=csv",
        "compress.gates.quantise={min_pixel_agreement:0,max_miou_drop:100,max_part_drop:null,max_boundary_drop:null}",
    ]  # fmt: skip

    def compress(folder: Path, moment: int) -> int:
        command = [sys.executable, "-c", KILLED, str(folder), *overrides, str(moment)]
        return subprocess.run(command, cwd=ROOT, capture_output=True).returncode

    assert compress(tmp_path / "alone", NEVER) == 0
    right = _written(tmp_path / "alone")
    for moment in MOMENTS:
        folder = tmp_path / str(moment)
        assert compress(folder, moment) == -9
        assert compress(folder, NEVER) == 0
        assert _written(folder) == right
        assert (folder / "report.json").is_file()
        assert not list(folder.rglob(".writing-*")), "the killed process's temporary files are removed"
