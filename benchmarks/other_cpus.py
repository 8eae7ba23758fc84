"""Compare the part maps that artefacts give on older CPUs with those on this one.

    python benchmarks/other_cpus.py FP32 INT8 --data data/sample
    python benchmarks/other_cpus.py FP32 INT8 --data data/sample --limit 20 --engine onnxruntime \
        --emulator 'qemu-x86_64 -cpu Haswell'

INT8 kernels for CPUs without VNNI add pairs of products in 16 bits, so a file whose sums overflow gives other parts
there. OpenVINO and PyTorch use the kernels of an older CPU where environment variables limit the instruction set.
ONNX Runtime has no such limit and needs an emulator: QEMU's user mode (Debian's package `qemu-user`, from version 7.2)
has AVX2 and no more, and takes about a second a photo of 160 pixels.
"""

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from m2fp_kd.data.layouts import held_out_records
from m2fp_kd.data.reading import Photo, read_record
from m2fp_kd.evaluation.metrics.miou import confusion, miou
from m2fp_kd.evaluation.report.tables import as_markdown
from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.artefact import find_model, load_card
from m2fp_kd.runtime.engines import ENGINES
from m2fp_kd.runtime.parser import Parser

Maps = Mapping[str, NDArray[np.uint8]]
"""Artefact -> the parts at all pixels of all photos, one after the other, uint8 ``(N,)``."""


def limited(isa: str, aten: str) -> list[str]:
    """Return the words before a command that limit its instruction set: OpenVINO's, oneDNN's and PyTorch's."""
    return ["env", f"OV_CPU_MAX_ISA={isa}", f"ONEDNN_MAX_CPU_ISA={isa}", f"ATEN_CPU_CAPABILITY={aten}"]


LIMITS = {"AVX-512 without VNNI": limited("AVX512_CORE", "avx512"), "AVX2": limited("AVX2", "avx2")}
"""Older CPU -> the words before a command that runs it with that CPU's kernels."""


def part_maps(
    artefacts: Sequence[Path],
    data: Path,
    limit: int | None = None,
    engine: str | None = None,
    before: Sequence[str] = (),
) -> Maps:
    """Parse held-out photos in a process of its own.

    Args:
        artefacts: model files or folders.
        data: photos in M2FP's layout.
        limit: number of photos, a fixed choice; None for all.
        engine: one of `ENGINES`; None for the first one that runs the file.
        before: words before the command, such as an emulator.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder) / "maps.npz"
        words = [*before, sys.executable, __file__, *map(str, artefacts), "--data", str(data), "--write", str(file)]
        words += ["--limit", str(limit)] if limit else []
        words += ["--engine", engine] if engine else []
        subprocess.run(words, check=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
        with np.load(file) as maps:
            return {str(path): maps[str(index)] for index, path in enumerate(artefacts)}


def write_maps(artefacts: Sequence[Path], photos: Sequence[Photo], engine: str | None, file: Path) -> None:
    """Parse the photos in this process and write the maps under the artefacts' indices."""
    maps = {}
    for index, path in enumerate(artefacts):
        parser = Parser.load(path, engine=engine, threads=1, keep=False)
        maps[str(index)] = np.concatenate([parser.part_map(photo.image).ravel() for photo in photos])
    np.savez_compressed(file, **maps)


def agreement(first: NDArray, second: NDArray) -> str:
    """Return the share of pixels with the same part in percent."""
    return f"{100 * (first == second).mean():.2f}"


def rows(found: Mapping[str, Maps], photos: Sequence[Photo], labels: LabelSet) -> list[dict[str, str]]:
    """Return one row for each CPU and artefact; the first CPU and the first artefact are the ones to compare with."""
    truth = np.concatenate([photo.parts.ravel() for photo in photos if photo.parts is not None])
    native = next(iter(found.values()))
    return [
        {
            "CPU": cpu,
            "artefact": path,
            "mIoU [%]": f"{100 * miou(confusion(truth, parts, labels.num_parts, labels.ignore_index)):.2f}",
            "as the first artefact here [%]": agreement(parts, next(iter(maps.values()))),
            "as on this CPU [%]": agreement(parts, native[path]),
        }
        for cpu, maps in found.items()
        for path, parts in maps.items()
    ]


def main() -> None:
    """Print the table."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("artefacts", nargs="+", type=Path, help="model files or folders, fp32 first")
    command.add_argument("--data", type=Path, required=True, help="labelled photos in M2FP's layout")
    command.add_argument("--limit", type=int, help="number of photos, a fixed choice; default: all")
    command.add_argument("--engine", choices=ENGINES, help="default: the first one that runs the file")
    command.add_argument("--emulator", help="command that emulates an older CPU; default: limited instruction sets")
    command.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    options = command.parse_args()
    if options.engine == "onnxruntime" and not (options.emulator or options.write):
        command.error("ONNX Runtime's instruction set cannot be limited; add --emulator 'qemu-x86_64 -cpu Haswell'")
    labels = load_card(find_model(options.artefacts[0])).labels
    photos = [read_record(record, labels) for record in held_out_records(options.data, options.limit)]
    if options.write:
        write_maps(options.artefacts, photos, options.engine, options.write)
        return
    cpus = {"emulated": shlex.split(options.emulator)} if options.emulator else LIMITS
    found = {
        cpu: part_maps(options.artefacts, options.data, options.limit, options.engine, before)
        for cpu, before in ({"this CPU": []} | cpus).items()
    }
    print(as_markdown(rows(found, photos, labels)))


if __name__ == "__main__":
    main()
