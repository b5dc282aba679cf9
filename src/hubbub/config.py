"""Every setting: its default, unit, bounds and reason. Flags, environment, file and docs come from this table.

A value is looked for on the command line, then in the environment (`HUBBUB_IDLE_TIMEOUT`; a secret also in a file:
`HUBBUB_IRC_PASSWORD_FILE`), then in the settings file (`idle_timeout = 300`), then here.
"""

import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct

from hubbub.errors import SettingsError, reason

ENVIRONMENT = "HUBBUB_"
OFF = ("0", "false", "no", "off")
ON = ("1", "true", "yes", "on")


def _(description: str, unit: str = "", ge: float | None = None, le: float | None = None) -> Meta:
    return Meta(description=description, ge=ge, le=le, extra={"unit": unit})


def _secret(description: str) -> Meta:
    return Meta(description=description, extra={"secret": True})


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings of `hubbub serve`. The type and the note of a field say all there is about it."""

    listen: Annotated[
        list[str],
        _(
            "Address to listen on; may be given several times. [::1]:8888 is IPv6, :8888 is every interface. "
            "With line:, telnet:, http:, irc:, tls:, ircs: or ssh: in front, it serves only that protocol; IRC over a "
            "WebSocket (/irc) belongs to http:."
        ),
    ] = msgspec.field(default_factory=lambda: ["127.0.0.1:8888"])
    host: Annotated[list[str], _("Host name of this server, as people type it; may be given several times.")] = (
        msgspec.field(default_factory=list)
    )
    tls: Annotated[
        str,
        Meta(
            pattern="^(no|self-signed)$", description="self-signed: make a certificate and keep it in the data folder."
        ),
    ] = "no"
    tls_cert: Annotated[str, _("PEM file with the certificate and its chain.")] = ""
    tls_key: Annotated[str, _("PEM file with the certificate's key, unless it is in the same file.")] = ""
    tls_client_ca: Annotated[
        str,
        _("PEM file with the authorities that sign client certificates, with which IRC clients can log in."),
    ] = ""
    plaintext: Annotated[
        str,
        Meta(pattern="^(yes|no)$", description="no: refuse unencrypted connections, except from this machine."),
    ] = "yes"
    ssh: Annotated[
        str,
        Meta(
            pattern="^(auto|yes|no)$",
            description="Whether ssh clients can join. auto: if the Python package asyncssh is installed.",
        ),
    ] = "auto"
    ssh_host_key: Annotated[
        list[str],
        _(
            "File with a private key that identifies this server to ssh clients; may be given several times. Without "
            "it, a key is made and kept in the data folder. All nodes of a cluster need the same one."
        ),
    ] = msgspec.field(default_factory=list)
    ssh_keys: Annotated[
        str,
        _(
            "File with public keys in the format of authorized_keys. The comment of a key is the account into which it "
            "logs in, registered if there is none. Read again when it changes."
        ),
    ] = ""
    trust_proxy: Annotated[
        list[str],
        _(
            "Address or network of proxies whose PROXY header or X-Forwarded-For is believed; "
            "may be given several times."
        ),
    ] = msgspec.field(default_factory=list)
    metrics_listen: Annotated[
        str,
        _(
            "Address that serves /metrics and /healthz to anyone. The --listen addresses serve them only to this "
            "machine, and not at all with --host or --trust-proxy."
        ),
    ] = ""
    qr: Annotated[bool, _("Show the page's address as a QR code when the server starts.")] = False
    server_name: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9._-]{1,63}$",
            description="Name of this server for IRC clients.",
            extra={"form": "1 to 63 letters, digits and . _ -"},
        ),
    ] = "hubbub.local"
    network: Annotated[str, _("Name of the chat, on the page and for IRC clients.")] = "hubbub"
    description: Annotated[str, _("Description of this server, on the page and for IRC clients.")] = "hubbub"
    motd: Annotated[str, _("Message of the day, on the page and for IRC clients.")] = ""
    admin: Annotated[str, _("Contact for IRC clients, such as an e-mail address.")] = ""
    irc_password: Annotated[str, _secret("Password that IRC clients must send with PASS.")] = ""
    irc_origin: Annotated[
        list[str],
        _(
            "Site whose pages may connect to /irc, IRC over a WebSocket, such as https://web.example.org; may be given "
            "several times. Pages from this server's own address always may."
        ),
    ] = msgspec.field(default_factory=list)
    push: Annotated[
        str,
        Meta(
            pattern="^(yes|no)$",
            description="no: send no notifications to addresses of users (`/notify via`) while they are away.",
        ),
    ] = "yes"
    push_allow: Annotated[
        list[str],
        _(
            "Network to which notifications may be sent although it is private, also without encryption; "
            "may be given several times."
        ),
    ] = msgspec.field(default_factory=list)
    webirc_from: Annotated[
        list[str],
        _("Address or network of web gateways whose WEBIRC is believed; may be given several times."),
    ] = msgspec.field(default_factory=list)
    webirc_password: Annotated[str, _secret("Hash of the web gateways' password, as `hubbub password` prints it.")] = ""
    operator: Annotated[
        list[str],
        _secret(
            "Server operator, who may act in every room; may be given several times. In a file: [[operator]] with "
            "name and password."
        ),
    ] = msgspec.field(default_factory=list)
    register: Annotated[
        str,
        Meta(
            pattern="^(open|invite|closed)$",
            description="Who may register a name. invite: only with a code that `hubbub account invite` prints.",
        ),
    ] = "open"
    guests: Annotated[
        str,
        Meta(
            pattern="^(yes|read|no)$",
            description="What people without an account may do: everything, only read, or nothing.",
        ),
    ] = "yes"
    plaintext_passwords: Annotated[
        str,
        Meta(
            pattern="^(yes|no)$",
            description="yes: accept passwords of accounts over unencrypted connections from other machines.",
        ),
    ] = "no"
    stay_days: Annotated[
        float,
        _(
            "How long somebody with an account stays in the rooms while away, if they want that (0: for ever).",
            "days",
            0,
        ),
    ] = 90
    auth_command: Annotated[
        str,
        _("Program that is asked about passwords that hubbub does not know: JSON in and out, as for Ergo."),
    ] = ""
    auth_header: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9-]{0,64}$",
            description="Header in which a proxy of --trust-proxy names the account of its user, such as Remote-User.",
            extra={"form": "letters, digits and -"},
        ),
    ] = ""
    auth_socket: Annotated[
        str, _("Unix socket of a program that is asked in the same way as that of --auth-command.")
    ] = ""
    free_names: Annotated[bool, _("Free the name of an account when it is deleted. Else it stays blocked.")] = False
    data: Annotated[str, _("Folder for the log; created if it does not exist.")] = "hubbub-data"
    broker: Annotated[
        str,
        _secret("NATS servers that store the log of several nodes: nats://HOST:PORT, separated by commas."),
    ] = ""
    replicas: Annotated[
        int,
        _(
            "Copies of the log on NATS, usually 1 or 3. 0: keep the number of an existing log; 1 for a new one.",
            "copies",
            0,
            5,
        ),
    ] = 0
    nats_creds: Annotated[str, _("File with the credentials for NATS.")] = ""
    nats_nkey: Annotated[str, _("File with the NKEY seed for NATS.")] = ""
    nats_ca: Annotated[str, _("PEM file with the CA certificate of the NATS servers.")] = ""
    nats_cert: Annotated[str, _("PEM file with the client certificate for NATS.")] = ""
    nats_key: Annotated[str, _("PEM file with the client certificate's key, unless it is in the same file.")] = ""
    search: Annotated[
        str, Meta(pattern="^(on|off)$", description="off: keep no search index on this node of a cluster.")
    ] = "on"
    keep_days: Annotated[float, _("Delete entries that are older than this (0: never).", "days", 0)] = 0
    keep_entries: Annotated[
        int, _("Delete the oldest entries when there are more than this (0: never).", "entries", 0)
    ] = 0
    keep_size: Annotated[int, _("Delete the oldest entries when the log is larger than this (0: never).", "MiB", 0)] = 0
    ephemeral: Annotated[bool, _("Store nothing on disk: keep the newest 64 MiB of messages in memory.")] = False
    history: Annotated[int, _("How many messages a newcomer to a room sees (0: none).", "messages", 0, 200)] = 20
    idle_timeout: Annotated[
        float,
        _(
            "Disconnect anyone who sends nothing for this long (0: never). If it is over 120 s, warn them 60 s before.",
            "s",
            0,
        ),
    ] = 300
    name_timeout: Annotated[float, _("How long a newcomer may take to choose a name.", "s", 1)] = 30
    stall_timeout: Annotated[
        float, _("Disconnect a client that reads nothing for this long while data is waiting.", "s", 1)
    ] = 300
    rate: Annotated[
        float,
        _(
            "Sustained rate: lines per second from one connection. Faster input is delayed, not dropped.",
            "lines/s",
            0.1,
        ),
    ] = 20
    burst: Annotated[int, _("Lines read at once from a connection that was quiet.", "lines", 1)] = 100
    line_limit: Annotated[int, _("Longest line. A longer one is refused.", "bytes", 64, 65536)] = 16384
    edit_minutes: Annotated[
        int, _("How long a message can be corrected by its author. 0: not at all.", "minutes", 0)
    ] = 15
    buffer: Annotated[
        int,
        _(
            "Data buffered for a client that does not read, here and in the kernel. The rest waits in the log.",
            "bytes",
            16384,
            16777216,
        ),
    ] = 65536
    max_behind: Annotated[
        int, _("A client that falls further behind skips to the newest entries, with a notice.", "entries", 100)
    ] = 10_000
    max_connections: Annotated[int, _("Most connections in all.", "connections", 1)] = 10_000
    max_per_address: Annotated[
        int, _("Most connections from one address. A school behind one router must fit.", "connections", 1)
    ] = 1000
    address_connections: Annotated[
        int, _("New connections at once from one address; then a fifteenth of that per second.", "connections", 1)
    ] = 300
    address_lines: Annotated[
        int,
        _("Lines read at once from one address; then a tenth of that per second.", "lines", 1),
    ] = 600
    address_joins: Annotated[
        int, _("Rooms joined at once from one address; then a sixtieth of that per second.", "joins", 1)
    ] = 300
    address_rooms: Annotated[int, _("Most new rooms opened from one address in an hour.", "rooms", 1)] = 200
    max_rooms: Annotated[int, _("Most rooms that one session can be in.", "rooms", 1, 1000)] = 50
    memory: Annotated[
        int,
        _("Memory for the newest entries of active rooms, so that slow clients catch up without the disk.", "MiB", 1),
    ] = 16
    no_limits: Annotated[bool, _("Lift the limits on rates and connections. Limits on memory stay.")] = False
    log_level: Annotated[
        str, Meta(pattern="^(debug|info|warning|error)$", description="Least important messages to log.")
    ] = "info"
    log_times: Annotated[bool, _("Put the time before each line on the console. In a file it is always there.")] = False
    log_messages: Annotated[bool, _("Also show chat messages on the console.")] = False
    uvloop: Annotated[bool, _("Use the uvloop event loop, if it is installed.")] = True

    def __repr__(self) -> str:
        return "Settings()"  # some are passwords


@cache
def table() -> Mapping[str, tuple[type, Meta, Any]]:
    """Return of each setting: its type, its note, its default."""
    hints = get_type_hints(Settings, include_extras=True)
    defaults = Settings()
    return {name: (*get_args(hint)[:2], getattr(defaults, name)) for name, hint in hints.items()}


def show(value: object) -> str:
    """Return a value as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value == "" or value == []:
        return "none"
    if isinstance(value, list):
        return " ".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


_LOGIN = re.compile(r"(?<=//)[^/@,]*(?=@)")  # name and password in an address


def shown(name: str, value: object) -> str:
    """Return a setting's value as it may be shown to others: of a secret, whether it is set."""
    note = table()[name][1]
    if not value or not (note.extra or {}).get("secret"):
        return show(value)
    return _LOGIN.sub("***", str(value)) if name == "broker" else "set"


def exposed(flags: Mapping[str, Any]) -> list[str]:
    """Return the flags that carry a secret: every user of the machine can read a command line."""
    return [
        "--" + name.replace("_", "-") for name, value in flags.items() if value and shown(name, value) != show(value)
    ]


def opposite(flag: str) -> str:
    """Return the flag that switches off what this one switches on."""
    return "--" + flag.removeprefix("--no-") if flag.startswith("--no-") else "--no-" + flag.removeprefix("--")


def read(flags: Mapping[str, Any], file: str | None, environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings in force.

    Args:
        flags: by setting; those that are None were not given.
        file: a TOML file, if one was named.
        environment: variables; the process's own if None.

    Raises:
        SettingsError: the file cannot be read, a setting is unknown, or a value is not possible.

    """
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = _from_file(file) if file else {}
    for name, (kind, _note, _default) in table().items():
        flag = flags.get(name)
        if flag is not None and flag != ():
            values[name] = list(flag) if isinstance(flag, tuple) else flag
        elif text := _from_environment(name, environment):
            values[name] = _from_text(text, kind)
    values["operator"] = [_operator(one) for one in values.get("operator", [])]
    if values.get("listen") == []:
        raise SettingsError("The setting listen must have at least one address.")
    try:
        return msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(str(error))) from None


def _from_environment(name: str, environment: Mapping[str, str]) -> str:
    """Return the value of a setting's variable, or for a secret, the content of the file that NAME_FILE names."""
    variable = ENVIRONMENT + name.upper()
    file = environment.get(f"{variable}_FILE")
    if environment.get(variable) or not file or not (table()[name][1].extra or {}).get("secret"):
        return environment.get(variable, "")
    try:
        return Path(file).read_text("utf-8").strip()
    except OSError as error:
        raise SettingsError(f"The file {file} cannot be read: {reason(error)}.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"The file {file} is not a UTF-8 text file.") from None


def _operator(value: object) -> str:
    """Return NAME:HASH of an [[operator]] of the file."""
    if isinstance(value, dict) and value.keys() == {"name", "password"}:
        value = f"{value['name']}:{value['password']}"
    if isinstance(value, str) and value.partition(":")[2].startswith("$argon2"):
        return value
    raise SettingsError("An operator needs a name and a password hash, as `hubbub password` prints it.")


def _from_file(file: str) -> dict[str, Any]:
    # Most servers and commands read no file.
    import tomllib

    try:
        return tomllib.loads(Path(file).read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"The file {file} cannot be read: {reason(error)}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The file {file} is not TOML: {error}.") from None
    except RecursionError:
        raise SettingsError(f"The file {file} cannot be read: it is nested too deeply.") from None


def _from_text(text: str, kind: type) -> object:
    if kind is bool and text.lower() in ON + OFF:
        return text.lower() in ON
    return text.split() if kind == list[str] else text


def _explain(error: str) -> str:
    """Turn msgspec's "Expected `int` >= 0 - at `$.history`" into a sentence that tells what is possible."""
    if unknown := re.search(r"unknown field `(.*)`", error):
        return f"There is no setting {unknown[1]}."
    name = error.partition("`$.")[2].partition("`")[0].partition("[")[0]
    if name not in table():
        return f"{error}."
    kind, note, _default = table()[name]
    bounds = [bound for bound in (note.ge, note.le) if bound is not None]
    span = " from " if len(bounds) == 2 else " of at least " if bounds else ""
    what = {int: "a whole number", float: "a number", bool: "yes or no", str: "a text"}.get(kind, "a list of texts")
    if note.pattern:
        what = (note.extra or {}).get("form") or ", ".join(note.pattern.strip("^($)").split("|"))
        what = " or ".join(what.rsplit(", ", 1))
    return f"The setting {name} must be {what}{span}{' to '.join(map(show, bounds))}."
