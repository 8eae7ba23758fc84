"""Photos of other file systems are found and copied as those of a folder are."""

import argparse
import pickle
import re
from pathlib import Path

import pytest

from m2fp_kd.cli import ray_pool
from m2fp_kd.cli.jobs import Job, Wanted
from m2fp_kd.cli.remote import Remote, copied
from m2fp_kd.cli.sources import plan
from tests.hostile.disk import full


def test_photos_are_found_on_any_file_system(folder, bucket, tmp_path):
    jobs = plan([], tmp_path / "out", [bucket]).jobs
    here = plan([folder], tmp_path / "out").jobs
    assert sorted(job.stem for job in jobs) == sorted(job.stem for job in here)
    sizes = {job.name.partition("bucket/")[2]: job.remote.size for job in jobs}
    assert sizes == {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*.jpg")}
    assert {job.made_from(["a"]) for job in jobs} == {job.made_from(["a"]) for job in here}
    (one,) = plan([], tmp_path / "out", [f"{bucket}/more/01.jpg"]).jobs
    assert (one.name, one.stem) == ("memory:///bucket/more/01.jpg", tmp_path / "out" / "01")
    some = plan([], tmp_path / "out", [f"{bucket}/*/0*.jpg"]).jobs
    assert [job.stem.relative_to(tmp_path / "out").as_posix() for job in some] == [
        f"more/{index:02}" for index in (1, 3, 5, 7, 9)
    ]
    twice = plan([folder], tmp_path / "out", [bucket, bucket]).jobs
    assert len({job.stem for job in twice}) == len(twice) == 2 * len(jobs)
    for address, words in (
        ("memory:///bucket/none", "memory:///bucket/none: there is no such file or folder"),
        ("memory:///bucket/*.txt", "no photos in memory:///bucket/*.txt"),
        ("rtsp://host/path", "rtsp://host/path: cannot be read (Protocol not known: rtsp)"),
    ):
        with pytest.raises((FileNotFoundError, ValueError), match=re.escape(words)):
            plan([], tmp_path / "out", [address])


def test_a_worker_copies_photos_of_other_file_systems(artefact, folder, bucket, tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="needs the ray extra")
    settings = {"engine": None, "threads": 1, "precision": "f32", "megapixels": 256.0, "draft": False}
    worker = ray_pool.ParsePhotos(argparse.Namespace(artefact=artefact(), **settings), Wanted(), None)
    jobs = {job.name: job for job in plan([], tmp_path / "out", [bucket]).jobs}
    lost = Job(Path("lost.jpg"), tmp_path / "out" / "lost", False, Remote("memory:///bucket/lost.jpg", 9))
    chosen = [jobs["memory:///bucket/00.jpg"], jobs["memory:///bucket/07.jpg"], lost]
    found = worker(pyarrow.table({"task": [pickle.dumps((job, "origin")) for job in chosen]}))["outcome"]
    (parsed, _), (broken, _), (missing, ends) = map(pickle.loads, found)
    assert parsed["parts"] and (tmp_path / "out" / "00.png").exists()
    assert str(broken).startswith("memory:///bucket/07.jpg: cannot be read as a photo") and not ends
    assert str(missing).startswith("memory:///bucket/lost.jpg: there is no such file") and not ends


def test_a_full_disk_for_the_copies_ends_the_work(bucket):
    with full(most=10), pytest.raises(OSError, match="File too large"), copied(f"{bucket}/00.jpg", "00.jpg"):
        pass
