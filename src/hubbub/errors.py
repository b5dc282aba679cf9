"""All exceptions that hubbub raises on purpose.

    HubbubError
    +-- SettingsError    a setting, an address or the data folder is unusable: print it, exit with status 2
    +-- BrokerError      the log could not be read or written at the moment: report it to the caller, go on
    |   +-- Closed       a room's log is not open to the caller
    |   +-- Busy         one address or all together have too many requests; it works again in a moment
    +-- Refused          valid, but not allowed now: report it to the session, which stays connected

Any other exception that leaves a function is a bug.
"""

import os


class HubbubError(Exception):
    """The base class of hubbub's exceptions; the text is one sentence that a person can act upon."""


class SettingsError(HubbubError):
    """The program cannot work with its settings or arguments."""


class BrokerError(HubbubError):
    """The broker could not fulfil a request; the text may be shown to users (no path, no trace)."""


class Busy(BrokerError):
    """Too many requests wait for the log, so this one was not started; it may be repeated in a moment."""


class Refused(HubbubError):
    """A session requested something that it may not do. All refusals are made in text/refusals.py.

    Args:
        code: a stable word for programs, such as `name-taken`.
        text: one sentence for users.
        offer: an alternative that could be requested instead, such as another name; "" if none is known.

    """

    def __init__(self, code: str, text: str, offer: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.offer = offer


class Closed(BrokerError):
    """A room is not open to the viewer of a query; the text is that of the refusal, without its full stop.

    Args:
        refused: the refusal.

    """

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.text.removesuffix("."))
        self.refused = refused


def reason(error: OSError) -> str:
    """Return the system's text for an error, without a path or a number."""
    return os.strerror(error.errno or 0)
