"""Limits that no server could keep are refused before it starts; the defaults are those that deployment counts on."""

import math
import re
from pathlib import Path

import pytest

from m2fp_kd.serve.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["megabytes", "megapixels", "photos", "waiting", "waiting_megabytes", "deadline"])
@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_what_would_let_nobody_in_or_everybody_is_refused(name, value):
    with pytest.raises(ValueError, match=f"^{name} must be above 0, not {value}$"):
        Settings(**{name: value})


def test_no_limit_on_requests_is_a_limit_that_may_be_set():
    assert Settings(requests_per_minute=0).requests_per_minute == 0
    with pytest.raises(ValueError, match="requests_per_minute must be 0 or above, not -1"):
        Settings(requests_per_minute=-1)


def test_unit_and_documentation_count_on_the_same_room():
    unit, page = ((ROOT / name).read_text() for name in ("deploy/m2fp-kd.service", "docs/guides/deploy.md"))
    gigabytes = re.search(r"^MemoryMax=(\d+)G$", unit, re.M)
    assert gigabytes and int(gigabytes[1]) * 2**30 >= 1e6 * (Settings().waiting_megabytes + 500)
    assert f"{Settings().waiting_megabytes} MB that --waiting-megabytes" in unit
    assert f"`--waiting-megabytes {Settings().waiting_megabytes}`" in page
