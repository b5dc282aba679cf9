"""The IRC command CAP: the capabilities that a client can have (https://ircv3.net/specs/extensions/capability-negotiation)."""

from __future__ import annotations

from collections.abc import Sequence

from hubbub.serve.irc.accounts import login
from hubbub.serve.irc.client import IrcClient
from hubbub.serve.irc.commands import metadata, metadata_lines, registration
from hubbub.text import bounds
from hubbub.wire.irc import lines as wire
from hubbub.wire.irc.encoder import MULTILINE, SHOWING, form_of

CAPS_LINE = 400  # bytes of capabilities in a line of an answer to CAP REQ
# The value of each capability, "" for none. Draft capabilities have the names that clients know.
CAPS = {
    "message-tags": "",
    "server-time": "",
    "echo-message": "",
    "batch": "",
    "labeled-response": "",
    "multi-prefix": "",
    "userhost-in-names": "",
    "extended-join": "",
    "away-notify": "",
    "invite-notify": "",
    "setname": "",
    "chghost": "",
    "cap-notify": "",
    "standard-replies": "",
    "extended-monitor": "",
    "no-implicit-names": "",
    "znc.in/self-message": "",
    "draft/no-implicit-names": "",
    "draft/pre-away": "",
    "draft/chathistory": "",
    "draft/event-playback": "",
    "draft/read-marker": "",
    "draft/message-redaction": "",
    "draft/channel-rename": "",
    "soju.im/search": "",
    MULTILINE: f"max-bytes={bounds.MULTILINE_BYTES},max-lines={bounds.MULTILINE_LINES}",
    **metadata_lines.CAPS,
}
# Older names and forms of other capabilities: granted on request, but not listed. The list of names must fit in one
# line, because clients without CAP LS 302 do not understand a list of several lines.
UNLISTED = frozenset({"draft/no-implicit-names", "znc.in/self-message", metadata_lines.SECOND})


def _offered(client: IrcClient) -> dict[str, str]:
    """Return the value of each capability; those of accounts come first, so that they are in the first line."""
    mechanisms = login.mechanisms(client)
    if not mechanisms:
        return CAPS
    return {
        "sasl": ",".join(mechanisms),
        "draft/account-registration": "before-connect,custom-account-name",
        "account-notify": "",
        "account-tag": "",
        **CAPS,
    }


def cap(client: IrcClient, params: list[str]) -> None:
    """CAP LS, LIST, REQ or END: list or request capabilities."""
    if not params:
        client.numeric(461, "CAP")
        return
    verb, *rest = params
    act = _CAPS.get(verb.upper())
    if act is None:
        client.numeric(410, verb)
    else:
        act(client, rest[-1] if rest else "")


def _cap_ls(client: IrcClient, argument: str) -> None:
    if not client.registered:
        client.negotiating = True
    asked = int(argument[:6]) if argument.isascii() and argument.isdigit() else 0
    client.version = max(client.version, asked)
    if client.version >= 302 and "cap-notify" not in client.caps:
        _set_caps(client, client.caps | {"cap-notify"})
    listed = {name: value for name, value in _offered(client).items() if name not in UNLISTED}
    if asked < 302:
        client.reply("CAP", client.nick, "LS", " ".join(listed))
        return
    _tell_caps(client, "LS", [f"{name}={value}" if value else name for name, value in listed.items()])


def _cap_list(client: IrcClient, _: str) -> None:
    shown = [
        name for name in _offered(client) if name in client.caps and (name != "cap-notify" or client.version < 302)
    ]
    _tell_caps(client, "LIST", shown)


def _space_for_caps(client: IrcClient, verb: str) -> int:
    """Return the number of bytes of capabilities that fit in a line."""
    return wire.MAX_LINE - len(f":{client.network.name} CAP {client.nick} {verb} :\r\n".encode())


def _tell_caps(client: IrcClient, verb: str, caps: Sequence[str]) -> None:
    """Send capabilities in one line if they fit, else in several lines, with a `*` in all but the last."""
    text, space = " ".join(caps), _space_for_caps(client, verb)
    lines = [text] if len(text.encode()) <= space else wire.fill(caps, space - len("* "))
    for number, text in enumerate(lines, 1):
        client.reply("CAP", client.nick, verb, *(["*"] if number < len(lines) else []), text)


def _cap_req(client: IrcClient, argument: str) -> None:
    if not client.registered:
        client.negotiating = True
    caps = set(client.caps)
    words = argument.split()
    for word in words:
        change = caps.discard if word.startswith("-") else caps.add
        change(word.removeprefix("-"))
    offered = _offered(client)
    known = all(word.removeprefix("-") in offered for word in words)
    agreed = known and not metadata_lines.CAPS.keys() <= caps  # the two versions exclude each other
    for part in wire.fill(argument.split(" "), CAPS_LINE):  # the requested words, in several lines if necessary
        client.reply("CAP", client.nick, "ACK" if agreed else "NAK", part)
    if agreed:
        _set_caps(client, frozenset(caps | {"cap-notify"} if client.version >= 302 else caps))


def _set_caps(client: IrcClient, caps: frozenset[str]) -> None:
    """Replace the client's capabilities, and the encoder of its session to match."""
    metadata.on_caps_changed(client, caps)
    client.caps = caps
    client.hub.set_encoder(client.session, form_of(caps & SHOWING))


def _cap_end(client: IrcClient, _: str) -> None:
    if client.negotiating:
        login.abort(client)
        client.negotiating = False
        registration.complete(client)


_CAPS = {"LS": _cap_ls, "LIST": _cap_list, "REQ": _cap_req, "END": _cap_end}
