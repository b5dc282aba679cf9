"""Each wire that has numbers for refusals has one for every code."""

from hubbub.errors import Refused
from hubbub.text import refusals
from hubbub.wire.irc.numerics import FAIL_CODES, NOTICE, REFUSALS, TEXTS
from hubbub.wire.web.statuses import STATUSES, status_of


def test_irc_knows_every_code() -> None:
    assert sorted(REFUSALS) == refusals.CODES
    # 437 is always sent with the sentence of the refusal.
    assert set(REFUSALS.values()) - {NOTICE, 437} <= set(TEXTS)
    assert set(FAIL_CODES) <= set(REFUSALS)


def test_http_knows_every_code() -> None:
    assert sorted(STATUSES) == refusals.CODES
    assert all(400 <= status < 600 for status in STATUSES.values())
    assert status_of(Refused("name-taken", "")) == 409
