"""Wrong paths and label sets are found before anything is imported or trained."""

from contextlib import nullcontext
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from m2fp_kd.preflight import remove_empty
from m2fp_kd.preflight.paths import check_paths


@pytest.fixture
def composed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make a configuration in a folder that holds `file.pt` and `photos/`; dotted keys change it."""
    monkeypatch.chdir(tmp_path)
    Path("file.pt").touch()
    Path("photos").mkdir()

    def compose(**changes: object) -> DictConfig:
        cfg = OmegaConf.create(
            {
                "data": {"root": "photos", "labels": "cihp", "unlabelled": None, "splits": {}},
                "backbone": {"weights": "m2fp_kd"},
                "teacher": {"checkpoint": "nvidia/segformer", "labels": "${data.labels}"},
                "student": {"checkpoint": None},
                "ckpt_path": "last",
                "run_dir": "runs/name",
                "stage": "train",
            }
        )
        for key, value in changes.items():
            OmegaConf.update(cfg, key, value, force_add=True)
        return cfg

    return compose


def test_right_paths_pass(composed) -> None:
    check_paths(composed())
    check_paths(composed(**{"data.unlabelled": "own", "ckpt_path": None, "teacher.checkpoint": ["file.pt", "photos"]}))
    check_paths(composed(**{"teacher.checkpoint": ["openmmlab/upernet-1.5", "some/model.v2"]}))
    check_paths(composed(**{"data.root": None, "data.sources": {"a": {"root": "photos", "labels": "lip"}}}))


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("data.root", 3, "data.root=3 must be a path"),
        ("data.root", "gone", "data.root=gone: no such folder"),
        ("data.root", "file.pt", "data.root=file.pt: is a file, not a folder"),
        ("data.root", "???", "data.root is not set; give data.root=PATH"),
        ("data.splits.val_root", "gone", "data.splits.val_root=gone: no such folder"),
        ("data.unlabelled", ["photos", "gone"], "data.unlabelled=gone: no such folder"),
        ("data.sources", {"a": {"root": "gone"}}, "data.sources.a.root=gone: no such folder"),
        ("data.sources", {"a": {"root": "photos", "labels": "nobody"}}, "unknown label set 'nobody'"),
        ("data.labels", "gone.yaml", "No such file or directory: 'gone.yaml'"),
        ("data.labels", "nobody", "unknown label set 'nobody'; choose from"),
        ("backbone.weights", "gone.pt", "backbone.weights=gone.pt: no such file"),
        ("teacher.checkpoint", ["file.pt", "gone.pt"], "teacher.checkpoint=gone.pt: no such file"),
        ("teacher.checkpoint", ["file.pt", {"checkpoint": "gone.pt"}], "teacher.checkpoint=gone.pt: no such file"),
        (
            "data.sources",
            {"a": {"root": "photos", "teacher": "gone.json"}},
            "data.sources.a.teacher=gone.json: no such",
        ),
        ("data.sources", {"a": {"teacher": {"checkpoint": "gone.json"}}}, "data.sources.a.teacher=gone.json: no such"),
        ("teacher.checkpoint", "/gone/folder", "teacher.checkpoint=/gone/folder: no such file"),
        ("student.checkpoint", "gone.json", "student.checkpoint=gone.json: no such file"),
        ("ckpt_path", "gone.ckpt", "ckpt_path=gone.ckpt: no such file"),
    ],
)
def test_a_wrong_one_is_named_with_its_option(composed, option: str, value: object, message: str) -> None:
    with pytest.raises((FileNotFoundError, ValueError)) as error:
        check_paths(composed(**{option: value}))
    assert message in str(error.value)


@pytest.mark.parametrize("option", ["student.checkpoint", "teacher.checkpoint", "backbone.weights"])
def test_a_run_that_starts_over_does_not_remove_its_own_start(composed, option: str) -> None:
    own = Path("runs/name/student.json")
    own.parent.mkdir(parents=True)
    own.touch()
    check_paths(composed(**{option: str(own)}))
    for state in (None, "file.pt"):
        with pytest.raises(ValueError, match=rf"{option}=.*{own} lies in the folder of this run, which starts over"):
            check_paths(composed(**{option: str(own.absolute()), "ckpt_path": state}))
    check_paths(composed(**{option: str(own), "ckpt_path": None, "run_dir": "runs/other"}))


def test_a_compression_that_starts_over_keeps_the_student_but_not_what_it_makes(composed) -> None:
    Path("runs/name").mkdir(parents=True)
    for name, removed in (("student", False), ("teacher", False), ("pruned", True)):
        Path(f"runs/name/{name}.json").touch()
        cfg = composed(**{"student.checkpoint": f"runs/name/{name}.json", "ckpt_path": None, "stage": "compress"})
        with pytest.raises(ValueError, match="choose another name") if removed else nullcontext():
            check_paths(cfg)


def test_only_an_empty_folder_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("runs/empty", "runs/full", "other/empty"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "train.log").touch()
    (tmp_path / "runs/full/config.yaml").write_text("seed: 0")
    for name in ("runs/empty", "runs/full", "other/empty", "gone"):
        remove_empty(tmp_path / name)
    (tmp_path / "package").mkdir()
    (tmp_path / "package/__init__.py").touch()  # an empty file of the user's own
    remove_empty(tmp_path / "package")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    remove_empty(Path())
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "__init__.py", "config.yaml", "full", "here", "package", "runs", "train.log",
    ]  # fmt: skip
