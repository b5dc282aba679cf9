"""The command line: `hubbub` and its subcommands.

A subcommand is imported when it is asked for: to load the server takes far longer than to print the version.
"""

from __future__ import annotations

import errno
import gc
import os
import sys
from importlib import import_module
from typing import Any

import click

from hubbub.errors import reason
from hubbub.version import VERSION

# The subcommands in the order in which --help lists them, each with its module and its function there.
SUBCOMMANDS = {
    "serve": ("serve", "serve"),
    "check": ("check", "check"),
    "history": ("history", "history"),
    "search": ("history", "search"),
    "backup": ("transfer", "backup"),
    "export": ("transfer", "export_command"),
    "import": ("transfer", "import_command"),
    "account": ("account", "account"),
    "token": ("account", "token"),
    "password": ("password", "password"),
    "echo": ("serve", "echo"),
    "bench": ("bench", "bench_command"),
}


class Group(click.Group):
    """Loads a subcommand when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all subcommands."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a subcommand; None if there is none of this name."""
        if cmd_name not in SUBCOMMANDS:
            return None
        module, function = SUBCOMMANDS[cmd_name]
        # Loaded code is never garbage: to look for some in it takes a twentieth of the start.
        gc.disable()
        try:
            command: click.Command = getattr(import_module(f"hubbub.subcommands.{module}"), function)
        finally:
            gc.freeze()
            gc.enable()
        return command

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command. If its output, or that of --help, cannot be written, one sentence and exit code 2 say so."""
        try:
            return super().main(*args, **extra)
        except OSError as error:
            if error.filename is not None or error.errno == errno.EPIPE:
                raise
            # The unwritten rest would fail again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            click.echo(f"hubbub: The output cannot be written: {reason(error)}.", err=True)
            sys.exit(2)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, message="hubbub %(version)s")
def main() -> None:
    """A chat server for every client you already have: ssh, nc, telnet, browsers, curl, IRC."""
    _open_standard_streams()
    os.umask(0o077)  # whatever hubbub makes holds what people said, or keys


def _open_standard_streams() -> None:
    """Open /dev/null where standard input, output or error is closed: else a socket or the log would get its number."""
    for number in (0, 1, 2):  # a new descriptor gets the lowest free number
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
