"""The slash commands for a user's terminal: the bell, and plain output."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from hubbub.chat.commands.accounts import SettingChange, changeable_account
from hubbub.chat.commands.moderation import SlashCommand
from hubbub.model.events import Notice
from hubbub.text import refusals

if TYPE_CHECKING:
    from hubbub.chat.hub import Hub
    from hubbub.chat.session import Session

GROUP = "messages"


class Switch(NamedTuple):
    """A choice of a user about all their terminals.

    Args:
        field: the field of `Session` in which a guest's choice is kept.
        setting: the field of `Account` in which that of the owner of an account is kept.
        on: the reply that says that it is on.
        off: the reply that says that it is off.

    """

    field: str
    setting: str
    on: str
    off: str

    def told(self, on: bool) -> str:
        """Return the sentence that says how it is."""
        return self.on if on else self.off


BELL = Switch("rings", "bell", "Your terminal rings when somebody mentions you", "Your terminal does not ring")
PLAIN = Switch(
    "plain",
    "plain",
    "Over ssh and telnet, your terminal shows nothing twice",
    "Over ssh and telnet, your line is drawn again below new messages",
)


def _turn(switch: Switch, hub: Hub, session: Session, argument: str) -> None:
    """Turn a switch on or off: for the account, if the session has one, else for the session."""
    on = argument.lower() == "on"
    if not on and argument.lower() != "off":
        raise refusals.ARGUMENT_INVALID(synopsis=f"/{switch.setting} on|off")
    if session.account is None:
        setattr(session, switch.field, on)
        hub.reply(session, Notice((switch.told(on),)))
        return
    changeable_account(session)
    setattr(session, switch.field, False)
    session.start(SettingChange(switch.setting, on, switch.told(on)))


ROWS = (
    SlashCommand("bell", "on|off", "Ring when somebody mentions you, or not.", partial(_turn, BELL), GROUP),
    SlashCommand(
        "plain", "on|off", "Draw nothing twice (ssh, telnet): for screen readers.", partial(_turn, PLAIN), GROUP
    ),
)
