"""The site's reference pages take their tables from the code."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
assert SPEC and SPEC.loader
hooks = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(hooks)


def test_the_configuration_has_every_choice_with_its_comment() -> None:
    page = hooks.on_page_markdown("# Configuration\n\n<!-- configuration -->\n")
    for path in (ROOT / "conf").rglob("*/*.yaml"):
        folder = path.parent.relative_to(ROOT / "conf").as_posix()
        section = page.split(f"## {folder}\n")[1].split("\n## ")[0]
        assert (f"| `{path.stem}` |" in section) == (path.stem != "base"), path
    assert "| `int8_qat` | Quantisation-aware training, then static INT8. |" in page
    assert "stage: train #" in page
    assert "@package" not in page


def test_the_command_line_has_the_help_of_every_command() -> None:
    page = hooks.on_page_markdown("<!-- commands -->")
    for name in ("parse", "serve", "bench", "card", "export", "benchmark", "runs", "diff"):
        assert f"## m2fp-kd {name}\n\n```text\nusage: m2fp-kd {name} " in page
    assert "--part-maps" in page and "--gains" in page


def test_other_pages_are_unchanged() -> None:
    assert hooks.on_page_markdown("# Start\n") == "# Start\n"
