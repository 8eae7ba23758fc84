"""Photos and videos found in files, folders and patterns, and the paths of their results."""

from pathlib import Path

import pytest

from m2fp_kd.cli.sources import Job, plan


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with photos, a video and other things."""
    for name in ("p/a.jpg", "p/deep/b.PNG", "p/deep/c.mp4", "p/notes.txt", "p/.hidden/d.jpg", "q/e.webp", "odd[1].jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def planned(*sources):
    return [(str(job.source), str(job.stem)) for job in plan([Path(source) for source in sources], Path("out"))]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("p/*.jpg", [("p/a.jpg", "out/a")]),
        ("p/*", [("p/a.jpg", "out/a")]),
        ("p/**/*.[Pp][Nn][Gg]", [("p/deep/b.PNG", "out/deep/b")]),
        ("p/**", [("p/a.jpg", "out/a"), ("p/deep/b.PNG", "out/deep/b"), ("p/deep/c.mp4", "out/deep/c")]),
        ("?/*.*p*", [("p/a.jpg", "out/p/a"), ("q/e.webp", "out/q/e")]),
        ("odd[1].jpg", [("odd[1].jpg", "out/odd[1]")]),
    ],
)
def test_patterns_keep_the_structure_below_their_leading_folders(folder, pattern, expected):
    assert planned(pattern) == expected
    assert planned(folder / pattern) == [(str(folder / source), stem) for source, stem in expected]


def test_files_and_folders(folder):
    assert planned("p", "q/e.webp") == [
        ("p/a.jpg", "out/a"), ("p/deep/b.PNG", "out/deep/b"), ("p/deep/c.mp4", "out/deep/c"), ("q/e.webp", "out/e"),
    ]  # fmt: skip


def test_a_file_that_is_named_twice_is_parsed_once(folder):
    assert planned("p/*.jpg", "p/a.jpg", folder / "p" / "a.jpg", "p") == planned("p")


def test_a_photo_and_a_video_of_one_name_have_different_results(folder):
    (folder / "p" / "a.mp4").touch()
    photo, video = plan([Path("p/a.jpg"), Path("p/a.mp4")], Path("out"))
    assert not set(photo.written()) & set(video.written(part_maps=True))
    assert photo.written(part_maps=True) == [Path("out/a.png"), Path("out/a_mosaic.jpg")]
    assert video.written() == [Path("out/a.jsonl"), Path("out/a_mosaic.mp4")]


def test_earlier_results_are_not_parsed(folder):
    (folder / "out").mkdir()
    (folder / "out" / "a.png").touch()
    assert planned("*/*.png", "p/a.jpg") == [("p/a.jpg", "out/a")]


@pytest.mark.parametrize("source", ["p/*.gif", "none/**/*.jpg"])
def test_a_pattern_without_matches_is_named(folder, source):
    with pytest.raises(FileNotFoundError, match="no photos or videos in"):
        planned(source)


def test_a_job_is_done_when_all_its_results_exist(tmp_path):
    job = Job(Path("walk.mp4"), tmp_path / "walk", is_video=True)
    job.frames.touch()
    assert not job.done()
    job.mosaic.touch()
    assert job.done() and not job.done(part_maps=True)
    job.part_maps.mkdir()
    assert job.done(part_maps=True)
