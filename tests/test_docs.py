"""Everything that README, CONTRIBUTING and the pages of the site tell people to type exists; their English is plain."""

import argparse
import contextlib
import importlib.util
import io
import re
import runpy
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from m2fp_kd.cli import main
from m2fp_kd.config import register_resolvers

ROOT = Path(__file__).parents[1]
NAMES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "data/README.md")
PAGES = [*(ROOT / name for name in NAMES), *sorted((ROOT / "docs").rglob("*.md"))]
TEXT = {path: path.read_text() for path in PAGES}
pages = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))

TELL_TALE = r"\b(so many|anew|goes on|whoever|let through|is told|is said|is asked)\b"
"""Phrases of a private English that a reader would have to translate."""


def found(pattern: str, page: Path) -> list[str]:
    return re.findall(pattern, TEXT[page], re.MULTILINE)


def exists(name: str, page: Path) -> bool:
    """Whether the repository has a file, or the page gives it in a block that begins with the file's name."""
    return (ROOT / name).is_file() or f"```python\n# {name}\n" in TEXT[page] or f"```yaml\n# {name}\n" in TEXT[page]


def blocks(page: Path) -> list[str]:
    """The lines of fenced blocks, those that a backslash continues as one."""
    found = re.findall(r"^ *```.*?\n(.*?)^ *```", TEXT[page], re.MULTILINE | re.DOTALL)
    return "\n".join(found).replace("\\\n", " ").splitlines()


def code(page: Path) -> list[str]:
    """The lines of fenced blocks, and every `inline` code as a line."""
    inline = re.findall(r"`([^`]+)`", re.sub(r"^ *```.*?^ *```", "", TEXT[page], flags=re.MULTILINE | re.DOTALL))
    return blocks(page) + [" ".join(words.split()) for words in inline]


def commands(program: str, page: Path, lines: Callable[[Path], list[str]] = code) -> list[list[str]]:
    """The words after the program in every line that calls it, without comments and redirections.

    The output of a command inside the line is a number.
    """
    texts = (re.sub(r"\$\(.*?\)", "1", line) for line in lines(page))
    calls = [re.search(rf"(?:^|[\s(]){program}(?: (.*))?$", line) for line in texts]
    return [shlex.split((call[1] or "").partition(" > ")[0], comments=True) for call in calls if call]


class Parsed(Exception):
    """The arguments of a command are right."""


@pytest.fixture
def only_parse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop every program when it has parsed its arguments."""
    parse = argparse.ArgumentParser.parse_args

    def stop(parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None) -> None:
        parse(parser, arguments)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)


@cache
def help_of(*words: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main([*words, "--help"])
    return printed.getvalue()


def composes(words: list[str]) -> None:
    """Compose the configuration of a training command, with the first of the values that it offers."""
    overrides = [re.sub(r"=(\w+)[,|][\w,|]+$", r"=\1", word) for word in words if "=" in word]
    compose("config", overrides=["run_dir=unused", *overrides], return_hydra_config=True)


@pages
def test_imports_work(page: Path) -> None:
    for line in found(r"^ *(from m2fp_kd\S* import \w+(?:, \w+)*)", page):
        exec(line, {})


@pages
def test_modules_and_files_exist(page: Path) -> None:
    for module in found(r"python -m (m2fp_kd[\w.]*)", page):
        spec = importlib.util.find_spec(module)
        assert spec, module
        assert spec.submodule_search_locations is None or importlib.util.find_spec(f"{module}.__main__"), module
    for name in found(r"\b((?:benchmarks|notebooks|tests|src|conf|docs|deploy)/[\w/.-]+\.\w+)\b", page):
        assert exists(name, page), name


@pages
def test_named_objects_exist(page: Path) -> None:
    """`m2fp_kd.room.file.name` in the text, and what the reference's pages show."""
    for name in found(r"(?:`|::: )(m2fp_kd(?:\.\w+)+)", page):
        with contextlib.suppress(ModuleNotFoundError):
            if importlib.util.find_spec(name):
                continue
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name


@pages
def test_choices_exist(page: Path) -> None:
    """GROUP=CHOICE, for instance `compress=int8_qat,prune40_int8` or `experiment=[ppp,fair_kd]`."""
    groups = sorted(path.name for path in (ROOT / "conf").iterdir() if path.is_dir())
    for group, choices in found(rf"(?<![\w.-])({'|'.join(groups)})=\[?([a-z][\w,|]*)", page):
        for choice in filter(None, re.split(r"[,|]", choices)):
            assert exists(f"conf/{group}/{choice}.yaml", page), f"{group}={choice}"


@pages
def test_training_commands_compose(page: Path) -> None:
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        for program in (r"python train\.py", "m2fp-kd train", "m2fp-kd cache", r"python -m benchmarks\.training_step"):
            for words in commands(program, page):
                composes(words)


@pages
def test_options_of_commands_exist(page: Path) -> None:
    """Also where the text names a command with an option and leaves out the rest."""
    for words in commands("m2fp-kd", page):
        command = next(iter(words), "")
        if not re.fullmatch(r"[a-z]+", command):  # the name alone, or COMMAND
            continue
        assert re.search(rf"^    {command}\b", help_of(), re.MULTILINE), f"m2fp-kd {command}"
        for option in (word for word in words if word.startswith("--")):
            assert re.search(rf"(?<![\w-]){option}\b", help_of(command)), f"m2fp-kd {command} {option}"


@pages
def test_commands_take_these_arguments(page: Path, only_parse: None) -> None:
    for words in commands("m2fp-kd", page, blocks):
        if words and re.fullmatch(r"[a-z]+", words[0]):
            with pytest.raises(Parsed):
                main(words)


@pages
def test_programs_take_these_arguments(page: Path, only_parse: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))  # as Python does for a script
    for script, *words in commands("python(?= benchmarks/)", page):
        monkeypatch.setattr(sys, "argv", [script, *words])
        if words and "argparse" in (ROOT / script).read_text():
            with pytest.raises(Parsed):
                runpy.run_path(str(ROOT / script), run_name="__main__")
    for module, *words in commands("python -m", page):
        monkeypatch.setattr(sys, "argv", [module, *words])
        if words and module.startswith("m2fp_kd"):
            with pytest.raises(Parsed):
                runpy.run_module(module, run_name="__main__")


@pages
def test_make_has_these_targets(page: Path) -> None:
    targets = re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target, *_ in filter(None, commands("(?<!shards )make", page)):
        assert target in targets


@pages
def test_links_resolve(page: Path) -> None:
    for link in found(r"\]\((?!https?:|#)([^)#]+)", page) + found(r'src="(?!https?:)([^"]+)"', page):
        assert (page.parent / link).exists(), link


@pages
def test_the_english_is_plain(page: Path) -> None:
    assert not found(TELL_TALE, page)


def test_the_english_of_code_and_configuration_is_plain() -> None:
    folders = [ROOT / name for name in ("src", "conf", "tests", "benchmarks")]
    files = {path for folder in folders for path in (*folder.rglob("*.py"), *folder.rglob("*.yaml"))}
    texts = {path.relative_to(ROOT).as_posix(): path.read_text() for path in files - {Path(__file__)}}
    assert len(texts) > 400
    assert not {name: phrases for name, text in texts.items() if (phrases := re.findall(TELL_TALE, text))}


def test_the_pages_contain_what_these_tests_look_for() -> None:
    """These tests would pass on empty pages."""
    everything = "\n".join(TEXT.values())
    for pattern in (r"from m2fp_kd\S* import", r"python -m m2fp_kd", r"python benchmarks/\w+\.py .*--", r"::: m2fp_kd"):
        assert len(re.findall(pattern, everything)) > 1, pattern
    assert sum(len(commands(r"python train\.py", page)) for page in PAGES) > 40
    assert sum(len(commands("m2fp-kd", page)) for page in PAGES) > 20
    assert re.search(TELL_TALE, "a number of them was drawn anew")


def test_every_page_of_the_site_is_in_its_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    names = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert not [name for name in names if f": {name}\n" not in navigation]


def test_the_glossary_defines_the_words_of_the_project() -> None:
    defined = re.findall(r"^\| \*\*(.+?)\*\* \| \S", TEXT[ROOT / "docs" / "concepts" / "glossary.md"], re.MULTILINE)
    assert defined == sorted(defined)
    assert set(defined) >= {
        "architecture", "artefact", "bridge", "canvas", "card", "checks", "compression recipe", "gate", "hop",
        "label set", "network file", "objective", "parity", "part", "part distribution", "part map", "person",
        "placement", "student", "teacher", "tta",
    }  # fmt: skip
