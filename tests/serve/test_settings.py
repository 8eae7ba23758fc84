"""Impossible limits are refused, and the defaults match the deployment files."""

import math
import re
from pathlib import Path

import pytest

from m2fp_kd.serve.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["megabytes", "megapixels", "photos", "waiting", "waiting_megabytes", "deadline"])
@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_a_limit_that_is_not_positive_is_refused(name, value):
    with pytest.raises(ValueError, match=f"^{name} must be above 0, not {value}$"):
        Settings(**{name: value})


def test_zero_requests_per_minute_means_no_limit():
    assert Settings(requests_per_minute=0).requests_per_minute == 0
    with pytest.raises(ValueError, match="requests_per_minute must be 0 or above, not -1"):
        Settings(requests_per_minute=-1)


def test_unit_and_documentation_state_the_default_memory_budget():
    unit, page = ((ROOT / name).read_text() for name in ("deploy/m2fp-kd.service", "docs/guides/deploy.md"))
    gigabytes = re.search(r"^MemoryMax=(\d+)G$", unit, re.M)
    assert gigabytes and int(gigabytes[1]) * 2**30 >= 1e6 * (Settings().waiting_megabytes + 500)
    assert f"{Settings().waiting_megabytes} MB that --waiting-megabytes allows" in unit
    assert f"{Settings().waiting_megabytes} MB for each model (`--waiting-megabytes`)" in page
