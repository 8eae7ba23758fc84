"""Folders that travel with the package are found in a checkout and in an installation."""

from pathlib import Path

import pytest

from m2fp_kd import shipped

ROOT = Path(__file__).parents[1]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """An installation of the package: the folders lie beside the code."""
    package = tmp_path / "site-packages" / "m2fp_kd"
    for name in ("conf", "sample"):
        (package / name).mkdir(parents=True)
    monkeypatch.setattr(shipped, "PACKAGE", package)
    monkeypatch.setattr(shipped, "CHECKOUT", tmp_path / "nowhere")
    return package


def test_a_checkout_uses_its_own_folders(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert shipped.conf_folder() == ROOT / "conf"
    assert shipped.sample_folder() == ROOT / "data" / "sample"


def test_the_sample_of_a_checkout_is_named_relative_to_it(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert shipped.sample_folder() == Path("data/sample")
    assert shipped.conf_folder() == ROOT / "conf", "Hydra needs an absolute path"


def test_an_installation_uses_the_folders_beside_the_code(installed, monkeypatch, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert shipped.conf_folder() == installed / "conf"
    assert shipped.sample_folder() == installed / "sample"


def test_a_missing_folder_is_named(installed):
    (installed / "sample").rmdir()
    with pytest.raises(FileNotFoundError, match=r"m2fp_kd/sample and .*data/sample do not exist; reinstall m2fp-kd"):
        shipped.sample_folder()
