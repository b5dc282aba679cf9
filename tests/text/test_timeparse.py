import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from hubbub.errors import Refused
from hubbub.text.typed.times import parse_time

HERE = timezone(timedelta(hours=2))
NOW = datetime(2026, 11, 24, 9, 15, 30, tzinfo=HERE)


def when(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=HERE)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("09:15", when(2026, 11, 24, 9, 15)),
        ("9:15", when(2026, 11, 24, 9, 15)),
        ("00:00", when(2026, 11, 24)),
        ("09:16", when(2026, 11, 23, 9, 16)),
        ("23:59", when(2026, 11, 23, 23, 59)),
        ("today", when(2026, 11, 24)),
        (" Yesterday ", when(2026, 11, 23)),
        ("2026-11-20", when(2026, 11, 20)),
        ("2026-11-20 08:00", when(2026, 11, 20, 8)),
        ("2026-11-20T08:00", when(2026, 11, 20, 8)),
        ("2026-11-20 08:00:59", when(2026, 11, 20, 8, 0, 59)),
        ("30m", NOW - timedelta(minutes=30)),
        ("30 min", NOW - timedelta(minutes=30)),
        ("1 minute", NOW - timedelta(minutes=1)),
        ("30 minutes ago", NOW - timedelta(minutes=30)),
        ("2h", NOW - timedelta(hours=2)),
        ("2 hours ago", NOW - timedelta(hours=2)),
        ("1 hour", NOW - timedelta(hours=1)),
        ("1d", NOW - timedelta(days=1)),
        ("3 days ago", NOW - timedelta(days=3)),
        ("9999d", NOW - timedelta(days=9999)),
    ],
)
def test_time_is_understood(text: str, meant: datetime) -> None:
    assert parse_time(text, NOW.timestamp(), HERE) == meant.timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "24:00",
        "9:60",
        "9",
        ":",
        "-1h",
        "2w",
        "h",
        "99999h",
        "1mours",
        "1hin",
        "1hays",
        "1 dours",
        "2026-13-01",
        "2026-02-30",
        "0000-00-00",
        "tomorrow",
    ],
)
def test_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Refused, match=r"09:15.*2026-11-24.*30m.*yesterday") as refusal:
        parse_time(text, NOW.timestamp(), HERE)
    assert refusal.value.code == "time-invalid"


def test_date_beyond_what_clocks_know_is_refused() -> None:
    with pytest.raises(Refused):
        parse_time("0001-01-01", NOW.timestamp(), None)


def test_time_with_a_zone_of_its_own_is_not_taken_for_a_time_here() -> None:
    try:
        meant = parse_time("2026-11-20 08:00+05:00", NOW.timestamp(), HERE)
    except Refused:
        return
    assert meant == datetime(2026, 11, 20, 8, tzinfo=timezone(timedelta(hours=5))).timestamp()


def test_time_without_a_zone_is_the_systems() -> None:
    here = datetime.fromtimestamp(NOW.timestamp())
    assert parse_time("2026-11-20 08:00", here.timestamp()) == datetime(2026, 11, 20, 8).timestamp()


# Central Europe: on 2026-03-29 the clock goes from 02:00 to 03:00, on 2026-10-25 from 03:00 back to 02:00.
BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"
CAIRO = "EET-2EEST,M4.5.5/0,M10.5.4/24"  # on 2026-04-24 it goes from 00:00 to 01:00


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Set the system's zone."""
    with monkeypatch.context() as patch:

        def zone(rule: str) -> None:
            patch.setenv("TZ", rule)
            time.tzset()

        yield zone
    time.tzset()


@pytest.mark.parametrize(
    ("now", "text", "meant"),
    [
        # The clock was set forward: what it never showed is the moment of that.
        ("2026-03-29T01:10Z", "02:30", "2026-03-29T01:00Z"),
        ("2026-03-29T02:00Z", "02:30", "2026-03-29T01:00Z"),
        ("2026-03-29T01:10Z", "2026-03-29 02:30", "2026-03-29T01:00Z"),
        ("2026-03-29T01:10Z", "03:05", "2026-03-29T01:05Z"),
        ("2026-03-29T01:10Z", "01:59", "2026-03-29T00:59Z"),
        ("2026-03-29T00:40Z", "02:30", "2026-03-28T01:30Z"),  # not yet
        ("2026-03-29T12:00Z", "13:00", "2026-03-29T11:00Z"),
        ("2026-03-29T10:00Z", "23:00", "2026-03-28T22:00Z"),
        ("2026-03-29T10:00Z", "today", "2026-03-28T23:00Z"),
        ("2026-03-30T10:00Z", "yesterday", "2026-03-28T23:00Z"),
        # It was set back: what it showed twice is the later one that is not in the future.
        ("2026-10-25T01:35Z", "02:45", "2026-10-25T00:45Z"),
        ("2026-10-25T01:35Z", "02:30", "2026-10-25T01:30Z"),
        ("2026-10-25T00:50Z", "02:45", "2026-10-25T00:45Z"),
        ("2026-10-25T10:00Z", "02:45", "2026-10-25T01:45Z"),
        ("2026-10-25T10:00Z", "2026-10-25 02:45", "2026-10-25T00:45Z"),
        ("2026-10-25T00:40Z", "02:45", "2026-10-24T00:45Z"),
        ("2026-10-26T10:00Z", "yesterday", "2026-10-24T22:00Z"),
    ],
)
def test_time_of_day_where_the_clock_was_changed(zone: Callable[[str], None], now: str, text: str, meant: str) -> None:
    zone(BERLIN)
    assert parse_time(text, datetime.fromisoformat(now).timestamp()) == datetime.fromisoformat(meant).timestamp()


def test_day_without_a_midnight_begins_when_the_clock_is_set_forward(zone: Callable[[str], None]) -> None:
    zone(CAIRO)
    begin = datetime(2026, 4, 23, 22, tzinfo=UTC).timestamp()
    assert parse_time("today", begin + 3600) == begin
    assert parse_time("2026-04-24", begin + 3600) == begin
