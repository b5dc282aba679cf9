"""Points in time as people type and read them."""

import re
from datetime import datetime, timedelta, tzinfo

from hubbub.errors import Refused

_AGO = re.compile(r"(\d{1,4}) ?(m|min|minutes?|h|hours?|d|days?)(?: ago)?")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_RULE = "A time is like 09:15, 2026-11-24, 2026-11-24 09:15, 30m, 2h, 1d, today or yesterday."


def parse_time(text: str, now: float, tz: tzinfo | None = None) -> float:
    """Return the epoch seconds that `text` means.

    A time of day alone is its last occurrence; `2h` is two hours ago; a date is its midnight.

    Args:
        text: one of the forms that the refusal lists.
        now: epoch seconds.
        tz: whose clock; None for the system's.

    Raises:
        Refused: `time-invalid`; its text lists the forms.

    """
    text = text.strip().lower()
    here = datetime.fromtimestamp(now, tz)
    midnight = here.replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        if ago := _AGO.fullmatch(text):
            return now - int(ago[1]) * _UNITS[ago[2][0]].total_seconds()
        if text in ("today", "yesterday"):
            return (midnight - timedelta(days=text == "yesterday")).timestamp()
        if re.fullmatch(r"\d{1,2}:\d{2}", text):
            hour, minute = text.split(":")
            then = here.replace(hour=int(hour), minute=int(minute), second=0, microsecond=0)
            return (then - timedelta(days=then > here)).timestamp()
        then = datetime.fromisoformat(text)
        return (then if then.tzinfo else then.replace(tzinfo=here.tzinfo)).timestamp()
    except (ValueError, OverflowError):
        raise Refused("time-invalid", _RULE) from None


def shown_time(then: float, now: float, tz: tzinfo | None = None) -> str:
    """Return a point in time as it stands before an old message: with the date unless that is today's.

    Args:
        then: epoch seconds.
        now: the same; what today is.
        tz: whose clock; None for the system's.

    """
    local = datetime.fromtimestamp(then, tz)
    today = local.date() == datetime.fromtimestamp(now, tz).date()
    return local.strftime("[%H:%M] " if today else "[%Y-%m-%d %H:%M] ")
