"""The modules of the page fit together: each name that one of them takes from another one is exported there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import hubbub

PAGE = Path(hubbub.__file__).parent / "page"
MODULES = sorted(PAGE.rglob("*.js"))

# Modules that are fetched later have to be used in one of these forms, so that the names can be found.
STATIC = re.compile(r'import (?:\{([^{}]*)\} from )?"([^"]+)"')
LAZY = re.compile(r'lazy\(\(\) => import\("([^"]+)"\), "(\w+)"\)')
AT_ONCE = re.compile(r'import\("([^"]+)"\)\.then\(\(\{([^{}]*)\}\)|\{([^{}]*)\} = await import\("([^"]+)"\)')
LATER = re.compile(r'(\w+) = later\(\(\) => import\("([^"]+)"\)\)')
BY_NAME = r"(\w+) = \(act, \.\.\.about\) => %s\(\)\.then\(\(all\) => all\[act\]"


def names(braces: str, separator: str) -> set[str]:
    """Return the names of the other module in `{ a, b as c }` or `{ a, b: c }`."""
    return {found for name in braces.split(",") if (found := name.split(separator)[0].strip())}


def exported(text: str) -> set[str]:
    """Return the names that a module exports."""
    found = set(re.findall(r"^export (?:async )?(?:function|class|const|let) (\w+)", text, re.MULTILINE))
    for braces in re.findall(r"export ?\{([^{}]*)\}", text):
        found |= {name.split(" as ")[-1].strip() for name in braces.split(",")}
    return found


def used_later(text: str, loader: str) -> tuple[set[str], int]:
    """Return the names that are taken from the module of a loader, and the number of its calls in known forms."""
    found: set[str] = set()
    destructured = rf"\b{loader}\(\)\.then\(\(\{{([^{{}}]*)\}}\)|\{{([^{{}}]*)\}} = await {loader}\(\)"
    calls = re.findall(destructured, text)
    for braces in calls:
        found |= names("".join(braces), ":")
    chosen = re.findall(rf"\(await {loader}\(\)\)\.(\w+)", text)
    helpers = re.findall(BY_NAME % loader, text)
    for helper in helpers:
        found |= set(re.findall(rf'\b{helper}\("(\w+)"', text))
    return found | set(chosen), len(calls) + len(chosen) + len(helpers)


def taken(text: str) -> list[tuple[str, set[str]]]:
    """Return the modules that a module imports at any time, by their relative paths, with the names taken from each."""
    found = [(path, names(braces, " as ")) for braces, path in STATIC.findall(text)]
    found += [(path, {name}) for path, name in LAZY.findall(text)]
    found += [(first or second, names(a or b, ":")) for first, a, b, second in AT_ONCE.findall(text)]
    for loader, path in LATER.findall(text):
        used, calls = used_later(text, loader)
        assert calls == len(re.findall(rf"\b{loader}\(\)", text)), (
            f"{loader}() is used in a form that is not known here"
        )
        found.append((path, used))
    assert len(found) == len(re.findall(r"^import |\bimport\(", text, re.MULTILINE)), "an import in an unknown form"
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_each_imported_name_is_exported(module: Path) -> None:
    for path, wanted in taken(module.read_text("utf-8")):
        other = module.parent / path
        assert other.is_file(), path
        assert wanted <= exported(other.read_text("utf-8")), path


def test_each_exported_name_is_imported() -> None:
    wanted: dict[Path, set[str]] = {}
    for module in MODULES:
        for path, found in taken(module.read_text("utf-8")):
            wanted.setdefault((module.parent / path).resolve(), set()).update(found)
    for module in MODULES:
        if module.parent == PAGE:
            unused = exported(module.read_text("utf-8")) - wanted.get(module.resolve(), set())
            assert not unused, f"{module.name}: {unused}"
