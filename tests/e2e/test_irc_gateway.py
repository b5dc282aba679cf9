"""A web gateway, which says for whom it speaks, and a browser that is made to speak IRC."""

from __future__ import annotations

import socket
from collections.abc import Callable

from argon2 import PasswordHasher

from irc_scene import Irc, people_at
from scene import PATIENCE, Server

GATEWAY = ("--webirc-from", "127.0.0.1", "--webirc-password", PasswordHasher(1, 8, 1).hash("sesame"))


def host_of(client: Irc) -> str:
    return client.told(f"WHOIS {client.nick}", "311")[0][2]


def test_users_of_a_web_gateway_have_hosts_of_their_own(serve: Callable[..., Server]) -> None:
    with people_at(serve(*GATEWAY, sniffs=True).port) as people:
        (direct,) = people("Dora")
        hosts = []
        for number in (1, 2, 2):
            client = people.connect()
            client.say("CAP LS 302", f"WEBIRC sesame lounge host.example 198.51.100.{number}", "CAP END")
            client.register(f"Ida{len(hosts)}")
            hosts.append(host_of(client))
        assert hosts[1] == hosts[2] and len({host_of(direct), *hosts}) == 3
        stranger = people.connect()
        stranger.say("CAP LS 302", "WEBIRC guess lounge host.example 198.51.100.1", "NICK x", "USER x 0 * :x")
        assert "WEBIRC password incorrect" in stranger.rest()[-1].params[-1]


def test_a_browser_cannot_be_made_to_speak_irc(serve: Callable[..., Server]) -> None:
    """A form on a page of any web site may send this to an address that takes IRC alone."""
    server = serve("--listen", "irc:127.0.0.1:0")
    port = int(server.logs(r"running on 127\.0\.0\.1:(\d+) \(irc only\)")[1])
    with people_at(port) as people:
        (nina,) = people.meet("Nina", room="#lobby")
        body = "NICK victim\r\nUSER v 0 * :v\r\nJOIN #lobby\r\nPRIVMSG #lobby :spam\r\n"
        head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as browser:
            browser.sendall((head + body).encode())
            answer = b""
            while data := browser.recv(4096):
                answer += data
        assert answer.startswith(b"HTTP/1.1 403 ") and answer.count(b"HTTP/1.1") == 1 and b" 001 " not in answer
        nina.sees_nothing()
