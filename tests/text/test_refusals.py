"""The table of refusals: complete, used by everybody, and the only place where a refusal is worded."""

import ast
from pathlib import Path
from string import Formatter

import pytest

from hubbub.text import refusals

SOURCE = Path(refusals.__file__).parent.parent
MADE_IN = {"Refused": {"text/refusals.py"}, "Refusal": set()}  # by class: the modules that may call it


def fields_of(wording: refusals.Wording) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(wording.sentence) if field}


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def calls(path: Path) -> list[ast.Call]:
    """Return the calls of a module, none if it does not speak of refusals."""
    text = path.read_text("utf-8")
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)] if "efus" in text else []


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_the_table_words_refusals(path: Path) -> None:
    where = path.relative_to(SOURCE).as_posix()
    made = {call.func.id for call in calls(path) if isinstance(call.func, ast.Name)}
    assert not {name for name in made & set(MADE_IN) if where not in MADE_IN[name]}


def test_every_use_of_a_wording_gives_all_its_fields() -> None:
    used = set()
    for path in modules():
        for call in calls(path):
            func = call.func
            if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == "refusals":
                used.add(func.attr)
                given = {keyword.arg for keyword in call.keywords} - {"offer"}
                assert given == fields_of(refusals.ALL[func.attr]), f"{path.name}:{call.lineno}"
    # These are chosen first and called through a variable.
    chosen = {
        "SLOW_INVALID",
        "LIMIT_INVALID",
        "FLOOD_INVALID",
        "NAME_INVALID",
        "ROOM_INVALID",
        "NO_PROXY",
        "NO_SSH",
        "NOT_SPOKEN",
    }
    assert used | chosen == set(refusals.ALL)
    assert not used & chosen


@pytest.mark.parametrize("name", refusals.ALL)
def test_sentence_is_complete(name: str) -> None:
    wording = refusals.ALL[name]
    text = wording(offer="x", **dict.fromkeys(fields_of(wording), 7)).text
    assert text[0] == text[0].upper() or (text.startswith(("slow ", "limit ", "flood ", "/")) and "{" not in text)
    assert text.endswith((".", "…", "KEY", "HOST:PORT", "7")), text


def test_refusal_has_code_sentence_and_offer() -> None:
    refused = refusals.NAME_TAKEN("Ann2", name="Ann")
    assert (refused.code, refused.text, refused.offer) == ("name-taken", "The name Ann is taken.", "Ann2")


def test_a_refusal_that_was_told_as_an_event_is_raised_again_as_it_was() -> None:
    refusal = refusals.told("name-taken", "Somebody has that name.", "Ann2")
    assert (refusal.code, refusal.text, refusal.offer) == ("name-taken", "Somebody has that name.", "Ann2")
