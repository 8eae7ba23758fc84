"""Photos and videos found in files, folders and patterns, and the paths of their results."""

import json
from pathlib import Path

import pytest

from m2fp_kd.cli.jobs import ENDINGS, Job, Wanted
from m2fp_kd.cli.sources import named, plan
from tests.hostile.names import NAMES, create, link_to_itself


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with photos, a video and other things."""
    for name in ("p/a.jpg", "p/deep/b.PNG", "p/deep/c.mp4", "p/notes.txt", "p/.hidden/d.jpg", "q/e.webp", "odd[1].jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def planned(*sources):
    return [(str(job.source), str(job.stem)) for job in plan([Path(source) for source in sources], Path("out")).jobs]


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
    photo, video = plan([Path("p/a.jpg"), Path("p/a.mp4")], Path("out")).jobs
    assert not set(photo.written(Wanted())) & set(video.written(Wanted(part_maps=True)))
    assert photo.written(Wanted(part_maps=True)) == [Path("out/a.png"), Path("out/a_mosaic.jpg")]
    assert video.written(Wanted()) == [Path("out/a.jsonl"), Path("out/a_mosaic.mp4")]


def test_earlier_results_are_not_parsed(folder):
    (folder / "out").mkdir()
    (folder / "out" / "a.png").touch()
    assert planned("*/*.png", "p/a.jpg") == [("p/a.jpg", "out/a")]


@pytest.mark.parametrize("source", ["p/*.gif", "none/**/*.jpg"])
def test_a_pattern_without_matches_is_named(folder, source):
    with pytest.raises(FileNotFoundError, match="no photos or videos in"):
        planned(source)


def test_photos_of_one_name_keep_their_endings(folder):
    (folder / "p" / "a.png").touch()
    assert planned("p")[:3] == [("p/a.jpg", "out/a.jpg"), ("p/a.png", "out/a.png"), ("p/deep/b.PNG", "out/deep/b")]


def test_photos_of_one_name_and_ending_get_a_hash_of_their_path(folder):
    (folder / "q" / "a.jpg").touch()
    first, second = (stem for _, stem in planned("p/a.jpg", "q/a.jpg"))
    assert first != second and all(stem.startswith("out/a.jpg-") for stem in (first, second))
    assert [stem for _, stem in planned("q/a.jpg", "p/a.jpg")] == [second, first], "whatever the order"


def test_names_that_keep_their_endings_meet_no_other(folder):
    for name in ("a.png", "a.jpg.gif", "a.png.gif"):
        (folder / "p" / name).touch()
    stems = [stem for _, stem in planned("p/a*")]
    assert len(set(stems)) == len(stems) == 4


def test_a_long_name_is_shortened_for_its_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for ending in ("x", "y"):
        Path("n" * 245 + f"{ending}.png").touch()
    jobs = plan([Path("*.png")], Path("out")).jobs
    assert len({job.stem for job in jobs}) == 2
    assert all(len(path.name) <= 255 for job in jobs for path in job.written(Wanted()))


def test_a_folder_that_contains_itself_is_walked_once(folder):
    for name in ("again", "and again"):
        link_to_itself(folder / "p", name)
    for pattern in ("p", "p/**", "p/**/*", "p/**/*.*"):
        assert [source for source, _ in planned(pattern)] == ["p/a.jpg", "p/deep/b.PNG", "p/deep/c.mp4"]


def test_a_link_to_itself_is_a_photo_that_will_fail(folder):
    Path("p/loop.jpg").symlink_to("loop.jpg")
    Path("p/gone.jpg").symlink_to("nowhere")
    assert planned("p/loop.jpg", "p/gone.jpg") == [("p/loop.jpg", "out/loop"), ("p/gone.jpg", "out/gone")]
    assert {"p/loop.jpg", "p/gone.jpg"} < {source for source, _ in planned("p")}


def test_what_pillow_reads_is_found_and_other_pictures_are_counted(folder):
    read = ("avif", "jfif", "gif", "jp2", "jpe", "HEIC")
    for ending in (*read, "dng", "DNG", "jxl", "txt"):
        (folder / "q" / f"{ending}.{ending}").touch()
    found, left_out = plan([Path("q")], Path("out"))
    assert {job.source.name for job in found} == {f"{ending}.{ending}" for ending in read} | {"e.webp"}
    assert named(left_out) == "2 .dng, 1 .jxl"
    with pytest.raises(FileNotFoundError, match=r"no photos or videos that can be read \(1 .dng\) in q/\*.dng"):
        planned("q/*.dng")


@pytest.mark.parametrize("kind", NAMES)
def test_any_name_gives_names_of_results(tmp_path, kind):
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    if photo := create(tmp_path / "in", NAMES[kind], b""):
        (job,) = plan([photo], tmp_path / "out").jobs
        for path in job.written(Wanted()):
            assert path.parent == tmp_path / "out"
            path.write_bytes(b"")


def test_a_job_is_done_when_all_its_results_exist_and_were_made_from_the_same(tmp_path):
    job = Job(tmp_path / "walk.mp4", tmp_path / "walk", is_video=True)
    origin = job.made_from(["model", "f32", 1])
    job.frames.write_text(json.dumps({"frame": 0, "made_from": origin}) + "\n")
    assert not job.done(origin, Wanted())
    job.mosaic.touch()
    assert job.done(origin, Wanted()) and not job.done(origin, Wanted(part_maps=True))
    job.part_maps.mkdir()
    assert job.done(origin, Wanted(part_maps=True))
    assert not job.done(job.made_from(["another model", "f32", 1]), Wanted())
    assert not job.done(job.made_from(["model", "f32", 2]), Wanted())
    job.source.write_bytes(b"another video")
    assert not job.done(job.made_from(["model", "f32", 1]), Wanted())
    job.frames.write_text("no JSON")
    assert not job.done(origin, Wanted())


def test_no_result_has_the_name_of_another_photos(tmp_path):
    photos = tmp_path / "photos"
    for folder in ("b_masks", "d.jpg_masks", "d_masks"):
        (photos / folder).mkdir(parents=True)
    names = ["a.jpg", "a_confidence.jpg", "a_polygons.png", "a_mosaic.jpg", "b.jpg", "d.jpg", "annotations.jpg"]
    for name in (*names, "b_masks/001_head.jpg", "d_masks/x.jpg", "d.jpg_masks/x.jpg", "_masks.jpg"):
        (photos / name).touch()
    jobs, _ = plan([photos], tmp_path / "out")
    paths = [path for job in jobs for path in job.written(Wanted((*ENDINGS, "coco")))]
    assert len(set(paths)) == len(paths) == 7 * len(jobs)
    folders = {path for path in paths if path.name.endswith("_masks")}
    assert not any(parent in folders for path in paths for parent in path.parents)
    assert tmp_path / "out" / "annotations.json" not in paths
    stems = {job.source.name: job.stem.name for job in jobs if job.source.parent == photos}
    assert stems["a.jpg"] == "a" and stems["a_confidence.jpg"] == "a_confidence.jpg" and stems["b.jpg"] == "b.jpg"
