"""Exported pages in a real browser."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright", reason="needs Playwright, of the dev extra")

from playwright.sync_api import Browser, Page

from benchmarks.demo_at import smaller_demo
from m2fp_kd.serve.onnxruntime_web import RuntimeFilesError, runtime_files
from m2fp_kd.serve.web_page import export
from tests.serve.page.device.hosting import hosted

PATIENCE = 180_000
"""Milliseconds; long, because other tests slow the machine down, and it computes."""

SIZE = 128
"""Input size of the demo in most tests; at 512 it takes sixteen times as long."""


@pytest.fixture(scope="package")
def kept_runtime(tmp_path_factory) -> Iterator[None]:
    """ONNX Runtime Web in the user's own cache, so that npm downloads it once and not for every run of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("XDG_CACHE_HOME", raising=False)
        patch.setenv("HOME", os.environ.get("HOME", str(tmp_path_factory.getbasetemp())))
        try:
            folder = runtime_files()
        except RuntimeFilesError as error:
            pytest.skip(f"needs ONNX Runtime Web: {error}")
    kept = Path(os.environ["XDG_CACHE_HOME"]) / "m2fp-kd" / folder.parent.name / folder.name
    if not kept.exists():
        kept.parent.mkdir(parents=True)
        kept.symlink_to(folder)
    yield


@pytest.fixture(scope="package")
def exported(kept_runtime, tmp_path_factory) -> Callable[[str, int], Path]:
    """Return a function that exports the demo in a precision and an input size, each once."""
    made: dict[tuple[str, int], Path] = {}

    def folder(precision: str = "int8", size: int = SIZE) -> Path:
        if (precision, size) not in made:
            base = tmp_path_factory.mktemp(f"{precision}-{size}")
            export(smaller_demo(base / "artefact", size, precision), base / "page")
            made[precision, size] = base / "page"
        return made[precision, size]

    return folder


@pytest.fixture
def open_hosted(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Return a function that serves a folder and opens its page, in a context of its own."""
    contexts, servers = [], []

    def open_one(folder: Path, isolated: bool = False, query: str = "", script: str = "", **options: Any) -> Page:
        server = hosted(folder, isolated)
        servers.append(server)
        context = browser.new_context(**{"locale": "en-GB", **options})
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        context.add_init_script(script)
        page = context.new_page()
        page.goto(server.__enter__() + query)
        page.wait_for_selector("#facts table, .news.bad", state="attached")
        return page

    yield open_one
    for context in contexts:
        context.close()
    for server in servers:
        server.__exit__(None, None, None)
