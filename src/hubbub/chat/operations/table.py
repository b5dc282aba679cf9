"""All kinds of operations whose functions get the hub: its owner adds them to it."""

from __future__ import annotations

from hubbub.chat import messages, moderation
from hubbub.chat.classroom import classroom
from hubbub.chat.commands import accounts, codes, ignoring, mentions, slash
from hubbub.chat.commands import moderation as moderation_commands
from hubbub.chat.operations import pages
from hubbub.chat.private import direct
from hubbub.chat.rooms import missed, replay

OPERATIONS = (
    *accounts.OPERATIONS,
    *classroom.OPERATIONS,
    *codes.OPERATIONS,
    *direct.OPERATIONS,
    *ignoring.OPERATIONS,
    *mentions.OPERATIONS,
    *messages.OPERATIONS,
    *missed.OPERATIONS,
    *moderation.OPERATIONS,
    *moderation_commands.OPERATIONS,
    *pages.OPERATIONS,
    *replay.OPERATIONS,
    *slash.OPERATIONS,
)
