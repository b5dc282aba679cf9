"""The command line of commands over ssh, such as `ssh chat.example say ops hello`. No shell ever sees it."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import NamedTuple

import click

from hubbub.model.conversation import MARK
from hubbub.text.bounds import MESSAGE_BYTES
from hubbub.text.cleaning import clean

LINE_BYTES = MESSAGE_BYTES + 1024  # of a command line: one message, and the words before it
MOST = 200  # messages that one command shows


class PostText(NamedTuple):
    """Send a message to a room; with an empty text, the message is read from the standard input."""

    room: str
    text: str


class ShowTail(NamedTuple):
    """Show the newest messages of a room or of a private conversation, and with `follow` each new message of a room."""

    room: str
    number: int
    follow: bool


class SearchLog(NamedTuple):
    """Search for words, with the filters of /search."""

    words: str
    number: int


class ListRooms(NamedTuple):
    """List the rooms that the peer may know of."""


class ListMembers(NamedTuple):
    """List the people in a room."""

    room: str


class SendPrivately(NamedTuple):
    """Send a private message; with an empty text, it is read from the standard input."""

    name: str
    text: str


class ExportRoom(NamedTuple):
    """Show all messages of a room as JSON lines."""

    room: str


class ShowHelp(NamedTuple):
    """Show how the commands are used."""


Command = PostText | ShowTail | SearchLog | ListRooms | ListMembers | SendPrivately | ExportRoom | ShowHelp


class Unusable(Exception):
    """A command line that cannot be run; its text says why."""


def parse(line: str) -> Command:
    """Return the command on a line, whose words are divided like those of a shell.

    Raises:
        Unusable: it is too long, has a quote without an end, or names no command with its arguments.

    """
    if len(line.encode("utf-8", "replace")) > LINE_BYTES:
        raise Unusable(f"A command has at most {LINE_BYTES} bytes. `say ROOM` also reads the standard input.")
    try:
        words = shlex.split(line)
    except ValueError:
        raise Unusable(
            "A quotation mark has no counterpart. Put the text in one more pair of them: \"'...'\""
        ) from None
    if not words or "--help" in words[:2]:
        return ShowHelp()
    try:
        command: Command = _commands.invoke(_commands.make_context("ssh HOST", words))
    except click.UsageError as error:
        raise Unusable(f"{clean(error.format_message()).removesuffix('.')}. `help` lists the commands.") from None
    return command


def usage() -> str:
    """Return the help: a line for each command."""
    known = _commands.commands.items()
    return "".join(f"{name} {one.options_metavar}".rstrip() + f"\n    {one.help}\n" for name, one in known)


@click.group(add_help_option=False)
def _commands() -> None:
    """Group the commands: click finds them here by their names."""


def _command(metavar: str) -> Callable[[Callable[..., Command]], click.Command]:
    # A text may have words that begin with a hyphen.
    settings = {"ignore_unknown_options": True}
    return _commands.command(options_metavar=metavar, context_settings=settings, add_help_option=False)


@_command("ROOM [TEXT]")
@click.argument("room")
@click.argument("text", nargs=-1, type=click.UNPROCESSED)
def say(room: str, text: tuple[str, ...]) -> PostText:
    """Send a message. Without TEXT, the standard input is sent as one message."""
    return PostText(room, " ".join(text))


@_command("[-n N] [-f] ROOM")
@click.option("-n", "number", type=click.IntRange(0, MOST), default=10)
@click.option("-f", "follow", is_flag=True)
@click.argument("room")
def tail(room: str, number: int, follow: bool) -> ShowTail:
    """Show the newest N messages (10) of a room or of @NAME; with -f, go on with new messages of the room."""
    if follow and room.startswith(MARK):
        raise click.UsageError("-f follows rooms only")
    return ShowTail(room, number, follow)


@_command("[-n N] WORDS")
@click.option("-n", "number", type=click.IntRange(1, MOST), default=20)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, required=True)
def search(words: tuple[str, ...], number: int) -> SearchLog:
    """Show the newest N messages (20) with all WORDS; from:NAME in:ROOM before:TIME after:2h narrow the search."""
    return SearchLog(" ".join(words), number)


@_command("")
def rooms() -> ListRooms:
    """List the rooms, with the number of people in them and their topics."""
    return ListRooms()


@_command("ROOM")
@click.argument("room")
def who(room: str) -> ListMembers:
    """List the people in a room."""
    return ListMembers(room)


@_command("NAME [TEXT]")
@click.argument("name")
@click.argument("text", nargs=-1, type=click.UNPROCESSED)
def msg(name: str, text: tuple[str, ...]) -> SendPrivately:
    """Send a private message from your account. Without TEXT, the standard input is sent as one message."""
    return SendPrivately(name, " ".join(text))


@_command("ROOM")
@click.argument("room")
def export(room: str) -> ExportRoom:
    """Show all messages that you may read in a room, each as a JSON object on a line."""
    return ExportRoom(room)


@_command("")
def help() -> ShowHelp:
    """Show this help."""
    return ShowHelp()
