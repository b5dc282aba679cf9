"""NATS servers for tests: on free ports of 127.0.0.1, in a folder of their own, ended with the test."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from hubbub.cluster.nats import streams
from hubbub.cluster.nats.link.client import NatsCredentials
from hubbub.cluster.nats.link.connection import NatsConnection
from hubbub.cluster.nats.link.outcomes import Rejected

BINARY = Path(sys.executable).with_name("nats-server")
SECONDS = 90.0  # in which servers must be ready


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def _get(url: str) -> bytes | None:
    """Return what is answered, None if that is an error."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        pass
    return None


class NatsServers:
    """One server, or a cluster of three.

    Args:
        folder: where they keep their data and their logs.
        count: how many.
        sync: their `sync_interval`.
        more: further lines of their configuration.
        jetstream: further settings of JetStream, such as its bounds.

    """

    def __init__(self, folder: Path, count: int = 1, sync: str = "always", more: str = "", jetstream: str = "") -> None:
        self.count = count
        ports = free_ports(3 * count)
        self.ports, self.monitors, routes = ports[:count], ports[count : 2 * count], ports[2 * count :]
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * count
        for number in range(count):
            home = folder / f"nats-{number}"
            home.mkdir(parents=True, exist_ok=True)
            lines = [
                f"server_name: n{number}",
                f"listen: 127.0.0.1:{self.ports[number]}",
                f"http: 127.0.0.1:{self.monitors[number]}",
                f'jetstream {{ store_dir: "{home}/js", sync_interval: "{sync}", {jetstream or "max_file: 4GB"} }}',
                more,
            ]
            if count > 1:
                all_routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
                lines.append(f"cluster {{ name: c, listen: 127.0.0.1:{routes[number]}, routes: [{all_routes}] }}")
            (home / "nats.conf").write_text("\n".join(lines))

    @property
    def url(self) -> str:
        return ",".join(f"nats://127.0.0.1:{port}" for port in self.ports)

    def start(self, *numbers: int) -> None:
        for number in numbers or range(self.count):
            home = self._folder / f"nats-{number}"
            with open(home / "nats.log", "ab") as output:
                self._processes[number] = subprocess.Popen(
                    [BINARY, "-c", home / "nats.conf"], stdout=output, stderr=output
                )
        self.wait(numbers or range(self.count))

    def wait(self, numbers: Sequence[int]) -> None:
        end = time.monotonic() + SECONDS
        for number in numbers:
            url = f"http://127.0.0.1:{self.monitors[number]}/healthz"
            while time.monotonic() < end:
                if _get(url) is not None:
                    break
                time.sleep(0.02)
            else:
                raise TimeoutError(f"server {number} is not ready: {self._folder}")

    def signal(self, number: int, what: signal.Signals) -> None:
        process = self._processes[number]
        assert process is not None
        os.kill(process.pid, what)
        if what is signal.SIGSTOP:
            os.waitpid(process.pid, os.WUNTRACED)  # on a busy machine it would go on for a while
        if what is signal.SIGKILL:
            process.wait(SECONDS)
            self._processes[number] = None

    def leader(self, stream: str = "HUBBUB") -> int:
        """Return the number of the server that leads a stream."""
        for number, process in enumerate(self._processes):
            if process is None:
                continue
            url = f"http://127.0.0.1:{self.monitors[number]}/jsz?streams=1"
            for account in json.loads(_get(url) or b"{}").get("account_details", ()):
                for one in account.get("stream_detail", ()):
                    if one["name"] == stream and (leader := one.get("cluster", {}).get("leader")):
                        return int(leader[1:])
        return 0

    def given(self, number: int = 0) -> list[int]:
        """Return how many bytes a server has sent to each of its clients, who came first being the first."""
        import json

        with urllib.request.urlopen(f"http://127.0.0.1:{self.monitors[number]}/connz", timeout=SECONDS) as answer:
            clients = json.load(answer)["connections"]
        return [client["out_bytes"] for client in sorted(clients, key=lambda client: client["cid"])]

    def stop(self) -> None:
        for process in self._processes:
            if process:
                with contextlib.suppress(OSError):
                    process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait(SECONDS)
        self._processes = [None] * self.count

    async def forget(self) -> None:
        """Delete the streams, if there are any."""
        link = NatsConnection(NatsCredentials(self.url), "clean", lambda up: None)
        await link.connect()
        for stream in (streams.LOG, streams.NOW):
            with contextlib.suppress(Rejected):
                await link.ask(f"STREAM.DELETE.{stream}")
        await link.close()
