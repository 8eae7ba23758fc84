"""The web page in a real browser, on the real application with fake networks."""

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("playwright", reason="needs Playwright, of the dev extra")

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.serve.made_up_models import Gate, made_up, serving
from tests.serve.page.actions import SMALL

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
FAKE_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")

PATIENCE = 20_000
"""Milliseconds; long, because other tests slow the machine down."""

Open = Callable[..., Page]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A browser for one module. Playwright's event loop runs as long as it and forbids other event loops."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium or Chrome on the PATH")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *FAKE_CAMERA])
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def gated_service() -> Iterator[tuple[str, Gate]]:
    models, gate = made_up("lite", "full")
    with serving(models, SMALL) as address:
        yield address, gate


@pytest.fixture
def service(gated_service: tuple[str, Gate]) -> str:
    """The address of a service with fake networks."""
    return gated_service[0]


@pytest.fixture
def shut_gate(gated_service: tuple[str, Gate]) -> Iterator[Gate]:
    """A shut gate: the service keeps photos waiting until it is opened."""
    gate = gated_service[1]
    gate.shut()
    yield gate
    gate.open()


@pytest.fixture
def open_page(browser: Browser, service: str) -> Iterator[Open]:
    """Open the page; afterwards, check that it had no error and sent no request to another host."""
    contexts, wrong = [], []

    def open_one(address: str = service, ready: str = "#facts table", **options: Any) -> Page:
        context = browser.new_context(**{"locale": "en-GB", "viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        origin = address.removesuffix("/docs")
        context.set_default_timeout(PATIENCE)
        context.add_init_script(
            "addEventListener('securitypolicyviolation', e => console.error('CSP ' + e.blockedURI))"
        )
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "console", lambda message: wrong.append(message.text) if _is_wrong(message.type, message.text) else None
        )
        page.on("response", lambda answer: wrong.append(answer.url) if _is_missing(answer.status, answer.url) else None)
        page.on("request", lambda request: wrong.append(request.url) if _is_foreign(request.url, origin) else None)
        page.goto(address)
        page.wait_for_selector(ready, state="attached")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert wrong == []


def _is_wrong(kind: str, text: str) -> bool:
    """Chromium also logs every error answer, which the page reports itself."""
    return kind in ("error", "warning") and not text.startswith("Failed to load resource")


def _is_missing(status: int, url: str) -> bool:
    return status >= 400 and "/api/" not in url


def _is_foreign(url: str, origin: str) -> bool:
    return not url.startswith((origin, "blob:" + origin, "data:"))


@pytest.fixture
def page(open_page: Open) -> Page:
    return open_page()
