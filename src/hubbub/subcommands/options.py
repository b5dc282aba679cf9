"""The class of the subcommands, their error, and flags that several of them have."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from typing import Any

import click

from hubbub import config
from hubbub.errors import HubbubError

# The settings that tell where a log is.
WHERE = frozenset("data broker nats_creds nats_nkey nats_ca nats_cert nats_key".split())
# The settings that mean something to the echo server.
ECHO = frozenset(
    "listen idle_timeout stall_timeout line_limit buffer max_connections max_per_address no_limits "
    "log_level log_times uvloop".split()
)


_FILES = (
    "tls_cert tls_key tls_client_ca ssh_host_key ssh_keys nats_creds nats_nkey nats_ca nats_cert nats_key auth_socket"
)
# The words for the values of settings in --help; all others have one for their type.
VALUES = dict.fromkeys(_FILES.split(), "FILE") | {
    "listen": "[WIRE:]HOST:PORT",
    "host": "NAME",
    "trust_proxy": "ADDRESS",
    "metrics_listen": "HOST:PORT",
    "server_name": "NAME",
    "irc_password": "PASSWORD",
    "irc_origin": "URL",
    "push_allow": "NETWORK",
    "webirc_from": "ADDRESS",
    "webirc_password": "HASH",
    "operator": "NAME:HASH",
    "auth_command": "COMMAND",
    "auth_header": "NAME",
    "data": "FOLDER",
    "broker": "URLS",
}
_UNITS = {"s": "SECONDS", "days": "DAYS"}


def typed_password() -> str:
    """Return a password that is typed without echo, or piped in; other users of the machine can read arguments."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


class Sentence(click.ClickException):
    """An error, shown as one sentence on standard error and without a traceback."""

    def __init__(self, text: str, exit_code: int = 2) -> None:
        super().__init__(text)
        self.exit_code = exit_code  # type: ignore[misc]  # click means it to be set on the instance

    def show(self, file: Any = None) -> None:
        """Print the sentence on standard error."""
        click.echo(f"hubbub: {self.message}", err=True)


class Command(click.Command):
    """A command whose epilog is an example, kept as it is written; errors of hubbub become sentences."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. A character that the terminal does not have is printed as a question mark."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        try:
            result = super().invoke(ctx)
            if sys.stdout:  # None if it was closed
                sys.stdout.flush()
        except HubbubError as error:
            raise Sentence(str(error)) from None
        return result

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example with its line breaks."""
        with formatter.section("Example"):
            for line in (self.epilog or "").splitlines():
                formatter.write(f"  {line}\n")


def settings_options(names: frozenset[str] = frozenset()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds a flag for each of these settings, for all if none is named."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for name, (kind, note, default) in reversed(list(config.table().items())):
            if not names or name in names:
                command = _option(name, kind, f"{note.description}", config.show(default), note)(command)
        return click.option(
            "--config", "file", metavar="FILE.toml", help="Read settings from a file; flags override it."
        )(command)

    return decorate


def _option(name: str, kind: type, text: str, default: str, note: Any) -> Callable[..., Any]:
    flag = "--" + name.replace("_", "-")
    unit = (note.extra or {}).get("unit", "")
    text += f"  [default: {default}{' ' + unit if unit else ''}]"
    if kind is bool:
        return click.option(f"{flag}/{config.opposite(flag)}", name, is_flag=True, default=None, help=text)
    if kind == list[str]:
        return click.option(flag, name, multiple=True, metavar=VALUES[name], help=text)
    metavar = VALUES.get(name) or {int: "N", float: _UNITS.get(unit, "N")}.get(kind, "TEXT")
    if words := re.fullmatch(r"\^\(([a-z|-]+)\)\$", note.pattern or ""):
        metavar = f"[{words[1]}]"
    return click.option(flag, name, metavar=metavar, help=text)


data_option = click.option("--data", metavar="FOLDER", help="Folder with the log.  [default: hubbub-data]")
format_option = click.option(
    "--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True,
    help="Lines as in the chat, or one JSON object per line.",
)  # fmt: skip
