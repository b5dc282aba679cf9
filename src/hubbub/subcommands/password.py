"""The subcommand `hubbub password`, with its flags."""

from __future__ import annotations

import sys

import click

from hubbub import passwords
from hubbub.subcommands.options import Command, Sentence


@click.command(cls=Command, epilog="hubbub password\npass show chat/operator | hubbub password")
@click.option(
    "--password", "given", help="The password. Other users can see it here; it is safer to type it or pipe it in."
)
def password(given: str | None) -> None:
    """Print the hash of a password, for [[operator]] in the settings."""
    if given is None and sys.stdin.isatty():
        given = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    elif given is None:
        given = sys.stdin.readline().rstrip("\r\n")
    if not given:
        raise Sentence("The password is empty.")
    click.echo(passwords.make(given))
