"""Time artefacts on the page of `m2fp-kd export web`, in headless Chromium.

    python -m benchmarks.browser                     the demo at 256 and 512 pixels, in fp32 and INT8
    python -m benchmarks.browser artefacts/fp32 artefacts/int8
    python -m benchmarks.browser artefacts/fp32 --webgpu      also WebGPU, on the CPU by SwiftShader: parity, no speed

For each artefact and engine the script prints the size of the page, the seconds until the model is loaded on the first
visit and on the second (from the service worker's cache), the processor time of the second, the time of the first
answer, the median of later ones, and the share of pixels on which their part maps agree with ONNX Runtime's on this
machine. Processor time is that of all processes of the browser; it says more than the clock on a machine that does
other work.
"""

import argparse
import base64
import io
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from threading import Thread

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.demo_at import smaller_demo
from m2fp_kd.data.synthetic import draw_scene
from m2fp_kd.evaluation.speed.cpu import describe_cpu
from m2fp_kd.runtime.artefact import find_model
from m2fp_kd.runtime.files import find_photos
from m2fp_kd.runtime.parser import Parser
from m2fp_kd.serve.web_page import DEVICE_HEADERS, export

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WEBGPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
TICK = os.sysconf("SC_CLK_TCK")
PATIENCE = 600_000

PARSE = """async ([key, photo]) => {
    const [{ parse }, { blobOf }] = await Promise.all(["device", "dom"].map((name) => import(`/static/${name}.js`)));
    const signal = new AbortController().signal;
    const { map, timings_ms } = await parse({ address: key, blob: blobOf(photo) }, "lite", "map", signal, () => {});
    const bytes = Array.from(new Uint8Array(await map.arrayBuffer()), (byte) => String.fromCharCode(byte));
    return { map: btoa(bytes.join("")), ms: timings_ms };
}"""


class _Isolated(SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        for name, value in DEVICE_HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


class _Plain(_Isolated):
    def end_headers(self) -> None:
        SimpleHTTPRequestHandler.end_headers(self)


@contextmanager
def hosted(folder: Path, isolated: bool) -> Iterator[str]:
    """Serve a folder, with the headers that allow threads or without them."""
    handler = partial(_Isolated if isolated else _Plain, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def cpu_ms() -> float:
    """Return the processor time of all descendants of this process."""
    parents, spent = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)], spent[int(stat.parent.name)] = int(fields[1]), sum(map(int, fields[11:13]))
    ours = {os.getpid()}
    while grown := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= grown
    return 1000 / TICK * sum(spent[pid] for pid in ours - {os.getpid()})


def loaded(page: Page, address: str) -> float:
    """Open the page and return the seconds until the model is loaded."""
    start = time.perf_counter()
    page.goto(address)
    page.wait_for_selector("#facts table, .news.bad", state="attached")
    if page.locator(".news.bad").count():
        raise RuntimeError(page.inner_text("#message"))
    return time.perf_counter() - start


def measure(browser: Browser, folder: Path, parser: Parser, photos: list[bytes], isolated: bool, engine: str) -> str:
    """Return the line of one page in one engine."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    with hosted(folder, isolated) as address:
        address += f"?engine={engine}"
        first_visit = loaded(page, address)
        page.evaluate("navigator.serviceWorker.ready.then(() => null)")
        second_visit = load_spent = float("nan")  # the service worker isolates the page, which then has threads
        if isolated:
            before = cpu_ms()
            second_visit = loaded(page, address)
            load_spent = (cpu_ms() - before) / 1000
        clock, spent, same = [], [], []
        for key, photo in enumerate(photos):
            before = cpu_ms()
            answer = page.evaluate(PARSE, [key, base64.b64encode(photo).decode()])
            spent.append(cpu_ms() - before)
            clock.append(answer["ms"]["total"])
            with Image.open(io.BytesIO(base64.b64decode(answer["map"]))) as image:
                same.append((np.asarray(image) == parser.part_map(photo)).mean())
        runs_in = page.locator("#facts").inner_text().partition("ONNX Runtime Web, ")[2].partition("\n")[0]
    context.close()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    loading = f"{size:5.1f} {first_visit:6.1f} {second_visit:6.1f} {load_spent:6.1f}"
    parsing = f"{clock[0]:7.0f} {median(clock[1:]):7.0f} {median(spent[1:]):7.0f} {100 * float(np.mean(same)):8.3f}"
    return f"{runs_in:<24} {loading} {parsing}"


def main() -> None:
    command = argparse.ArgumentParser(description="Time artefacts on a static page, in headless Chromium.")
    command.add_argument("artefacts", type=Path, nargs="*", metavar="ARTEFACT")
    command.add_argument("--photos", type=Path, metavar="FOLDER", help="default: drawn photos of 320 pixels")
    command.add_argument("--number", type=int, default=5, help="photos")
    command.add_argument("--webgpu", action="store_true", help="also WebGPU, on the CPU by SwiftShader")
    options = command.parse_args()
    photos = read(options.photos, options.number) if options.photos else drawn(options.number)
    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        command.error("needs Chromium or Chrome on the PATH")
    print(f"{describe_cpu().model}, {describe_cpu().cores} cores, load average {os.getloadavg()[0]:.1f}")
    print(f"{'engine':<24}    MB  1st s  2nd s  CPU s   first      ms  CPU ms   same %")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as base:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", *WEBGPU])
        for number, artefact in enumerate(options.artefacts or demos(Path(base))):
            folder = Path(base) / str(number)
            export(artefact, folder)
            parser = Parser.load(artefact, "onnxruntime", 1)
            print(f"{find_model(artefact)}, {parser.card.precision}, {parser.geometry.size} pixels")
            for isolated, engine in [(False, "wasm"), (True, "wasm"), *([(True, "webgpu")] if options.webgpu else [])]:
                print(measure(browser, folder, parser, photos, isolated, engine), flush=True)
        browser.close()


def demos(base: Path) -> list[Path]:
    """Write the demo in two sizes and two precisions."""
    kinds = [(precision, size) for size in (256, 512) for precision in ("fp32", "int8")]
    return [smaller_demo(base / f"{precision}-{size}", size, precision).parent for precision, size in kinds]


def read(folder: Path, number: int) -> list[bytes]:
    """Read the first photos of a folder."""
    return [path.read_bytes() for path in find_photos(folder)[:number]]


def drawn(number: int) -> list[bytes]:
    """Draw photos of people, as PNG."""
    photos = []
    for seed in range(number):
        buffer = io.BytesIO()
        Image.fromarray(draw_scene(seed, 320, (1, 3)).image).save(buffer, "PNG")
        photos.append(buffer.getvalue())
    return photos


if __name__ == "__main__":
    main()
