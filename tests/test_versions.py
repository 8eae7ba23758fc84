"""Pairs of libraries that must match."""

import json

import pytest

from m2fp_kd import __version__, versions
from m2fp_kd.versions import VersionError, check_versions, install_hint, installed_versions


def test_this_installation_is_accepted() -> None:
    check_versions()
    assert "torch" in installed_versions()
    assert installed_versions()["m2fp-kd"] == __version__


@pytest.mark.parametrize(("library", "wanted"), [("torchao", "0.18"), ("torchvision", "0.29")])
def test_a_mismatch_names_the_pair_wanted(library: str, wanted: str) -> None:
    with pytest.raises(VersionError, match=rf"torch 2\.14\.\* with {library} {wanted}"):
        check_versions({"torch": "2.14.1", library: "0.1.0"})


def test_a_local_build_matches() -> None:
    check_versions({"torch": "2.14.1+cpu", "torchvision": "0.29.1+cpu", "torchao": "0.18.0"})


class Installed:
    """A distribution whose installer recorded its source, as PEP 610 describes."""

    def __init__(self, source: dict | None) -> None:
        self.source = source

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return None if self.source is None else json.dumps(self.source)


@pytest.mark.parametrize(
    ("source", "command"),
    [
        (None, "pip install 'm2fp-kd[serve]'"),
        ({"url": "file:///a%20b", "dir_info": {"editable": True}}, "pip install --editable '/a b[serve]'"),
        ({"url": "file:///code", "dir_info": {}}, "pip install '/code[serve]'"),
        ({"url": "file:///x.whl", "archive_info": {}}, "pip install 'm2fp-kd[serve] @ file:///x.whl'"),
    ],
)
def test_extras_are_installed_from_where_the_package_came(source, command, monkeypatch) -> None:
    monkeypatch.setattr(versions, "distribution", lambda name: Installed(source))
    assert install_hint("serve") == command


def test_without_an_installation_extras_come_from_the_checkout(monkeypatch) -> None:
    def missing(name: str) -> None:
        raise versions.PackageNotFoundError(name)

    monkeypatch.setattr(versions, "distribution", missing)
    assert install_hint("train") == "pip install '.[train]' in the checkout"
