"""Questions to the log, and the entries that they are about."""

import pytest

from hubbub.model.entries import Kind
from hubbub.model.queries import Around
from hubbub.model.viewer import SYSTEM


@pytest.mark.parametrize(
    ("every", "without", "asked"),
    [
        (False, (), [Kind.MESSAGE]),
        (True, (), [Kind.MESSAGE, Kind.JOIN, Kind.VOTE]),
        (True, (Kind.VOTE,), [Kind.MESSAGE, Kind.JOIN]),
    ],
)
def test_kinds_that_chathistory_asks_for(every: bool, without: tuple[Kind, ...], asked: list[Kind]) -> None:
    query = Around("lobby", "latest", (), 10, every, without, viewer=SYSTEM)
    assert [kind for kind in (Kind.MESSAGE, Kind.JOIN, Kind.VOTE) if query.asks_for(kind)] == asked
