"""The `m2fp-kd` command: parse photos, serve, read a card. Imports nothing heavy until it has work."""

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

DEMO = Path(__file__).parents[1] / "demo"
"""The artefact that comes with the package."""

EXAMPLES = """examples:
  m2fp-kd parse photo.jpg                              try it: part map and mosaic in parsed/
  m2fp-kd parse -a artefacts/int8 photos/ more/ -o out  folders, with all that is below them
  m2fp-kd parse -a artefacts/int8 photos/ --resume     go on where an earlier call stopped
  m2fp-kd parse -a artefacts/int8 photos/ --json > log  one JSON line per photo: parts, people, timings
  m2fp-kd serve                                        web page and API at http://127.0.0.1:8000/
  m2fp-kd serve -a artefacts/int8 --full m2fp/int8     with a switch between the student and the full M2FP
  m2fp-kd card artefacts/int8                          what the artefact is and how well it was checked

For NAME.jpg, parse writes NAME.png, whose pixel values are part indices (with the label set's palette, at the photo's
own upright size), and NAME_mosaic.jpg, the photo beside its parts with a legend. Folders keep their structure.
Exit code: 0 all done, 1 some photos could not be read (they are named, the others are done), 2 it could not go on."""


@dataclass(frozen=True)
class Job:
    """A photo to parse and the two files to write."""

    photo: Path
    part_map: Path
    mosaic: Path

    @property
    def done(self) -> bool:
        """Whether both files exist; files are only ever there whole."""
        return self.part_map.is_file() and self.mosaic.is_file()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = _arguments().parse_args(arguments)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print("\nstopped; what is written is whole, --resume goes on from here", file=sys.stderr)
        return 130
    except (OSError, ValueError) as error:
        print(f"m2fp-kd: {error}", file=sys.stderr)
        return 2


def _arguments() -> argparse.ArgumentParser:
    style: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter, "epilog": EXAMPLES}
    command = argparse.ArgumentParser(prog="m2fp-kd", description="Human parsing on a CPU.", **style)
    commands = command.add_subparsers(required=True, metavar="COMMAND")

    parse = commands.add_parser("parse", help="part maps and mosaics of photos", **style)
    parse.add_argument("photos", metavar="PHOTO|FOLDER", type=Path, nargs="+")
    _add_artefact(parse)
    parse.add_argument(
        "-o", "--output", metavar="DIR", type=Path, default=Path("parsed"), help="folder to write to (default: parsed)"
    )
    parse.add_argument(
        "--engine",
        metavar="NAME",
        help="openvino or onnxruntime (.onnx), openvino (.xml), torchscript (.pt), program (.pt2); "
        "default: the first that is installed",
    )
    parse.add_argument("--threads", type=int, metavar="N", help="CPU threads; default: the engine's choice")
    parse.add_argument(
        "--arithmetic", choices=["f32", "auto"], default="f32", help="auto: bf16 where the CPU has it (default: f32)"
    )
    parse.add_argument("--resume", action="store_true", help="skip photos whose two files exist")
    parse.add_argument("--json", action="store_true", help="print one JSON line per photo")
    parse.set_defaults(run=_parse)

    serve = commands.add_parser("serve", help="the web page and the API", **style)
    _add_artefact(serve)
    serve.add_argument("--full", metavar="ARTEFACT", type=Path, help="an exported M2FP, for the light-mode switch")
    serve.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for every address of this machine")
    serve.add_argument("--port", type=int, default=8000)
    serve.add_argument("--engine", metavar="NAME", help="as in parse")
    serve.add_argument("--streams", type=int, metavar="N", help="photos parsed at the same time; default: one per core")
    serve.add_argument("--threads", type=int, metavar="N", default=1, help="CPU threads of each stream")
    serve.add_argument("--token", help="ask every client for it; better in the environment: M2FP_KD_TOKEN")
    serve.add_argument("--waiting", type=int, metavar="N", help="photos that may wait; more are told to come later")
    serve.add_argument("--megabytes", type=float, help="largest request")
    serve.add_argument("--requests-per-minute", type=int, metavar="N", help="of one client; 0 for no limit")
    serve.set_defaults(run=_serve)

    card = commands.add_parser("card", help="what an artefact says about itself", **style)
    card.add_argument("artefact", metavar="ARTEFACT", type=Path, nargs="?", default=DEMO)
    card.add_argument("--json", action="store_true", help="print all of it as JSON")
    card.set_defaults(run=_card)
    return command


def _add_artefact(command: argparse.ArgumentParser) -> None:
    words = "model file (.onnx, .xml, .pt, .pt2) or its folder; default: a demo that knows drawn people only"
    command.add_argument("-a", "--artefact", metavar="ARTEFACT", type=Path, default=DEMO, help=words)


def _say_demo(artefact: Path) -> None:
    if artefact == DEMO:
        print(
            "the demo was trained on drawn people in six minutes and is poor on photos; -a ARTEFACT takes a real one, "
            "which train.py makes",
            file=sys.stderr,
        )


def _parse(options: argparse.Namespace) -> int:
    from m2fp_kd.runtime.geometry import PhotoError
    from m2fp_kd.runtime.parser import Parser

    _say_demo(options.artefact)
    jobs = plan(options.photos, options.output)
    waiting = [job for job in jobs if not (options.resume and job.done)]
    parser = Parser.load(options.artefact, options.engine, options.threads, options.arithmetic)
    times: list[float] = []
    failed = 0
    for index, job in enumerate(waiting):
        _progress(f"{index + 1}/{len(waiting)}  {job.photo}")
        try:
            result = _parse_one(parser, job)
        except (PhotoError, FileNotFoundError) as error:
            _progress("")
            print(f"failed: {error}", file=sys.stderr)
            failed += 1
            continue
        times.append(sum(result["timings_ms"].values()))
        if options.json:
            print(json.dumps(result), flush=True)
    _progress("")
    words = [f"{len(times)} parsed"]
    words += [f"{len(jobs) - len(waiting)} already there"] if len(waiting) < len(jobs) else []
    words += [f"{failed} failed"] if failed else []
    speed = f", {median(times):.1f} ms a photo ({parser.engine.name}, {parser.engine.arithmetic})" if times else ""
    print(f"{', '.join(words)} in {options.output}{speed}", file=sys.stderr)
    return 1 if failed else 0


def _parse_one(parser: Any, job: Job) -> dict[str, Any]:
    from m2fp_kd.runtime.files import atomic_path, write_index_png
    from m2fp_kd.runtime.geometry import read_photo
    from m2fp_kd.runtime.mosaic import mosaic

    photo = read_photo(job.photo)
    parsing = parser(photo)
    write_index_png(job.part_map, parsing.part_map, parsing.labels)
    with atomic_path(job.mosaic) as temporary:
        mosaic(photo, parsing.part_map, parsing.labels).save(temporary, quality=90, subsampling=0)
    return {
        "photo": str(job.photo),
        "part_map": str(job.part_map),
        "mosaic": str(job.mosaic),
        "parts": {part: round(share, 6) for part, share in parsing.shares.items()},
        "people_kind": parsing.people_kind,
        "people": [{"score": person.score, "box": person.box} for person in parsing.people],
        "timings_ms": {step: round(value, 3) for step, value in parsing.timings.items()},
    }


def plan(sources: Sequence[Path], output: Path) -> list[Job]:
    """The photos among `sources` (photos, and folders searched with all below them) and where their results go.

    What lies in the output folder is an earlier result, never a photo.

    Raises:
        FileNotFoundError: a source does not exist, or there is no photo at all.
        ValueError: photos lie in the output folder, or two would be written to the same file.
    """
    from m2fp_kd.runtime.files import find_photos

    photos: list[tuple[Path, Path]] = []
    target = output.resolve()
    for source in sources:
        if source.resolve().is_relative_to(target):
            raise ValueError(f"{source} lies in the output folder {output}; choose another output folder")
        if source.is_dir():
            inside = (path for path in find_photos(source) if not path.resolve().is_relative_to(target))
            photos += [(path, path.relative_to(source)) for path in inside]
        elif source.is_file():
            photos.append((source, Path(source.name)))
        else:
            raise FileNotFoundError(f"{source}: no such photo or folder")
    if not photos:
        raise FileNotFoundError(f"no photos in {', '.join(map(str, sources))}")
    jobs: dict[Path, Job] = {}
    for photo, name in photos:
        stem = output / name.parent / name.stem
        job = Job(photo, Path(f"{stem}.png"), Path(f"{stem}_mosaic.jpg"))
        if other := jobs.get(job.part_map):
            raise ValueError(f"{other.photo} and {photo} would both be written to {job.part_map}; parse them apart")
        jobs[job.part_map] = job
    return list(jobs.values())


def _progress(text: str) -> None:
    """Replace the terminal's last line; without a terminal say nothing."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _serve(options: argparse.Namespace) -> int:
    try:
        from m2fp_kd.serve.server import serve
    except ModuleNotFoundError as error:
        raise ValueError(f"{error.name} is not installed: pip install 'm2fp-kd[serve]'") from error
    from m2fp_kd.serve.settings import Settings

    _say_demo(options.artefact)
    given = {"waiting": options.waiting, "megabytes": options.megabytes}
    given |= {"requests_per_minute": options.requests_per_minute}
    given |= {"token": options.token or os.environ.get("M2FP_KD_TOKEN")}
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    address = (options.host, options.port)
    serve(options.artefact, options.full, *address, options.engine, options.streams, options.threads, settings)
    return 0


def _card(options: argparse.Namespace) -> int:
    from m2fp_kd.runtime.artefact import find_model, load_card

    model = find_model(options.artefact)
    card = load_card(model)
    if options.json:
        print(json.dumps(card.to_dict(), indent=2))
        return 0
    rows = {"model": f"{model} ({model.stat().st_size / 1e6:.1f} MB)"}
    rows["label set"] = f"{card.labels.name}: {', '.join(card.labels.parts)}"
    rows |= _flatten({name: value for name, value in card.to_dict().items() if name != "label_set"})
    width = max(map(len, rows))
    for name, text in rows.items():
        print(f"{name:<{width}}  {text}")
    return 0


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested values as rows `a b: text`; what is empty is left out."""
    rows: dict[str, str] = {}
    for name, value in values.items():
        title = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            rows |= _flatten(value, f"{title} ")
        elif value not in (None, ""):
            rows[title] = str(value)
    return rows


if __name__ == "__main__":
    sys.exit(main())
