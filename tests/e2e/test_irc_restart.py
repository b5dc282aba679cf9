"""What IRC people find when the server was started again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from irc_caps import HISTORY, Town, read, same, say
from irc_messages import CORE, told
from scene import Server


def test_history_outlives_the_server(serve: Callable[..., Server]) -> None:
    server = serve(sniffs=True)
    first = Town(server.port)
    alice = first("alice", *HISTORY, join="#log")
    said = [say(alice, f"{verb} #log :kept") for verb in ("PRIVMSG", "NOTICE")]
    first.close()
    server.stop()
    second = Town(serve(sniffs=True).port)
    assert same(read(second("bob", *HISTORY, join="#log"), "LATEST #log * 10", said)) == same(said)
    second.close()


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_coming_back_after_a_restart_shows_what_was_missed(serve: Callable[..., Server], how: str) -> None:
    """People who were in, or had left, when the server ended are shown what was said since, and nothing twice."""
    server = serve(sniffs=True)
    first = Town(server.port)
    nina = first("nina", *CORE, join="#log")
    alice, bob = first("alice", *CORE, join="#log"), first("bob", *CORE, join="#log")
    bob.ask("PART #log")
    nina.ask("PRIVMSG #log :before the end")
    alice.sync()
    getattr(server, how)()
    first.close()
    second = Town(serve(sniffs=True).port)
    nina = second("nina", *CORE)
    assert [message.params[1] for message in told(nina.join("#log"), "PRIVMSG")] == []
    nina.ask("PRIVMSG #log :since then")
    for nick, missed in [("alice", ["since then"]), ("bob", ["before the end", "since then"])]:
        back = second(nick, *CORE)
        assert [message.params[1] for message in told(back.join("#log"), "PRIVMSG")] == missed
    newcomer = second("carol", *CORE)
    assert len(told(newcomer.join("#log"), "PRIVMSG")) == 2
    second.close()
