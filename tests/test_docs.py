"""What the documents show is what the code does."""

import hashlib
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import click

from hubbub.cli import main
from hubbub.text import bounds

TOP = Path(__file__).parent.parent
PAGES = [TOP / "README.md", TOP / "CONTRIBUTING.md", TOP / "CHANGELOG.md", *sorted((TOP / "docs").glob("*.md"))]


def load(script: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"script_{script}", TOP / "scripts" / f"{script}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_description_of_the_api_is_current() -> None:
    script = load("openapi")
    assert script.FILE.read_text("utf-8") == script.text()


def test_settings_table_is_current() -> None:
    script = load("settings")
    text = script.PAGE.read_text("utf-8")
    assert script.page(text) == text


def test_table_of_refusals_is_current() -> None:
    script = load("refusals")
    text = script.PAGE.read_text("utf-8")
    assert script.BEGIN in text and script.page(text) == text


def test_bounds_are_told() -> None:
    text = (TOP / "docs" / "protocol.md").read_text("utf-8")
    rows = [f"| {row.text} | {row.most:,} {row.unit} | {row.beyond} |" for row in bounds.TABLE]
    assert "\n".join(rows) in text
    values = [value for name, value in vars(bounds).items() if name.isupper() and isinstance(value, int)]
    assert sorted(values) == sorted(row.most for row in bounds.TABLE)


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_commands_and_flags_exist() -> None:
    """Every `hubbub COMMAND --flag` in a document is one of the command line."""
    for page in PAGES:
        for line in re.findall(
            r"hubbub (?:serve|echo|history|search|export|import|check|bench)[^`\n#]*", page.read_text("utf-8")
        ):
            command = main.get_command(click.Context(main), line.split()[1])
            assert command is not None
            known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
            assert {word.split("=")[0] for word in line.split() if word.startswith("--")} <= known | {"--help"}, line


def test_architecture_fits_a_mind() -> None:
    assert len((TOP / "docs" / "architecture.md").read_text("utf-8").splitlines()) <= 80


def test_no_lock_file_names_an_index() -> None:
    for lock in (TOP / "requirements").glob("*.txt"):
        assert not re.search(r"https?://|--index", lock.read_text("utf-8"))


def test_what_the_page_brings_along_is_what_its_list_says() -> None:
    """Scanners find libraries by this list: the file itself names no versions."""
    folder = TOP / "src" / "hubbub" / "page" / "vendor"
    listed = json.loads((folder / "vendor.json").read_text("utf-8"))["components"]
    hashes = {one["content"] for component in listed for one in component.get("hashes", [])}
    assert hashes == {hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.glob("*.js")}
    assert {component["name"] for component in listed} == {"htm", "preact"}
