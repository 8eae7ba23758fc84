"""Impossible limits are refused, and the defaults match the deployment files."""

import math
import re
from pathlib import Path

import pytest

from m2fp_kd.cli import main
from m2fp_kd.serve.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "name", ["megabytes", "megapixels", "photos", "waiting", "waiting_megabytes", "grace", "deadline"]
)
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
    budgets = Settings().waiting_megabytes + Settings().upload_megabytes
    assert gigabytes and int(gigabytes[1]) * 2**30 >= 1e6 * (budgets + 500)
    assert f"{Settings().upload_megabytes} MB of --upload-megabytes" in unit
    assert f"{Settings().waiting_megabytes} MB that --waiting-megabytes allows" in unit
    assert f"{Settings().waiting_megabytes} MB for each model (`--waiting-megabytes`)" in page


def test_the_containers_and_systemd_wait_for_the_time_of_grace():
    unit, image = ((ROOT / "deploy" / name).read_text() for name in ("m2fp-kd.service", "Dockerfile"))
    for pattern, text in ((r"^TimeoutStopSec=(\d+)$", unit), (r"--stop-timeout (\d+)", image)):
        assert int(re.search(pattern, text, re.M)[1]) > Settings().grace  # type: ignore[index]


def test_the_container_is_not_killed_because_it_is_busy():
    check = (ROOT / "deploy" / "Dockerfile").read_text().partition("HEALTHCHECK")[2]
    assert "/healthz" in check and "/readyz" not in check


def test_a_budget_for_uploads_that_one_body_would_exceed_is_refused():
    assert Settings(megabytes=100, upload_megabytes=1300).held_megabytes == 100
    with pytest.raises(ValueError, match="upload_megabytes must be at least 1300 with megabytes=100"):
        Settings(megabytes=100)


def test_an_empty_token_in_the_environment_starts_no_server(monkeypatch, capsys):
    monkeypatch.setenv("M2FP_KD_TOKEN", "")
    assert main(["serve", "--port=0"]) == 2
    assert "token is empty" in capsys.readouterr().err
