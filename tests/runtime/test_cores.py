"""The cores that a process may use."""

import math
import os

import pytest

from m2fp_kd.runtime import cores
from m2fp_kd.runtime.cores import cpu_quota, usable_cores


@pytest.fixture
def own(tmp_path):
    """The file that names the process's cgroup, which is below two others."""
    (tmp_path / "cgroups" / "pod" / "container").mkdir(parents=True)
    (tmp_path / "own").write_text("1:name=systemd:/\n0::/pod/container\n")
    return tmp_path / "own"


def test_without_cgroups_there_is_no_limit(tmp_path):
    assert cpu_quota(tmp_path, tmp_path / "own") == math.inf


@pytest.mark.parametrize(("text", "expected"), [("150000 100000", 1.5), ("max 100000", math.inf), ("", math.inf)])
def test_the_limit_of_a_cgroup(own, text, expected):
    (own.parent / "cgroups" / "pod" / "container" / "cpu.max").write_text(f"{text}\n")
    assert cpu_quota(own.parent / "cgroups", own) == expected


def test_the_limit_of_a_parent_holds_too(own):
    for folder, quota in (("", 800_000), ("pod", 300_000), ("pod/container", 400_000)):
        (own.parent / "cgroups" / folder / "cpu.max").write_text(f"{quota} 100000")
    assert cpu_quota(own.parent / "cgroups", own) == 3


@pytest.mark.parametrize(("quota", "expected"), [(50_000, 0.5), (-1, math.inf)])
def test_the_limit_of_version_one(tmp_path, quota, expected):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert cpu_quota(tmp_path, tmp_path / "own") == expected


@pytest.mark.parametrize(("quota", "expected"), [(0.2, 1), (1.2, 2), (math.inf, 4), (9, 4)])
def test_the_smaller_of_affinity_and_limit(monkeypatch, quota, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    monkeypatch.setattr(cores, "cpu_quota", lambda: quota)
    assert usable_cores() == expected
