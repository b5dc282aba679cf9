"""`hubbub export`, `hubbub import` and `hubbub backup`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hubbub import config
from hubbub.storage.sqlite.upkeep.backup import back_up
from hubbub.subcommands.options import WHERE, Command, Sentence, data_option, settings_options
from hubbub.subcommands.output import counted, progress_bar, sized
from hubbub.subcommands.transcript import write_transcript
from hubbub.tools import exported_lines, transfer


@click.command(
    "export",
    cls=Command,
    epilog="hubbub export --data /var/lib/hubbub backup.jsonl\n"
    "hubbub export --to html --room ops ops.html\n"
    "hubbub export --broker nats://127.0.0.1:4222 | gzip > backup.jsonl.gz",
)
@settings_options(WHERE)
@click.option("--salvage", is_flag=True, help="Export whatever can still be read of a damaged log in --data.")
@click.option("--private", is_flag=True, help="Export the private messages of people with accounts as well.")
@click.option(
    "--to",
    "form",
    type=click.Choice(["jsonl", "html", "markdown", "text"]),
    default="jsonl",
    show_default=True,
    help="Form: JSON lines of all rooms, or a transcript of one --room in --data.",
)
@click.option("--room", help="Room of the transcript.")
@click.argument("target", metavar="[FILE]", default="-")
def export_command(
    file: str | None, target: str, salvage: bool, private: bool, form: str, room: str | None, **flags: Any
) -> None:
    """Export a log to FILE or standard output.

    Each line is a JSON object. With --to and --room it is a transcript for people instead: the messages of a room by
    day, as they are now, as a page to print (--to html), Markdown or text.

    The server may keep running; entries that it stores after the start of the export are
    not included. An interrupted export continues when it is started again with the same FILE. Damaged entries are left
    out, and the exit code is then 1, unless --salvage is given.
    """
    settings = config.read(flags, file)
    if (form == "jsonl") != (room is None):
        raise Sentence("a transcript (--to html, markdown or text) is that of one --room, and needs both options.")
    if room is not None:
        if settings.broker or salvage or private:
            raise Sentence("a transcript is made of a log in --data, without --broker, --salvage and --private.")
        write_transcript(settings.data, room, form, target)
        return
    with progress_bar("Exporting") as progress, exported_lines.output(target, private) as output:
        done = transfer.export(settings, output, progress, salvage)
    if target != "-":
        click.echo(f"{counted(done.entries - output.withheld)} in {target}.")
    if done.left_out:
        text = f"{counted(done.left_out)} left out because of damage. All others were exported."
        if not salvage:
            raise Sentence(text, exit_code=1)
        click.echo(f"hubbub: {text}", err=True)


@click.command(cls=Command, epilog="hubbub backup --data /var/lib/hubbub /srv/backup/2026-11-24")
@data_option
@click.argument("target", metavar="FOLDER")
def backup(data: str | None, target: str) -> None:
    """Copy a data folder into FOLDER.

    The server may keep running. FOLDER must be empty or not exist. It appears when the copy is complete and checked. To
    restore it, stop the server, replace its data folder by FOLDER, and start it.
    """
    settings = config.read({"data": data}, None)
    if settings.broker:
        raise Sentence("a log on NATS can only be backed up with hubbub export.")
    with progress_bar("Copying") as copying, progress_bar("Verifying") as verifying:
        size = back_up(Path(settings.data), Path(target), copying, verifying)
    click.echo(f"{sized(size)} in {target}.")


@click.command(
    "import",
    cls=Command,
    epilog="hubbub import --data /var/lib/hubbub backup.jsonl\n"
    "gunzip -c backup.jsonl.gz | hubbub import --broker nats://127.0.0.1:4222",
)
@settings_options(WHERE | {"replicas"})
@click.argument("source", metavar="[FILE]", default="-")
def import_command(file: str | None, source: str, **flags: Any) -> None:
    """Import FILE or standard input into a log.

    The input comes from `hubbub export`. Entries that the log has already are skipped, so an interrupted import can
    simply be started again. Stop the server before importing into --data; nodes on --broker may keep running.
    """
    settings = config.read(flags, file)
    with progress_bar("Importing") as progress, exported_lines.source(source) as lines:
        added, known = transfer.take_in(settings, lines, progress)
    click.echo(f"{counted(added)} added" + (f"; {known:,} already there." if known else "."))
