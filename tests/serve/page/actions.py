"""Actions of a visitor and what the page then shows."""

import base64
import io
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page, expect

import m2fp_kd.serve
from m2fp_kd.labels import LabelSet
from m2fp_kd.serve.settings import Settings
from tests.serve.conftest import encoded
from tests.serve.made_up_models import LABELS

STATIC = Path(m2fp_kd.serve.__file__).parent / "static"
HEIGHT, WIDTH = 120, 160
SMALL = Settings(megabytes=2, megapixels=4, requests_per_minute=0)
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


def file(name: str = "photo.png", data: bytes | None = None) -> dict[str, Any]:
    """A photo as a file chooser returns it."""
    photo = np.full((HEIGHT, WIDTH, 3), 127, np.uint8)
    return {"name": name, "mimeType": "image/png", "buffer": encoded(photo) if data is None else data}


def give(page: Page, *files: dict[str, Any]) -> dict[str, Any]:
    """Choose photos and return the answer to the first."""
    return parsed(page, lambda: page.set_input_files("#files", list(files or [file()])))


def choose(page: Page, view: str) -> None:
    page.locator("#views label", has_text=re.compile(rf"^\s*{view}")).click()


def parsed(page: Page, act: Callable[[], None]) -> dict[str, Any]:
    """Return the API's answer to the request that `act` causes, once the page shows it."""
    with page.expect_response("**/api/parse?*") as caught:
        act()
    answer = caught.value.json()
    expect(page.locator("#message")).to_contain_text(milliseconds(answer))
    return answer


def milliseconds(answer: dict[str, Any]) -> str:
    """Format a share as the page does."""
    total = Decimal(str(answer["timings_ms"]["total"]))
    return f"{total.quantize(Decimal('0.1' if total < 10 else '1'), ROUND_HALF_UP):,} ms"


def entry(page: Page, part: str) -> Locator:
    """The legend's entry of a part."""
    return page.locator(f"[data-part={part}]")


def overlay(page: Page) -> np.ndarray:
    """The canvas with the parts, uint8 (height, width, 4) RGBA."""
    url = page.evaluate("document.querySelector('.overlay').toDataURL()")
    return np.array(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))))


def opaque(page: Page) -> np.ndarray:
    """The overlay at full opacity, where colours come back exactly."""
    page.fill("#opacity", "100")
    return overlay(page)


def coloured(parts: np.ndarray, labels: LabelSet = LABELS) -> np.ndarray:
    """The opaque overlay of a part map."""
    colours = np.array(labels.colours, np.uint8)[parts] * (parts > 0)[..., None].astype(np.uint8)
    return np.concatenate([colours, np.where(parts > 0, 255, 0)[..., None].astype(np.uint8)], axis=-1)


def too_small_to_tap(page: Page) -> list[str]:
    """Controls with a side shorter than 44 pixels."""
    return page.evaluate(
        """[...document.querySelectorAll("button, select, input, summary, footer a, .eyebrow a")].filter((node) => {
            const { width, height } = node.getBoundingClientRect();
            return node.checkVisibility() && Math.min(width, height) < 43.9;
        }).map((node) => node.outerHTML)"""
    )
