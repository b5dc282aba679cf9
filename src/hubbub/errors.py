"""Everything that hubbub raises on purpose.

    HubbubError
    +-- SettingsError    a setting, an address or the data folder is unusable: say it, exit 2
    +-- BrokerError      the log could not be read or written just now: say it to who asked, go on
    |   +-- Closed       only members of a room can read it
    |   +-- Busy         too much is asked, by one address or in all; a moment later it works again
    +-- Refused          valid, but not allowed now: say it to the session that asked, it stays

Anything else that leaves a function is a bug.
"""

import os


class HubbubError(Exception):
    """The root of the tree; its text is one sentence that a person can act upon."""


class SettingsError(HubbubError):
    """The server cannot start as it was told to."""


class BrokerError(HubbubError):
    """The broker could not do what it was asked; its text may be shown to people (no path, no trace)."""


class Busy(BrokerError):
    """So much is asked of the log that this is not even begun; it may be asked again in a moment."""


class Refused(HubbubError):
    """A session asked for what it may not have.

    Args:
        code: a stable word for programs, such as `name-taken`.
        text: one sentence for people.
        offer: what could be asked for instead, a name say; "" if nothing is known.

    """

    def __init__(self, code: str, text: str, offer: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.offer = offer


class Closed(BrokerError):
    """A room is not open to whoever asks; the text is that of the refusal, without its full stop.

    Args:
        refused: why.

    """

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.text.removesuffix("."))
        self.code = refused.code


def reason(error: OSError) -> str:
    """Return what the system says about an error: no path, no number."""
    return os.strerror(error.errno or 0)
