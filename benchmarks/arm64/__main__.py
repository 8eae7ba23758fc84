"""Prove the runtime and its artefacts on Arm, emulated: parity with this machine, no speed.

    python -m benchmarks.arm64                                    the demo, and students of backbones with both heads
    python -m benchmarks.arm64 runs/NAME/artefacts/{fp32,int8}    these artefacts instead
    python -m benchmarks.arm64 --backbones                        the demo only
    python -m benchmarks.arm64 --photos FOLDER --number 5 --cpus cortex-a76 cortex-a53

The demo parses a portrait, the students scenes that they know, your artefacts the sample's photos or those of --photos.
Each artefact parses them on this machine and on emulated Arm CPUs, by the torch-free runtime and in the engine
that the runtime prefers on Arm. The table gives the share of pixels with the same part, over all photos and in the
worst one; the difference of the network's outputs relative to their standard deviation; the share of pixels that have
another part than the commonest one, without which agreement would mean nothing; and the processor time of a photo in
the emulator, which is no measure of a board. The exit code is 1 if fp32 agrees on less than 99.99 % of the pixels or
INT8 on less than 99.5 %.

The first run fetches the emulator, QEMU 10, and a small Arm system of Debian's packages: x86-64 with Debian is needed.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.arm64 import students
from benchmarks.arm64.compare import Parity, compare
from benchmarks.arm64.emulator import CPUS, REPOSITORY, Emulator, EmulatorError
from benchmarks.demo_at import smaller_demo
from m2fp_kd.command import whole_number
from m2fp_kd.evaluation.report.tables import as_markdown
from m2fp_kd.models.backbones import BACKBONES
from m2fp_kd.runtime.engines import ENGINES
from m2fp_kd.runtime.files import find_photos

SAMPLE = REPOSITORY / "data" / "sample" / "Validation" / "Images"
PORTRAIT = REPOSITORY / "src" / "m2fp_kd" / "serve" / "static" / "example.jpg"
"""A photo of a real person, the example of the web page: the demo knows no drawn people."""

SMALL = [name for name in BACKBONES if name != "resnet101"]
HEADER = 2
"""Lines of a table before its rows."""


def rows(names: Sequence[str], found: Mapping[str, Sequence[Parity]]) -> list[dict[str, str]]:
    """Return one row for each artefact and CPU."""
    return [
        {
            "artefact": name,
            "engine": one.engine,
            "emulated CPU": cpu,
            "same part [%]": f"{100 * one.pixels:.3f}",
            "worst photo [%]": f"{100 * one.worst:.3f}",
            "outputs differ by [%]": f"{100 * one.logits:.2g}",
            "not the commonest part [%]": f"{100 * one.shown:.0f}",
            "emulated, s a photo": f"{one.seconds:.1f}",
            "holds": "yes" if one.holds else "NO",
        }
        for index, name in enumerate(names)
        for cpu, parities in found.items()
        for one in [parities[index]]
    ]


def groups(
    given: Sequence[Path], backbones: Sequence[str], kept: Path, folder: Path
) -> Iterator[tuple[dict[str, Path], list[Path]]]:
    """Yield artefacts by name, in groups that are compared and printed together, and photos that they know.

    Args:
        given: artefacts that the user names; if there are any, no others.
        backbones: backbones of the students that are made else, after the demo.
        kept: folder that keeps the students for later calls.
        folder: folder for the demo.
    """
    if given:
        yield {str(path): path for path in given}, find_photos(SAMPLE)
        return
    demo = {f"demo, {kind}": smaller_demo(folder / kind, 512, kind).parent for kind in ("fp32", "int8")}
    yield demo, [PORTRAIT]
    for backbone in backbones:
        with redirect_stdout(sys.stderr):  # what exporters and NNCF print
            artefacts = students.make(backbone, kept)
        yield artefacts, students.photos(kept / "photos")


def main() -> int:
    """Print the table and return the exit code."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("artefacts", nargs="*", type=Path, help="model files or folders; default: demo and students")
    command.add_argument("--photos", type=Path, help="folder; default: those that the networks know")
    command.add_argument("--number", type=whole_number(1), default=2, help="photos to parse; default: %(default)s")
    command.add_argument("--backbones", nargs="*", choices=BACKBONES, default=SMALL, help="default: all but resnet101")
    command.add_argument("--out", type=Path, default=Path("runs/arm64"), help="keeps students; default: %(default)s")
    command.add_argument("--cpus", nargs="+", choices=CPUS, default=list(CPUS), help="default: all of them")
    command.add_argument("--engine", choices=ENGINES, help="default: the runtime's choice on Arm")
    options = command.parse_args()
    emulator, given = Emulator(), find_photos(options.photos) if options.photos else []
    if options.photos and not given:
        command.error(f"--photos {options.photos}: holds no photos")
    try:
        emulator.prepare()
    except EmulatorError as error:
        command.exit(2, f"{error}\n")
    printed, hold = 0, True
    with TemporaryDirectory() as folder:
        for artefacts, known in groups(options.artefacts, options.backbones, options.out, Path(folder)):
            paths = [path.absolute() for path in artefacts.values()]
            photos = [path.absolute() for path in (given or known)[: options.number]]
            try:
                found = compare(paths, photos, options.cpus, options.engine, emulator)
            except subprocess.CalledProcessError:
                command.exit(2, f"{', '.join(artefacts)}: cannot be compared, for the reason above\n")
            lines = as_markdown(rows(list(artefacts), found)).splitlines()
            print("\n".join(lines[printed:]), flush=True)
            printed = HEADER
            hold &= all(one.holds for parities in found.values() for one in parities)
    return 0 if hold else 1


if __name__ == "__main__":
    sys.exit(main())
