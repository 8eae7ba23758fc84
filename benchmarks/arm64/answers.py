"""Parse photos with artefacts and write part maps and logits, on this CPU or on an emulated one.

`benchmarks/arm64` starts this file twice. It needs the torch-free runtime only.
"""

import argparse
import platform
import sys
import time
from pathlib import Path

import numpy as np

from m2fp_kd.runtime.parser import Parser


def main() -> None:
    """Write the answers as `.npz`.

    Its keys for artefact A and photo P, both numbered: ``engine/A``; ``seconds/A``, the processor time of a photo;
    ``map/A/P``, the part map; and ``OUTPUT/A/P``, the network's outputs.
    """
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument("artefacts", nargs="+", type=Path)
    command.add_argument("--photos", nargs="+", type=Path, required=True)
    command.add_argument("--engines", nargs="+", required=True, help="one for each artefact, or - for the preferred")
    command.add_argument("--write", type=Path, required=True)
    options = command.parse_args()
    found = {"machine": np.array(platform.machine())}
    for index, (artefact, engine) in enumerate(zip(options.artefacts, options.engines, strict=True)):
        parser = Parser.load(artefact, None if engine == "-" else engine, threads=1, keep=False)
        start = time.process_time()
        for number, photo in enumerate(options.photos):
            parsing = parser(photo)
            found[f"map/{index}/{number}"] = parsing.part_map
            outputs = {name: values for name, values in parsing.outputs.items() if name != "part_map"}
            found |= {f"{name}/{index}/{number}": values for name, values in outputs.items()}
        found[f"seconds/{index}"] = np.array((time.process_time() - start) / len(options.photos))
        found[f"engine/{index}"] = np.array(parser.engine.name)
    if "torch" in sys.modules:
        raise RuntimeError("the runtime imported PyTorch")
    np.savez(options.write, **found)


if __name__ == "__main__":
    main()
