"""Pairs of libraries that must match."""

import pytest

from m2fp_kd.versions import check_versions, installed_versions


def test_this_installation_is_accepted() -> None:
    check_versions()
    assert "torch" in installed_versions()


@pytest.mark.parametrize(("library", "wanted"), [("torchao", "0.18"), ("torchvision", "0.29")])
def test_a_mismatch_names_the_pair_wanted(library: str, wanted: str) -> None:
    with pytest.raises(RuntimeError, match=rf"torch 2\.14\.\* with {library} {wanted}"):
        check_versions({"torch": "2.14.1", library: "0.1.0"})


def test_a_local_build_matches() -> None:
    check_versions({"torch": "2.14.1+cpu", "torchvision": "0.29.1+cpu", "torchao": "0.18.0"})
