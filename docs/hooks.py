"""Fill two reference pages from the code when the site is built: the configuration's files and the commands' help."""

import contextlib
import io
import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the marks `<!-- configuration -->` and `<!-- commands -->`."""
    for mark, text in (("configuration", configuration), ("commands", commands)):
        if f"<!-- {mark} -->" in markdown:
            markdown = markdown.replace(f"<!-- {mark} -->", text())
    return markdown


def configuration() -> str:
    """Return a table of choices for every folder of conf/, and the text of conf/config.yaml."""
    main = (ROOT / "conf" / "config.yaml").read_text().split("\nhydra:")[0]
    return "\n\n".join([*_groups(), f"## config.yaml\n\n```yaml\n{main}\n```"])


def commands() -> str:
    """Return the help of every command of `m2fp-kd` but `train`, which Hydra parses."""
    names = [name for name in re.findall(r"^    (\w+)\b", help_of(), re.MULTILINE) if name != "train"]
    return "\n\n".join(f"## m2fp-kd {name}\n\n```text\n{help_of(name)}\n```" for name in names)


def help_of(*words: str) -> str:
    """Return what `m2fp-kd WORDS --help` prints."""
    from m2fp_kd.cli import main

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main([*words, "--help"])
    return printed.getvalue()


def _groups() -> Iterator[str]:
    for folder in sorted({path.parent for path in (ROOT / "conf").rglob("*.yaml")} - {ROOT / "conf"}):
        choices = [path for path in sorted(folder.glob("*.yaml")) if path.stem != "base"]
        rows = [f"| `{path.stem}` | {_purpose(path)} |" for path in choices]
        name = folder.relative_to(ROOT / "conf").as_posix()
        yield "\n".join([f"## {name}", "", "| choice | purpose |", "|---|---|", *rows])


def _purpose(path: Path) -> str:
    """Return the comment that a file begins with."""
    lines = path.read_text().removeprefix("# @package _global_\n").splitlines()
    comment = takewhile(lambda line: line.startswith("# "), lines)
    return " ".join(line[2:].strip() for line in comment).replace("|", "\\|")
