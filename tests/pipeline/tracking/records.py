"""Read the record of a W&B run with W&B's own reader."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Artefact:
    """A recorded artefact: type, metadata, and path within it -> local file."""

    type: str
    metadata: dict[str, Any]
    files: dict[str, Path]

    def table(self) -> dict[str, Any]:
        """Return the columns and rows of a logged table."""
        (path,) = (path for name, path in self.files.items() if name.endswith(".table.json"))
        return json.loads(path.read_text())


@dataclass
class Record:
    """Everything that a run logged; the reader joins nested keys by dots.

    Attributes:
        run: id, name, group, job type, tags.
        config: by top-level key, at the end of the run.
        history: one dictionary per step.
        summary: at the end of the run.
        artefacts: by name.
        exit_code: None if the run has not ended.
    """

    run: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    artefacts: dict[str, Artefact] = field(default_factory=dict)
    exit_code: int | None = None

    def curve(self, key: str) -> list[Any]:
        """Return the values of a metric in order."""
        return [step[key] for step in self.history if key in step]


def read_record(folder: Path) -> Record:
    """Read an ``offline-run-…`` folder."""
    (file,) = folder.glob("run-*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    record = Record()
    for line in map(json.loads, lines):
        kind, content = line["type"], line.get(line["type"], {})
        if kind == "run":
            record.run = content
        elif kind == "config":
            record.config |= content["update"]
        elif kind == "history":
            record.history.append(content["item"])
        elif kind == "summary":
            record.summary |= content["update"]
        elif kind == "artifact":
            files = {entry["path"]: Path(entry["local_path"]) for entry in content["manifest"]["contents"]}
            record.artefacts[content["name"]] = Artefact(
                content["type"], json.loads(content.get("metadata", "{}")), files
            )
        elif kind == "exit":
            record.exit_code = content["exit_code"]
    return record
