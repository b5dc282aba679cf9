"""The command line: what it prints, what it says when something is wrong, and its exit codes."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from hubbub import config
from hubbub.cli import main
from hubbub.model.entries import Kind
from hubbub.passwords import is_operator, verify
from hubbub.storage.sqlite.schema import FILE
from hubbub.storage.sqlite.store import Store
from programs import HUBBUB, SECONDS, environment, hubbub, sentence, serving
from records import draft_of

COMMANDS = ("serve", "echo", "history", "search", "export", "backup", "import", "check", "bench")
NOON = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC


def fill(folder: Path, *lines: tuple[str, Kind, str, str]) -> None:
    """Write a log: each line a room, a kind, a nick, a text; a minute apart."""
    with closing(Store(folder, write=True)) as store:
        for number, (room, kind, nick, text) in enumerate(lines):
            store.append([draft_of(room, kind, nick, text, f"id-{number}")], NOON + 60 * number)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A small log of two rooms."""
    folder = tmp_path / "data"
    folder.mkdir()
    fill(
        folder,
        ("lobby", Kind.JOIN, "Ann", ""),
        ("lobby", Kind.MESSAGE, "Ann", "tea is ready"),
        ("ops", Kind.MESSAGE, "Bob", "deploy failed, no tea"),
        ("lobby", Kind.ACTION, "Zoë", "pours tea"),
        ("lobby", Kind.MESSAGE, "Zoë", "日本語"),
        ("lobby", Kind.TOPIC, "Ann", "Tea"),
        ("lobby", Kind.RENAME, "Ann", "Anna"),
        ("lobby", Kind.LEAVE, "Anna", "bye"),
    )
    return folder


def lines(*arguments: object) -> list[str]:
    """Return the lines that a command prints that ends well."""
    result = hubbub(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.splitlines()


# --- help -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_of_a_command_has_an_example(command: str, flag: str) -> None:
    result = CliRunner().invoke(main, [command, flag])
    assert result.exit_code == 0
    assert f"Example:\n  hubbub {command}" in result.output or f"\n  hubbub {command}" in result.output
    assert "Traceback" not in result.output


def test_help_lists_the_commands() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    assert all(f"\n  {command} " in result.output for command in COMMANDS)


@pytest.mark.parametrize("group", [[], ["account"], ["token"]])
def test_help_lists_the_commands_of_a_group_in_whole_sentences(group: list[str]) -> None:
    output = CliRunner().invoke(main, [*group, "--help"], terminal_width=78).output
    assert "...\n" not in output.partition("Commands:")[2]


@pytest.mark.parametrize("command", ["serve", "check"])
def test_help_names_every_setting_with_its_default(command: str) -> None:
    output = CliRunner().invoke(main, [command, "--help"], terminal_width=200).output
    text = " ".join(output.split())
    for name, (_, note, default) in config.table().items():
        assert "--" + name.replace("_", "-") in text
        assert " ".join(note.description.split()) in text
        assert f"[default: {config.show(default)}" in text


def test_help_names_the_kind_of_each_value() -> None:
    text = CliRunner().invoke(main, ["serve", "--help"], terminal_width=100).output
    for flag in ("--tls-cert FILE", "--data FOLDER", "--keep-days DAYS", "--rate N", "--host NAME", "--motd TEXT"):
        assert f"\n  {flag} " in text


def test_the_version() -> None:
    assert lines("--version") == [f"hubbub {version('hubbub')}"]


def test_version_loads_nothing_of_the_server() -> None:
    """So it takes less than 0.15 s of CPU. A script may ask for it before each start."""
    command = [sys.executable, "-X", "importtime", "-m", "hubbub", "--version"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=SECONDS, check=True)
    loaded = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    ours = {name for name in loaded if name.startswith("hubbub")}
    assert ours == {"hubbub", "hubbub.cli", "hubbub.errors", "hubbub.version"}
    assert not loaded & {"asyncio", "importlib.metadata", "logging", "msgspec", "regex", "sqlite3", "ssl"}
    assert len(loaded) < 200


def test_the_program_and_the_module_are_the_same() -> None:
    program = subprocess.run(
        [Path(sys.executable).parent / "hubbub", "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    assert program.stdout == hubbub("--version").stdout


@pytest.mark.parametrize("arguments", [["nonsense"], ["serve", "--nonsense"], ["search"], ["history", "--last", "-1"]])
def test_a_wrong_use_is_told(arguments: list[str]) -> None:
    result = hubbub(*arguments)
    assert result.returncode == 2
    assert "Error" in result.stderr and "Traceback" not in result.stderr


def test_what_a_server_forgot_is_no_fault_and_the_rest_is_there(data: Path) -> None:
    with serving("--data", data, "--keep-entries", 2) as server:
        eve = server.join("Eve")
        eve.said("hello")
        end = time.monotonic() + SECONDS
        while len(lines("history", "--data", data, "--all", "--last", 0)) > 4 and time.monotonic() < end:
            time.sleep(0.05)
        eve.close()
        assert server.stop() == 0
    assert lines("history", "--data", data, "--all", "--last", 0)[0].endswith("*** Ann has joined the chat ***")
    assert lines("search", "--data", data, "hello") and not lines("search", "--data", data, "ready")
    assert "The log is whole" in lines("check", "--data", data)[-1]


# --- history and search ---------------------------------------------------------------------------------------


def test_history_prints_what_was_said_oldest_first(data: Path) -> None:
    assert lines("history", "--data", data) == [
        "[2023-11-14 22:14] Ann: tea is ready",
        "[2023-11-14 22:16] * Zoë pours tea",
        "[2023-11-14 22:17] Zoë: 日本語",
    ]


def test_history_of_all_kinds(data: Path) -> None:
    assert [line.partition("] ")[2] for line in lines("history", "--data", data, "--all")] == [
        "*** Ann has joined the chat ***",
        "Ann: tea is ready",
        "* Zoë pours tea",
        "Zoë: 日本語",
        "*** Ann set the topic: Tea ***",
        "*** Ann is now Anna ***",
        "*** Anna has left the chat (bye) ***",
    ]


@pytest.mark.parametrize("room", ["ops", "OPS", "#ops"])
def test_history_and_search_of_a_room_however_it_is_written(data: Path, room: str) -> None:
    expected = ["[2023-11-14 22:15] Bob: deploy failed, no tea"]
    assert lines("history", "--data", data, "--room", room) == expected
    assert lines("search", "--data", data, "--room", room, "tea") == expected


@pytest.mark.parametrize("command", [["history"], ["search", "tea"]])
def test_a_room_that_cannot_be_is_said(data: Path, command: list[str]) -> None:
    assert "Room names can't contain spaces" in sentence(hubbub(*command, "--data", data, "--room", "a b"))


@pytest.mark.parametrize("command", [["history"], ["search", "tea"]])
def test_room_that_is_not_in_the_log_is_a_sentence(data: Path, command: list[str]) -> None:
    for style in ("text", "json"):
        result = hubbub(*command, "--data", data, "--room", "nowhere", "--format", style)
        assert sentence(result, 1) == "There is no room nowhere in the log." and result.stdout == ""


def test_empty_lobby_is_no_fault(tmp_path: Path) -> None:
    fill(tmp_path)
    assert lines("history", "--data", tmp_path) == []


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("latin-1", "Zoë: ??? done ?"),
        ("koi8-r", "Zo?: ??? done ?"),
        ("euc-jp", "Zoë: 日本語 done ?"),
    ],
)
@pytest.mark.parametrize("command", [["history"], ["search", "done"]])
def test_character_that_the_terminal_has_not_is_a_question_mark(
    tmp_path: Path, command: list[str], encoding: str, shown: str
) -> None:
    fill(tmp_path, ("lobby", Kind.MESSAGE, "Zoë", "日本語 done ✓"))
    words = [*HUBBUB, *command, "--data", str(tmp_path)]
    variables = environment(PYTHONUTF8="0", PYTHONIOENCODING=encoding)
    result = subprocess.run(words, capture_output=True, env=variables, timeout=SECONDS, check=True)
    assert result.stdout.decode(encoding).endswith(f"] {shown}\n") and result.stderr == b""
    words += ["--format", "json"]
    result = subprocess.run(words, capture_output=True, env=variables, timeout=SECONDS, check=True)
    assert json.loads(result.stdout.decode(encoding))["text"] == "日本語 done ✓", "programs lose nothing"


@pytest.mark.parametrize(
    "command",
    [
        "history --data {}",
        "search tea --data {}",
        "check --data {}",
        "history --last 0 --data {}",
        "--help",
        "--version",
    ],
)
def test_output_that_cannot_be_written_is_a_sentence(data: Path, command: str) -> None:
    with open("/dev/full", "wb") as full:
        words = [*HUBBUB, *(word.format(data) for word in command.split())]
        result = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, env=environment(), timeout=SECONDS)
    assert result.returncode == 2
    assert result.stderr == b"hubbub: The output cannot be written: No space left on device.\n"


def test_reader_that_has_enough_is_no_fault(tmp_path: Path) -> None:
    fill(tmp_path, *(("lobby", Kind.MESSAGE, "Ann", "x" * 1000) for _ in range(500)))
    command = f"{' '.join(HUBBUB)} history --last 0 --data {tmp_path} | head -1"
    result = subprocess.run(command, shell=True, capture_output=True, env=environment(), timeout=SECONDS)
    assert result.stdout.count(b"\n") == 1 and result.stderr == b""


def test_message_that_was_taken_back_has_a_line(tmp_path: Path) -> None:
    fill(tmp_path, ("lobby", Kind.MESSAGE, "Ann", "oops"), ("lobby", Kind.REDACT, "Ann", "id-0"))
    got = lines("history", "--data", tmp_path, "--all")
    assert [line.partition("] ")[2] for line in got] == [
        "*** A message by Ann was deleted ***",
        "*** Ann has deleted a message ***",
    ]


def test_history_as_json_is_an_object_a_line(data: Path) -> None:
    got = [json.loads(line) for line in lines("history", "--data", data, "--format", "json")]
    assert [entry["text"] for entry in got] == ["tea is ready", "pours tea", "日本語"]
    assert got[1] == {
        "room": "lobby", "seq": 4, "prev": 2, "time": NOON + 180, "kind": "action", "nick": "Zoë",
        "text": "pours tea", "id": "id-3", "host": "", "tags": "",
    }  # fmt: skip


def test_history_of_moderation_tells_who_did_what_to_whom(tmp_path: Path) -> None:
    with closing(Store(tmp_path, write=True)) as store:
        done = [
            (Kind.MESSAGE, "hi"), (Kind.MODE, "+o Bo!~nc@x.nc"), (Kind.KICK, "Cy too loud"), (Kind.TOPIC, "tea"),
        ]  # fmt: skip
        drafts = [draft_of("lobby", kind, "Al", text, f"x.{number}") for number, (kind, text) in enumerate(done)]
        store.append(drafts, NOON)
    got = [line.partition("] ")[2] for line in lines("history", "--data", tmp_path, "--kind", "moderation")]
    assert got == [
        "*** Al has made Bo an operator ***", "*** Al has kicked Cy (too loud) ***", "*** Al set the topic: tea ***",
    ]  # fmt: skip


@pytest.mark.parametrize("noted", [True, False])
def test_history_tells_what_a_room_was_called_before_each_rename(tmp_path: Path, noted: bool) -> None:
    with closing(Store(tmp_path, write=True)) as store:
        store.append([draft_of("ops", Kind.ROOM_RENAMED, "Al", "dev", "x.1")], NOON)
        store.append(
            [
                draft_of("dev", Kind.ROOM_RENAMED, "Al", "lab so there", "x.2"),
                draft_of("lab", Kind.ROOM_RENAMED, "Al", "ops", "x.3"),
            ],
            NOON,
        )
        if not noted:
            store._db.execute("DROP TABLE former")
    got = [
        line.partition("] ")[2]
        for line in lines("history", "--data", tmp_path, "--room", "ops", "--kind", "moderation")
    ]
    assert got == [
        f"*** Al has renamed {was}: it is {now} now ***"
        for was, now in (("ops", "dev"), ("dev", "lab"), ("lab", "ops"))
    ]


def typed(given: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*HUBBUB, "password"], input=given, capture_output=True, env=environment(), timeout=SECONDS)


def test_password_is_read_from_a_pipe_and_printed_as_a_hash() -> None:
    for given in (b"sesame\n", b"sesame", b"sesame\r\n", b"sesame\nsesame\n"):
        result = typed(given)
        assert (result.returncode, result.stderr) == (0, b"")
        kept = result.stdout.decode().strip()
        assert kept.startswith("$argon2id$") and verify(kept, "sesame")
    assert not verify(kept, "x") and not verify("x", "x")
    assert is_operator([f"root:{kept}"], "root", "sesame") and not is_operator([f"root:{kept}"], "boot", "sesame")
    empty = typed(b"")
    assert (empty.returncode, empty.stderr) == (2, b"hubbub: The password is empty.\n")


def test_no_command_takes_a_password_that_other_users_of_the_machine_can_read() -> None:
    refused = hubbub("password", "--password", "sesame")
    assert refused.returncode == 2 and "No such option" in refused.stderr


@pytest.mark.parametrize(("last", "shown"), [(1, 1), (2, 2), (20, 20), (1000, 1000), (1001, 1001), (0, 2500)])
def test_history_prints_as_many_as_asked_for(tmp_path: Path, last: int, shown: int) -> None:
    """Though a page of the log holds fewer."""
    with closing(Store(tmp_path, write=True)) as store:
        store.append([draft_of("lobby", Kind.MESSAGE, "Ann", f"{n:4}" * 25, f"{n}") for n in range(2500)], NOON)
    got = lines("history", "--data", tmp_path, "--last", last)
    assert [int(line[-4:]) for line in got] == list(range(2500 - shown, 2500))


def test_history_finds_its_folder_in_the_environment(data: Path, tmp_path: Path) -> None:
    assert len(hubbub("history", HUBBUB_DATA=str(data)).stdout.splitlines()) == 3
    assert len(hubbub("history", "--data", data, HUBBUB_DATA=str(tmp_path / "no")).stdout.splitlines()) == 3


@pytest.mark.parametrize("command", ["history", "search x", "check"])
def test_data_folder_of_another_user_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def exists(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", exists)
    result = CliRunner().invoke(main, [*command.split(), "--data", str(tmp_path)])
    assert result.exit_code == 2
    assert result.output.splitlines()[-1] == f"hubbub: The data folder {tmp_path} cannot be read: Permission denied."


def test_search_in_all_rooms_names_them(data: Path) -> None:
    assert lines("search", "--data", data, "TEA") == [
        "[lobby] [2023-11-14 22:14] Ann: tea is ready",
        "[ops] [2023-11-14 22:15] Bob: deploy failed, no tea",
        "[lobby] [2023-11-14 22:16] * Zoë pours tea",
    ]


def test_private_messages_are_neither_printed_nor_found(data: Path, tmp_path: Path) -> None:
    folder, talk = tmp_path / "private", "@idann+idbo"
    folder.mkdir()
    fill(folder, ("lobby", Kind.MESSAGE, "Ann", "tea"), *[(talk, Kind.MESSAGE, "Ann", f"tea {n}") for n in range(3)])
    assert lines("search", "--data", folder, "--last", 1, "tea") == ["[2023-11-14 22:13] Ann: tea"]
    for command in (["history"], ["search", "tea"], ["export", "--to", "text"]):
        assert "Room names can't contain @" in sentence(hubbub(*command, "--data", folder, "--room", talk))
    assert "Room names can't contain @" in sentence(hubbub("search", "--data", folder, f"in:{talk}", "tea"))


def test_transcript_of_a_room(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "ops.html"
    lines("export", "--data", data, "--to", "html", "--room", "#Lobby", file)
    page = file.read_text("utf-8")
    assert "tea is ready" in page and "deploy failed" not in page and page.endswith("</html>\n")
    assert file.stat().st_mode & 0o077 == 0 and not (tmp_path / "ops.html.part").exists()
    assert lines("export", "--data", data, "--to", "text", "--room", "ops")[-1] == "[22:15] Bob: deploy failed, no tea"
    for wrong in (["--to", "html"], ["--room", "ops"], ["--to", "text", "--room", "nowhere"]):
        assert hubbub("export", "--data", data, *wrong).returncode


def test_search_has_filters(data: Path) -> None:
    assert lines("search", "--data", data, "from:bob", "in:ops", "tea") == lines("search", "--data", data, "deploy")
    assert lines("search", "--data", data, "tea", "before:2023-11-14") == []
    assert lines("search", "--data", data, "after:2023-11-14T22:17", "from:Zoë") == ["[2023-11-14 22:17] Zoë: 日本語"]


def test_search_wants_all_words(data: Path) -> None:
    assert lines("search", "--data", data, "failed", "deploy") == ["[2023-11-14 22:15] Bob: deploy failed, no tea"]
    assert lines("search", "--data", data, "failed", "ready") == []
    assert lines("search", "--data", data, "日本") == ["[2023-11-14 22:17] Zoë: 日本語"]


def test_search_as_json_with_a_limit(data: Path) -> None:
    (got,) = lines("search", "--data", data, "--format", "json", "--last", "1", "tea")
    assert json.loads(got)["text"] == "pours tea"


def test_search_for_what_is_not_utf8_is_no_crash(data: Path) -> None:
    words = [*HUBBUB, "search", "--data", str(data), b"\xff\xfe"]
    result = subprocess.run(words, capture_output=True, timeout=SECONDS, env=environment(), check=False)
    assert b"Traceback" not in result.stderr
    assert (result.returncode, result.stdout) in ((0, b""), (2, b""))


@pytest.mark.parametrize("command", [["history"], ["search", "tea"], ["check"]])
def test_without_a_log_there_is_one_sentence(tmp_path: Path, command: list[str]) -> None:
    assert sentence(hubbub(*command, "--data", tmp_path)) == f"There is no log in {tmp_path}."
    assert sentence(hubbub(*command, "--data", tmp_path / "none")) == f"There is no log in {tmp_path / 'none'}."
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", [["history"], ["search", "tea"], ["check"]])
def test_a_garbage_log_is_one_sentence(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / FILE).write_bytes(b"garbage " * 1000)
    assert "cannot be opened" in sentence(hubbub(*command, "--data", tmp_path))


def test_history_search_and_check_beside_a_running_server(tmp_path: Path) -> None:
    with serving("--data", tmp_path) as server:
        ann = server.join("Ann")
        ann.said("hello beside")
        assert [line.partition("] ")[2] for line in lines("history", "--data", tmp_path)] == ["Ann: hello beside"]
        assert len(lines("search", "--data", tmp_path, "BESIDE")) == 1
        assert lines("check", "--data", tmp_path)[-1].startswith("The log is whole: 2 entries in 1 room, ")
        ann.said("and on")
        assert len(lines("history", "--data", tmp_path)) == 2
        ann.close()
        assert server.stop() == 0
    assert len(lines("history", "--data", tmp_path)) == 2


# --- check ----------------------------------------------------------------------------------------------------


def test_check_shows_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from-a-file\n")
    kept = "$argon2id$v=19$m=65536,t=3,p=4$aaaa$bbbb"
    for arguments, variables in (
        (["--irc-password", "s3cret", "--operator", f"root:{kept}", "--broker", "nats://u:s3cret@h:1,nats://i:2"], {}),
        ([], {"HUBBUB_IRC_PASSWORD_FILE": str(file)}),
    ):
        shown = hubbub("check", "--data", tmp_path, *arguments, **variables).stdout
        assert "s3cret" not in shown and kept not in shown and "from-a-file" not in shown
        assert "irc_password" in shown and " set  (not the default)" in shown
    assert (
        "nats://***@h:1,nats://i:2"
        in hubbub("check", "--data", tmp_path, *arguments, "--broker", "nats://u:s3cret@h:1,nats://i:2").stdout
    )


@pytest.mark.parametrize(
    ("flags", "warned"),
    [
        (["--irc-password", "sesame"], True),
        (["--operator", "root:$argon2id$x"], True),
        (["--broker", "nats://ann:sesame@127.0.0.1:1"], True),
        (["--broker", "nats://127.0.0.1:1"], False),
        (["--history", "7"], False),
    ],
)
def test_secret_on_the_command_line_is_warned_of(tmp_path: Path, flags: list[str], warned: bool) -> None:
    result = hubbub("serve", *flags, "--listen", "nonsense", "--data", tmp_path)
    assert (f"WARNING: {flags[0]} is a secret" in result.stdout) is warned
    assert "sesame" not in result.stdout


def test_check_prints_the_settings_in_force_and_marks_what_is_changed(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "hubbub.toml"
    file.write_text("history = 7\nlisten = ['127.0.0.1:1', '[::1]:2']\n")
    got = lines("check", "--data", data, "--config", file, "--rate", "5.5", "--no-limits")
    shown = {line.split()[0]: line.split(maxsplit=1)[1] for line in got[: len(config.table())]}
    assert list(shown) == list(config.table())
    changed = {name for name, line in shown.items() if line.endswith("(not the default)")}
    assert changed == {"data", "history", "listen", "rate", "no_limits"}
    assert shown["history"].startswith("7 messages ")
    assert shown["listen"].startswith("127.0.0.1:1 [::1]:2 ")
    assert shown["rate"].startswith("5.5 lines/s ")
    assert shown["idle_timeout"] == "300 s"
    assert got[-1].startswith("The log is whole: 8 entries in 2 rooms, ")


@pytest.mark.parametrize("name", list(config.table()))
def test_every_setting_has_a_flag(name: str) -> None:
    kind, note, default = config.table()[name]
    values = {int: "200", float: "2.5", str: "error", list[str]: "[::1]:0"}
    flag = "--" + name.replace("_", "-")
    if kind is bool:
        arguments, shown = ["--no-" + name if default else flag], "no" if default else "yes"
    else:
        shown = {
            "address_rooms": "201",
            "buffer": "17000",
            "tls": "self-signed",
            "plaintext": "no",
            "push": "no",
            "register": "invite",
            "guests": "read",
            "plaintext_passwords": "yes",
            "search": "off",
            "ssh": "no",
            "replicas": "3",
            "operator": "root:$argon2",
        }.get(name, values[kind])
        arguments = [flag, shown]
        shown = "set" if (note.extra or {}).get("secret") and name != "broker" else shown
    output = CliRunner().invoke(main, ["check", "--ephemeral", *arguments]).output
    (line,) = [line for line in output.splitlines() if line.split(maxsplit=1)[:1] == [name]]
    assert line.split()[1] == shown and line.endswith("(not the default)")


def test_check_of_what_stores_nothing() -> None:
    assert lines("check", "--ephemeral")[-1] == "Nothing is stored, so there is no log to check."


def test_check_finds_what_is_missing(data: Path) -> None:
    with closing(sqlite3.connect(data / FILE)) as db:
        db.execute("DELETE FROM entry WHERE seq = 4")
        db.commit()
    result = hubbub("check", "--data", data)
    assert result.returncode == 1
    assert "the log is damaged" in result.stderr and "lobby" in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize("place", [0.25, 0.5, 0.75])
def test_check_finds_a_damaged_file(tmp_path: Path, place: float) -> None:
    with closing(Store(tmp_path, write=True)) as store:
        store.append([draft_of("lobby", Kind.MESSAGE, "Ann", "x" * 500, f"{n}") for n in range(500)], NOON)
    path = tmp_path / FILE
    content = bytearray(path.read_bytes())
    start = int(len(content) * place) // 4096 * 4096
    content[start : start + 8192] = b"\xa5" * 8192
    path.write_bytes(content)
    result = hubbub("check", "--data", tmp_path)
    assert result.returncode == 1, result.stderr
    assert "the log is damaged" in result.stderr and "Traceback" not in result.stderr


def test_check_with_a_bad_setting(data: Path) -> None:
    assert "history" in sentence(hubbub("check", "--data", data, "--history", "many"))


# --- a server that cannot start -------------------------------------------------------------------------------


def refuses(*arguments: object, **variables: str) -> str:
    """Return the one sentence with which a server does not start; it prints nothing else."""
    result = hubbub("serve", *arguments, **variables)
    assert result.stdout == ""
    return sentence(result)


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for place in (["--data", tmp_path], ["--ephemeral"]):
            assert refuses("--listen", address, *place) == f"The address {address} is in use by another program."
        result = hubbub("echo", "--listen", address)
        assert sentence(result) == f"The address {address} is in use by another program."


def test_a_folder_in_use_is_one_sentence(tmp_path: Path) -> None:
    with serving("--data", tmp_path) as server:
        text = refuses("--listen", "127.0.0.1:0", "--data", tmp_path)
        assert text == f"The data folder {tmp_path} is in use by another server."
        server.join("Ann").close()
        assert server.stop() == 0
    with serving("--data", tmp_path) as again:
        assert again.stop() == 0


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    text = refuses("--listen", "127.0.0.1:0", "--data", tmp_path / "file" / "data")
    assert text == f"The data folder {tmp_path}/file/data cannot be written: Not a directory."


@pytest.mark.parametrize(
    "options",
    [
        ["--listen", "127.0.0.1:1x"],
        ["--listen", "192.0.2.1:0"],
        ["--tls-cert", "/nonexistent.pem"],
        ["--listen", "192.0.2.1:0", "--tls", "self-signed"],
        ["--tls", "self-signed", "--host", "a..b"],
    ],
)
def test_a_start_that_fails_leaves_nothing_behind(tmp_path: Path, options: list[str]) -> None:
    refuses("--listen", "127.0.0.1:0", "--data", tmp_path / "new" / "data", *options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("address", ["8888", "127.0.0.1:99999", "::1", "[::1", "192.0.2.1:0"])
def test_a_bad_address_is_one_sentence(tmp_path: Path, address: str) -> None:
    assert address in refuses("--listen", address, "--data", tmp_path)


def test_a_bad_setting_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "hubbub.toml"
    file.write_text("histroy = 5")
    assert "histroy" in refuses("--config", file)
    assert "history" in refuses("--history", "-1")
    assert "rate" in refuses(HUBBUB_RATE="fast")
    assert (
        refuses("--config", tmp_path / "none") == f"The file {tmp_path}/none cannot be read: No such file or directory."
    )


# --- a server that runs, and ends -----------------------------------------------------------------------------


def test_the_server_says_where_it_listens(tmp_path: Path) -> None:
    with serving("--data", tmp_path, "--listen", "127.0.0.1:0") as server:
        second = server.process.stdout.readline().decode()
        assert second.startswith("Chat server running on 127.0.0.1:") and server.address not in second
        assert server.stop(signal.SIGINT) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_at_once(number: signal.Signals) -> None:
    """While the first waits for a client that takes nothing and does not close."""
    with serving("--ephemeral") as server:
        ann = server.join("Ann")
        server.process.send_signal(number)
        ann.sees("*** The server is shutting down ***\n")
        end = time.monotonic() + 1  # alone, the first would take longer
        while server.process.poll() is None and time.monotonic() < end:
            server.process.send_signal(number)  # at once it is taken for the first one again
        assert server.process.wait(SECONDS) == 1
        ann.close()


def test_a_console_that_nobody_reads_does_not_stop_the_server() -> None:
    with serving("--ephemeral", "--log-messages", "--no-limits") as server:
        ann, bob = server.join("Ann"), server.join("Bob")
        for number in range(300):
            ann.say(f"{number} ".ljust(1000, "x"))
            bob.sees(f"Ann: {number} ")
        ann.close()
        bob.close()
        assert server.stop() == 0


def test_a_console_that_is_closed_does_not_stop_the_server() -> None:
    with serving("--ephemeral") as server:
        server.process.stdout.close()
        ann, bob = server.join("Ann"), server.join("Bob")
        ann.said("hi")
        bob.sees("Ann: hi")
        ann.close()
        bob.close()
        assert server.stop() == 0


def test_help_names_the_words_that_a_setting_takes() -> None:
    shown = hubbub("serve", "--help").stdout
    assert "--plaintext [yes|no]" in shown and "--search [on|off]" in shown and "--tls [no|self-signed]" in shown
