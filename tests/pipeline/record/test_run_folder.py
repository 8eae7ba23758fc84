"""A run folder belongs to one process, and to the settings, photos and teacher of the run that began in it."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock, Timeout
from hydra.types import RunMode
from omegaconf import DictConfig

from m2fp_kd.pipeline.record.run_folder import LOCK, claim, claim_sources, expect_mended_data, locked, sources
from tests.pipeline.conftest import Composer

OLD_NAMES = {"anneal:": "fade:", "tta:": "ensemble:", "median_stopping:": "stop_hopeless:", "losses.ce.Ce": "HardParts"}

HASHES: dict[str, str | None] = {"data": "a", "teacher": None}


def begin(cfg: DictConfig, hashes: dict[str, str | None] = HASHES) -> Path:
    claim(cfg)
    claim_sources(cfg, hashes)
    return Path(cfg.run_dir)


def trained(cfg: DictConfig, name: str = "checkpoints/last.ckpt") -> Path:
    """Leave a result of a training in the run's folder."""
    file = begin(cfg) / name
    file.parent.mkdir(exist_ok=True)
    file.touch()
    return file


def test_a_run_with_old_option_names_is_resumed_only_with_equal_settings(composed: Composer) -> None:
    cfg = composed("distill=best", "distill.anneal=0.5")
    trained(cfg)
    file = Path(cfg.run_dir) / "config.yaml"
    settings = file.read_text()
    for new, old in OLD_NAMES.items():
        assert new in settings
        settings = settings.replace(new, old)
    file.write_text(settings)
    with pytest.raises(ValueError, match=r"belongs to other settings \(distill\.anneal: 0\.5 -> 0\.6; distill\.terms"):
        claim(composed("distill=best", "distill.anneal=0.6"))
    begin(cfg)
    assert "anneal" in file.read_text()


@pytest.mark.parametrize("result", ["checkpoints/last.ckpt", "student.json", "backbone.safetensors", "artefacts/fp32"])
def test_results_of_other_settings_or_photos_are_kept(composed: Composer, result: str) -> None:
    file = trained(composed(), result)
    with pytest.raises(
        ValueError, match=r"other settings \(lr: 0\.002 -> 0\.1\); choose another name=NAME, start over"
    ):
        claim(composed("lr=0.1"))
    with pytest.raises(ValueError, match=r"belongs to another data and another teacher; .*start over with ckpt_path=n"):
        claim_sources(composed(), {"data": "b", "teacher": "c"})
    assert file.is_file() and sources(composed()) == HASHES


def test_a_broken_record_of_a_run_is_named(composed: Composer) -> None:
    cfg, fresh = composed(), composed("ckpt_path=null")
    for name, contents in {"config.yaml": ("a: [", "3", "[a]"), "sources.json": ("{", "[]")}.items():
        for content in contents:
            (trained(cfg).parents[1] / name).write_text(content)
            with pytest.raises(ValueError, match=rf"run/{name} is broken .*start over with ckpt_path=null, or choose"):
                begin(cfg)
            begin(fresh)


def test_a_folder_in_which_nothing_was_trained_blocks_nothing(composed: Composer) -> None:
    begin(composed())
    other = composed("lr=0.1")
    assert "lr: 0.1" in (begin(other, {"data": "b"}) / "config.yaml").read_text()
    assert sources(other) == {"data": "b"}


def test_changed_photos_offer_to_continue_from_the_state(composed: Composer) -> None:
    state = trained(composed())
    with pytest.raises(ValueError, match=rf"another data; continue from its state with ckpt_path={state}, start over"):
        begin(composed(), {"data": "b", "teacher": None})
    begin(composed(f"ckpt_path={state}"), {"data": "b", "teacher": None})
    assert state.is_file()


def test_a_run_that_a_broken_file_stopped_continues_with_the_mended_one(composed: Composer) -> None:
    cfg, mended = composed(), {"data": "b", "teacher": None}
    trained(cfg)
    expect_mended_data(cfg)
    with pytest.raises(ValueError, match="another teacher"):
        begin(cfg, mended | {"teacher": "c"})
    begin(cfg, mended)
    assert sources(cfg) == mended
    trained(composed("ckpt_path=null"), "student.json")
    expect_mended_data(cfg)
    assert sources(cfg) == HASHES, "a finished student was trained on the photos as they were"


def test_results_are_removed_only_when_the_new_run_begins(composed: Composer) -> None:
    results = ["checkpoints/last.ckpt", "student.json", "artefacts/int8", "pictures/0.jpg", "report.json"]
    files = [trained(composed(), result) for result in results]
    again = composed("ckpt_path=null", "lr=0.1")
    claim(again)
    assert all(file.is_file() for file in files)
    claim_sources(again, HASHES)
    assert {path.name for path in Path(again.run_dir).iterdir()} == {"config.yaml", "sources.json"}


def test_in_a_sweep_no_job_is_advised_to_erase_anothers_results(
    composed: Composer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(composed())
    hydra = SimpleNamespace(initialized=lambda: True, get=lambda: SimpleNamespace(mode=RunMode.MULTIRUN))
    monkeypatch.setattr("m2fp_kd.pipeline.record.run_folder.HydraConfig", hydra)
    with pytest.raises(ValueError, match=r"leave out name=NAME, which gives each job of a sweep a folder of its own$"):
        claim(composed("lr=0.1"))


HOLD = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""
"""Program that holds a lock as `locked` does, and starts at once because it imports filelock only."""


def test_a_second_process_is_refused_until_the_first_ends_however_it_ends(composed: Composer) -> None:
    cfg = composed()
    lock = Path(cfg.run_dir) / LOCK
    lock.parent.mkdir()
    command = [sys.executable, "-c", HOLD, lock]
    first = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None and first.stdout.readline() == "held\n"
    with pytest.raises(ValueError, match=r"another process works in .*run; wait for its end"), locked(cfg):
        pass
    first.kill()
    first.communicate()
    with locked(cfg), pytest.raises(Timeout):
        FileLock(lock).acquire(timeout=0)


def test_further_processes_of_a_distributed_training_need_no_lock(
    composed: Composer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked(composed()):
        monkeypatch.setattr("pytorch_lightning.utilities.rank_zero_only.rank", 1)
        with locked(composed()):
            pass
