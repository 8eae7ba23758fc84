"""The normalisation that a model of `transformers` expects, from its settings."""

import json
from pathlib import Path
from typing import Any

import pytest

from m2fp_kd.models.image_statistics import image_statistics


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"image_mean": [0.5, 0.25, 0.0], "image_std": [0.25] * 3}, ([127.5, 63.75, 0.0], [63.75] * 3)),
        ({"image_mean": 0.5, "image_std": 0.25}, ([127.5] * 3, [63.75] * 3)),
        ({"image_mean": 0.0, "image_std": 1.0}, ([0.0] * 3, [255.0] * 3)),
        ({"image_mean": [0.0] * 3, "image_std": [1.0] * 3, "rescale_factor": 1 / 127.5}, ([0.0] * 3, [127.5] * 3)),
        ({"image_mean": [10.0] * 3, "image_std": [2.0] * 3, "do_rescale": False}, ([10.0] * 3, [2.0] * 3)),
        ({"do_normalize": False}, ([0.0] * 3, [255.0] * 3)),
    ],
)
def test_mean_and_deviation_are_in_0_to_255(tmp_path: Path, settings: Any, expected: Any) -> None:
    (tmp_path / "a.json").write_text(json.dumps(settings))
    found = image_statistics(tmp_path / "a.json")
    assert found is not None
    assert (found[0], found[1]) == (pytest.approx(expected[0]), pytest.approx(expected[1]))


def test_settings_without_them_and_a_missing_file_give_none(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"size": 64}')
    assert image_statistics(tmp_path / "a.json") is None and image_statistics(tmp_path / "gone.json") is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"do_flip_channel_order": true}', "the model takes BGR images"),
        (b"{", "Expecting"),
        (b"[]", "no attribute 'get'"),
        (b'{"image_mean": ["a"], "image_std": [1]}', "could not convert"),
        (b'{"a": "\xff"}', "decode byte"),
    ],
)
def test_settings_that_cannot_be_used_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.json: not valid \(.*{message}.*\); restore the file"):
        image_statistics(tmp_path / "a.json")
