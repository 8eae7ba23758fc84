"""The zip archives that PyTorch writes, read without PyTorch."""

import json
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from m2fp_kd.runtime.engines.engine import EngineError

OUTPUTS_FILE = "outputs"
"""Extra file in an archive: a JSON list of the outputs' names, in order."""


def output_names(path: Path) -> list[str]:
    """Return the names of the outputs of an archive's network.

    Raises:
        EngineError: the file is not an archive, or does not name its outputs.
    """
    try:
        with ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(f"/extra/{OUTPUTS_FILE}")]
            if names:
                return json.loads(archive.read(names[0]))
    except BadZipFile as error:
        raise EngineError(f"{path}: is broken ({error}); copy it again") from error
    raise EngineError(f"{path}: does not name its outputs; was it exported by m2fp-kd?")


def is_quantised(path: Path) -> bool:
    """Return whether an exported program holds PT2E's INT8 operations."""
    with ZipFile(path) as archive:
        graphs = [name for name in archive.namelist() if "/models/" in name and name.endswith(".json")]
        return any(b"quantized_decomposed" in archive.read(graph) for graph in graphs)


def refuse_pickle(path: Path) -> None:
    """Refuse an exported program with sample inputs: PyTorch would unpickle them, and so run code from the file.

    Raises:
        EngineError: the program has sample inputs.
    """
    with ZipFile(path) as archive:
        if any("/sample_inputs/" in entry.filename and entry.file_size for entry in archive.infolist()):
            raise EngineError(f"{path}: holds pickled sample inputs, which can run code; export it with m2fp-kd")
