"""Run a notebook on a folder of runs and keep its outputs: python notebooks/execute.py NOTEBOOK RUNS."""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from m2fp_kd.runtime.files import atomic_path

SECONDS = 300
"""Time limit of a cell."""


def execute(notebook: nbformat.NotebookNode, folder: Path, runs: Path) -> None:
    """Run every cell and replace its outputs.

    Args:
        notebook: notebook to run.
        folder: folder of the notebook.
        runs: folder of the runs whose reports the notebook reads.

    Raises:
        CellExecutionError: a cell failed.
    """
    # Execution times are not recorded, because they would change the file in every execution.
    client = NotebookClient(
        notebook, timeout=SECONDS, record_timing=False, resources={"metadata": {"path": str(folder)}}
    )
    client.execute(env=os.environ | {"M2FP_KD_RUNS": str(runs.absolute())})


def main() -> None:
    """Execute the notebook named on the command line."""
    path, runs = map(Path, sys.argv[1:])
    notebook = nbformat.read(path, as_version=4)
    execute(notebook, path.parent, runs)
    with atomic_path(path) as temporary:
        nbformat.write(notebook, temporary)


if __name__ == "__main__":
    main()
