"""Private messages between accounts on the wires: nc, IRC and WebSocket share one conversation."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from in_thread import InThread

from scene import PROMPT, Client

LATER = b"*** Bo is not here now, and will be shown your message at the next login ***\n"


@pytest.fixture
def place(serve: Callable[..., InThread]) -> InThread:
    return serve("--no-limits", sniffs=False)


def registered(place: InThread, name: str) -> Client:
    peer = place.join(name)
    peer.say("/register open sesame")
    peer.skips_to(f"*** You are logged in as {name} ***\n".encode())
    return peer


def log_in(place: InThread, name: str) -> Client:
    peer = place.connect()
    peer.sees(PROMPT)
    peer.say(name)
    peer.skips_to(b"(it can be seen): ")
    peer.say("open sesame")
    peer.skips_to(f"*** You are logged in as {name} ***\n".encode())
    return peer


def test_a_message_to_somebody_absent_arrives_at_the_next_login_on_nc(place: InThread) -> None:
    ann, bo = registered(place, "Ann"), registered(place, "Bo")
    bo.say("/msg Ann hello")
    ann.skips_to(b"Bo (private): hello\n")
    bo.say("/quit")
    ann.skips_to(b"*** Bo has left the chat ***\n")
    ann.say("/msg Bo one", "/msg bo two")
    ann.sees(LATER + LATER)
    bo = log_in(place, "Bo")
    ann.sees(b"*** Bo has joined the chat ***\n")
    bo.skips_to(b"--- 2 private messages since ")
    bo.sees(re.compile(rb"\d\d:\d\d ---\n\[\d\d:\d\d\] Ann \(private\): one\n\[\d\d:\d\d\] Ann \(private\): two\n"))
    bo.say("/history Ann", "/search @Ann two")
    bo.sees(re.compile(rb"\[\S+\] Bo -> Ann \(private\): hello\n\[\S+\] Ann \(private\): one\n\[\S+\] Ann .*two\n"))
    bo.sees(re.compile(rb"\[\S+\] Ann \(private\): two\n"))
    ann.say("/msg Bo three")
    bo.sees(b"Ann (private): three\n")
    ann.sees_nothing()
