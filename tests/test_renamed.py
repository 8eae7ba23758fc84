"""Options under their old names still work, and a warning names the new ones."""

import warnings

import pytest

from m2fp_kd.renamed import new_names


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("teacher.ensemble.flip=true", "teacher.tta.flip=true"),
        ("teacher.ensemble={flip: true}", "teacher.tta={flip: true}"),
        ("distill.fade=0.5,0.6", "distill.anneal=0.5,0.6"),
        ("distill.terms.dist.fade=null", "distill.terms.dist.anneal=null"),
        ("stop_hopeless.first_epochs=3", "median_stopping.first_epochs=3"),
        ("+stop_hopeless.margin=1", "+median_stopping.margin=1"),
        ("~stop_hopeless", "~median_stopping"),
        ("compress.arithmetic=auto", "compress.precision=auto"),
        ("compress.gates.arithmetic.max_miou_drop=1", "compress.gates.precision.max_miou_drop=1"),
        ("compress/step@compress.steps=[export,program]", "compress/step@compress.steps=[export,torch_export]"),
        ("data.module.val=Validation", "data.splits.val=Validation"),
        ("data.module.test=null", "data.splits.test=null"),
        ("data.module.people=[1,2]", "data.splits.persons=[1,2]"),
        ("++compress.steps.program.name=x", "++compress.steps.torch_export.name=x"),
        ("compress.steps.openvino_int8.of=int8", "compress.steps.openvino_int8.made_from=int8"),
    ],
)
def test_an_old_name_is_rewritten_with_one_warning(old: str, new: str) -> None:
    with pytest.warns(FutureWarning) as caught:
        assert new_names([old]) == [new]
    assert len(caught) == 1 and f"write '{new}'" in str(caught[0].message)


@pytest.mark.parametrize(
    "argument",
    [
        "-m", "--cfg", "job", "--help", "-cd=conf", "distill.anneal=0.5", "distill.fadeout=1", "name=distill.fade",
        "teacher.ensembles=2", "name=program", "compress/step@compress.steps=[export,programs]", "my.distill.fade=1",
        "data.module.limit=3", "data.module.valid=1",
    ],
)  # fmt: skip
def test_every_other_argument_stays(argument: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert new_names(["seed=1", argument]) == ["seed=1", argument]
