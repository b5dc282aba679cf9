"""The subcommand `hubbub bench`, with its flags."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import Any

import click

from hubbub.subcommands.options import Command, Sentence
from hubbub.tools import bench


@click.command(
    "bench", cls=Command, epilog="hubbub serve --no-limits --ephemeral &\nhubbub bench --clients 200 --messages 5000"
)
@click.argument("address", default="127.0.0.1:8888")
@click.option("--clients", type=click.IntRange(2), default=100, show_default=True, help="Number of clients.")
@click.option("--senders", type=click.IntRange(1), default=10, show_default=True, help="Number of clients that talk.")
@click.option("--messages", type=click.IntRange(1), default=1000, show_default=True, help="Number of messages in all.")
@click.option(
    "--rate", type=click.FloatRange(0), default=0.0, help="Messages per second in all (0: as fast as possible)."
)
@click.option(
    "--payload", type=click.IntRange(40, 3000), default=64, show_default=True, help="Size of a message in bytes."
)
@click.option(
    "--proto",
    type=click.Choice(["line", "ws", "mixed"]),
    default="line",
    show_default=True,
    help="Protocol of the clients: lines, WebSocket, or half and half.",
)
@click.option("--room", default="bench", show_default=True, help="Room to use.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def bench_command(address: str, as_json: bool, **plan: Any) -> None:
    """Measure a running server at ADDRESS.

    Clients join the server and talk; the results are printed at the end. The server's limits apply to them, too: start
    it with --no-limits to measure the server and not its limits.
    """
    load = bench.Plan(address, **plan)
    bar = click.progressbar(length=load.messages, label="Messages", file=sys.stderr)
    with contextlib.ExitStack() as shown:

        def progress(count: int) -> None:
            if not count:
                shown.enter_context(bar)  # not earlier, so that an error at the start stands alone
            bar.update(count)

        figures = asyncio.run(bench.run(load, progress))
    click.echo(json.dumps(figures) if as_json else bench.table(figures))
    if not figures["complete"]:
        raise Sentence("not every client received every message once and in the same order.", exit_code=1)
