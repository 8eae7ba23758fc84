import sys
from pathlib import Path

from m2fp_kd.evaluation.benchmark.candidates import list_candidates, short_names


def test_all_combinations_are_listed_baselines_first(tmp_path: Path) -> None:
    fp32, int8, teacher = (tmp_path / name for name in ("fp32", "int8", "teacher"))
    teacher.mkdir()
    found = list_candidates(
        [fp32, int8, teacher], ["bench/other.py", str(teacher)], ["openvino", None], ["f32", "auto"], [1, 2], [1, 8]
    )
    assert [str(one) for one in found[:2]] == [
        "other, default engine f32, 1 threads, batch 1",
        "other, default engine f32, 2 threads, batch 1",
    ]
    assert found[0].source == (sys.executable, "bench/other.py") and found[0].artefact is None
    assert len(found) == 2 + 3 * 2 * 2 * 2 * 2 == len({str(one) for one in found})
    assert [one.baseline for one in found] == [True] * (2 + 16) + [False] * 32
    assert {one.name for one in found if not one.baseline} == {"fp32", "int8"}


def test_a_command_keeps_its_interpreter_and_arguments(tmp_path: Path) -> None:
    (only,) = list_candidates([], ["/env/python 'my tool.py' --fast"], [None], ["f32"], [2], [1])
    assert only.source == ("/env/python", "my tool.py", "--fast") and only.name == "my tool"


def test_the_onnx_file_of_an_artefact_is_found(tmp_path: Path) -> None:
    for name in ("a/model.onnx", "b/model.xml"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    paths = [tmp_path / name for name in ("a", "a/model.onnx", "b", "b/model.xml", "c", "c.onnx")]
    found = list_candidates(paths, [], [None], ["f32"], [1], [1])
    assert [one.onnx for one in found] == [tmp_path / "a/model.onnx"] * 2 + [None] * 4


def test_an_engine_that_cannot_run_a_file_is_left_out_if_another_can(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("model.onnx", "model.xml", "missing")]
    for path in paths[:2]:
        path.touch()

    def engines(path: Path, *wanted: str | None) -> list[str | None]:
        return [one.engine for one in list_candidates([path], [], wanted, ["f32"], [1], [1])]

    assert engines(paths[0], "openvino", "onnxruntime", None) == ["openvino", "onnxruntime", None]
    assert engines(paths[1], "openvino", "onnxruntime") == ["openvino"]
    assert engines(paths[1], "onnxruntime") == ["onnxruntime"]  # it reports its error
    assert engines(paths[1], "openvino", "unheard-of") == ["openvino", "unheard-of"]
    assert engines(paths[2], "openvino", "onnxruntime") == ["openvino", "onnxruntime"]


def test_short_names_drop_the_parts_that_all_paths_share() -> None:
    paths = [Path(f"/runs/{run}/artefacts/{kind}/model.onnx") for run in ("lite0", "mnv3") for kind in ("fp32", "int8")]
    assert short_names(paths) == ["lite0/fp32", "lite0/int8", "mnv3/fp32", "mnv3/int8"]
    assert short_names(paths[:2]) == ["fp32", "int8"]
    assert short_names(paths[:1]) == ["model.onnx"]
    assert short_names([Path("/a/b/x"), Path("/b/a/x")]) == ["/a/b/x", "/b/a/x"]
    assert short_names([]) == []
