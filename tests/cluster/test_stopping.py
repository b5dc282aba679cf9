"""A node that is told to stop while the NATS servers cannot be reached."""

from __future__ import annotations

import signal
from pathlib import Path

from nats_servers import NatsServers
from programs import SECONDS, Client, serving


def test_who_typed_something_in_an_outage_is_told_that_it_is_not_sent_when_the_node_stops(tmp_path: Path) -> None:
    servers = NatsServers(tmp_path)
    servers.start()
    try:
        with serving("--broker", servers.url, "--data", tmp_path / "node") as server:
            ann = Client(server.port, "Ann")
            ann.said("stored")
            servers.signal(0, signal.SIGKILL)
            ann.sees("The chat cannot be reached just now")
            ann.say("kept back")
            ann.say("and this")
            server.process.send_signal(signal.SIGTERM)
            told = ann.sees("The server is shutting down")
            assert told.count("Not sent: the server stops.") == 2, told
            assert server.process.wait(SECONDS) == 0
            ann.close()
    finally:
        servers.stop()
