"""`hubbub serve` and `hubbub echo`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import click

from hubbub import config, console, server
from hubbub.subcommands.options import ECHO, Command, settings_options


@click.command(cls=Command, epilog="hubbub serve --listen 127.0.0.1:8888 --listen '[::1]:8888' --data /var/lib/hubbub")
@settings_options()
def serve(file: str | None, **flags: Any) -> None:
    """Run the chat server until it is stopped."""
    _run(config.read(flags, file), server.serve, config.exposed(flags))


@click.command(cls=Command, epilog="hubbub echo --listen 127.0.0.1:7777\nprintf 'one\\ntwo\\n' | nc -N 127.0.0.1 7777")
@settings_options(ECHO)
def echo(file: str | None, **flags: Any) -> None:
    """Run a server that sends every line back, to test a connection."""
    _run(config.read(flags, file), server.echo)


def _run(
    settings: config.Settings,
    program: Callable[[config.Settings], Coroutine[Any, Any, None]],
    exposed: Sequence[str] = (),
) -> None:
    output = console.set_up(settings.log_level, settings.log_times)
    for flag in exposed:
        variable = config.ENVIRONMENT + flag.removeprefix("--").replace("-", "_").upper()
        text = (
            "%s is a secret, but every user of this machine can read the command line: use the settings file or %s_FILE"
        )
        logging.getLogger("hubbub").warning(text, flag, variable)
    factory = None
    if settings.uvloop:
        with contextlib.suppress(ImportError):
            import uvloop

            factory = uvloop.new_event_loop
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(program(settings))
    finally:
        output.drain(1.0)
