"""Points in time in the forms that users type and read."""

import re
from datetime import datetime, time, timedelta, tzinfo

from hubbub.text import refusals

_AGO = r"(\d{1,4}) ?(m|min|minutes?|h|hours?|d|days?)(?: ago)?"
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def parse_time(text: str, now: float, tz: tzinfo | None = None) -> float:
    """Return the epoch seconds that `text` means.

    A time of day alone means its last occurrence; `2h` is two hours ago; a date is its midnight. A time that the clock
    skipped when it was set forward means the moment of the change.

    Args:
        text: one of the forms that the refusal lists.
        now: epoch seconds.
        tz: the time zone; None for the system's.

    Raises:
        Refused: `time-invalid`; its text lists the forms.

    """
    text = text.strip().lower()
    today = datetime.combine(datetime.fromtimestamp(now, tz), time(), tz)
    try:
        if ago := re.fullmatch(_AGO, text):
            return now - int(ago[1]) * _UNITS[ago[2][0]].total_seconds()
        if text in ("today", "yesterday"):
            return _first(today - timedelta(days=text == "yesterday"))
        if re.fullmatch(r"\d{1,2}:\d{2}", text):
            hour, minute = text.split(":")
            return _last(today.replace(hour=int(hour), minute=int(minute)), now)
        then = datetime.fromisoformat(text)
        return then.timestamp() if then.tzinfo else _first(then.replace(tzinfo=tz))
    except (ValueError, OverflowError):
        raise refusals.TIME_INVALID() from None


def shown_time(then: float, now: float, tz: tzinfo | None = None) -> str:
    """Return a point in time as it is shown before an old message, with the date unless that is today's.

    Args:
        then: epoch seconds of the message.
        now: epoch seconds; they determine the current day.
        tz: the time zone; None for the system's.

    """
    local = datetime.fromtimestamp(then, tz)
    today = local.date() == datetime.fromtimestamp(now, tz).date()
    return local.strftime("[%H:%M] " if today else "[%Y-%m-%d %H:%M] ")


def _shown(moment: float, wall: datetime) -> datetime:
    """Return the local time at a moment, in the time zone of `wall`."""
    return datetime.fromtimestamp(moment, wall.tzinfo).replace(fold=0)


def _last(wall: datetime, now: float) -> float:
    """Return the last moment until now at which the clock showed this time of day."""
    second = wall.replace(fold=1).timestamp()  # some times occur twice when the clock is set back
    if second <= now and _shown(second, wall) == wall:
        return second
    first = _first(wall)
    return first if first <= now else _last(wall - timedelta(days=1), now)


def _first(wall: datetime) -> float:
    """Return the first moment at which the clock shows this time; if the clock skips it, the moment of the change."""
    moment = wall.timestamp()
    if _shown(moment, wall) == wall:
        return moment
    before, after = int(wall.replace(fold=1).timestamp()), int(moment)
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (middle, after) if _shown(middle, wall) < wall else (before, middle)
    return float(after)
