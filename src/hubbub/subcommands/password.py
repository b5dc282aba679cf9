"""The subcommand `hubbub password`, which prints the hash of a password for the settings."""

from __future__ import annotations

import click

from hubbub import passwords
from hubbub.subcommands.options import Command, Sentence, typed_password


@click.command(cls=Command, epilog="hubbub password\npass show chat/operator | hubbub password")
def password() -> None:
    """Print the hash of a password, for [[operator]] in the settings. The password is typed or piped in."""
    given = typed_password()
    if not given:
        raise Sentence("The password is empty.")
    click.echo(passwords.make(given))
