"""The API of a server that is killed, started again or stopped; its metrics and the addresses on its console."""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from api_scene import CURL, Stream, ask, say, streams_of_curl, watchers
from scene import PATIENCE, STOPS, Server, stored, wait_until

pytestmark = pytest.mark.skipif(
    not CURL and os.environ.get("CI") != "true", reason="needs curl; make test installs it when root"
)


@pytest.fixture
def serve(serve: Callable[..., Server]) -> Callable[..., Server]:
    """Start servers whose address is for every wire, as it is by default."""
    return partial(serve, sniffs=True, patient=True)


@pytest.fixture
def streams() -> Iterator[Callable[..., Stream]]:
    with streams_of_curl() as start:
        yield start


def test_curl_says_something_and_is_answered_when_it_is_stored(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve()
    al = server.join("Al")
    url = f"http://127.0.0.1:{server.port}/api/v1/rooms/lobby/messages?name=ci"
    result = subprocess.run([str(CURL), "-s", "-d", "deploy done", url], capture_output=True, timeout=120, check=True)
    entry = json.loads(result.stdout)
    server.kill()  # who was answered finds it in the log, whatever happens next
    assert [(e["nick"], e["text"], e["seq"]) for e in stored(tmp_path / "data")][-1] == (
        "ci",
        "deploy done",
        entry["seq"],
    )
    assert al.rest() == b"ci: deploy done\n"


def test_stream_goes_on_where_it_was(serve: Callable[..., Server], streams: Callable[..., Stream]) -> None:
    server = serve()
    seqs = [say(server, f"m{number}")["seq"] for number in range(4)]
    for flags in (["-H", f"Last-Event-ID: {seqs[1]}"], []):
        stream = streams(server, "lobby/stream" if flags else f"lobby/stream?after={seqs[1]}", *flags)
        assert [stream.event()["text"] for _ in range(2)] == ["m2", "m3"]
    server.kill()
    again = serve(port=server.port)
    stream = streams(again, f"lobby/stream?after={seqs[2]}")
    assert stream.event()["text"] == "m3"
    say(again, "m4")
    assert stream.event()["text"] == "m4"


def test_stream_ends_when_the_server_does(serve: Callable[..., Server], streams: Callable[..., Stream]) -> None:
    server = serve(data=None)
    stream = streams(server, "lobby/stream")
    watchers(server, 1)
    assert server.stop(STOPS) == 0
    assert stream.process.wait(PATIENCE) == 0, "the body has its end"


def test_stream_for_old_http_is_ended_by_the_close(
    serve: Callable[..., Server], streams: Callable[..., Stream]
) -> None:
    server = serve(data=None)
    stream = streams(server, "lobby/stream", "-0")
    watchers(server, 1)
    say(server, "hi")
    assert stream.event()["text"] == "hi"
    assert server.stop(STOPS) == 0
    assert stream.process.wait(PATIENCE) == 0


def test_health_and_metrics(serve: Callable[..., Server]) -> None:
    server = serve("--metrics-listen", "127.0.0.1:0")
    say(server, "hi")
    port = server.logs(r"Metrics are at http://127\.0\.0\.1:(\d+)/metrics")[1]
    assert ask(server, "/healthz").json == {"status": "ok"}
    assert ask(server, "/healthz", X_Forwarded_For="192.0.2.7").status == 403, "a proxy asks for somebody else"
    lag = re.compile(r"^hubbub_loop_lag_seconds_count [1-9]", re.MULTILINE)
    wait_until(lambda: lag.search(ask(server, "/metrics").body.decode()), what="a beat of the watchdog")
    text = ask(server, "/metrics").body.decode()
    assert "hubbub_entries_total 1.0" in text and 'hubbub_commit_seconds_bucket{le="+Inf"} 1.0' in text
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as response:
        assert "hubbub_entries_total 1.0" in response.read().decode()
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE)
    caught.value.close()


def test_addresses_and_a_code_are_shown(serve: Callable[..., Server]) -> None:
    server = serve("--qr", data=None)
    server.logs(rf"in a terminal: nc 127\.0\.0\.1 {server.port}$")
    server.logs(rf"in a browser:  http://127\.0\.0\.1:{server.port}/$")
    server.logs("█{20}")
