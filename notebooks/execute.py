"""Run a notebook on a folder of runs and keep its outputs: python notebooks/execute.py NOTEBOOK RUNS."""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from m2fp_kd.runtime.files import atomic_path

SECONDS = 300
"""Most that a cell may take."""


def execute(notebook: nbformat.NotebookNode, folder: Path, runs: Path) -> None:
    """Run every cell; new outputs take the place of those before.

    Args:
        notebook: to run.
        folder: where it lies.
        runs: folder of the runs whose reports it reads.

    Raises:
        CellExecutionError: a cell failed.
    """
    # Without times of execution, which would change the file whenever it is made anew.
    client = NotebookClient(
        notebook, timeout=SECONDS, record_timing=False, resources={"metadata": {"path": str(folder)}}
    )
    client.execute(env=os.environ | {"M2FP_KD_RUNS": str(runs.absolute())})


def main() -> None:
    """Execute the notebook that the command line names."""
    path, runs = map(Path, sys.argv[1:])
    notebook = nbformat.read(path, as_version=4)
    execute(notebook, path.parent, runs)
    with atomic_path(path) as temporary:
        nbformat.write(notebook, temporary)


if __name__ == "__main__":
    main()
