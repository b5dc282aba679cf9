"""Start three NATS servers and three hubbub nodes on loopback, to try a cluster; Ctrl-C ends them all.

    scripts/cluster.py [FOLDER]

The nodes listen on 8881, 8882 and 8883, NATS on 14221 to 14223. Without a folder nothing is kept.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

BIN = Path(sys.executable).parent
NATS = (14221, 14222, 14223)
ROUTES = (16221, 16222, 16223)
NODES = (8881, 8882, 8883)
REST = 12  # seconds until what has ended begins again: longer than a node's lease
Process = subprocess.Popen[bytes]


def nats(folder: Path, number: int) -> Process:
    home = folder / f"nats-{number + 1}"
    home.mkdir(parents=True, exist_ok=True)
    routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ROUTES)
    config = home / "nats.conf"
    config.write_text(
        f"server_name: nats-{number + 1}\n"
        f"listen: 127.0.0.1:{NATS[number]}\n"
        f'jetstream {{ store_dir: "{home}/js", sync_interval: always }}\n'
        f"cluster {{ name: hubbub, listen: 127.0.0.1:{ROUTES[number]}, routes: [{routes}] }}\n"
    )
    with (home / "nats.log").open("ab") as log:
        return subprocess.Popen([BIN / "nats-server", "-c", config], stdout=log, stderr=log)


def hubbub(folder: Path, number: int) -> Process:
    servers = ",".join(f"nats://127.0.0.1:{port}" for port in NATS)
    command = [BIN / "hubbub", "serve", "--broker", servers, "--replicas", "3"]
    command += ["--listen", f"127.0.0.1:{NODES[number]}", "--data", str(folder / f"node-{number + 1}")]
    with (folder / f"node-{number + 1}.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log)


def watch(parts: Sequence[tuple[str, Callable[[], Process]]], running: list[Process]) -> int:
    """Start again what has ended, until Ctrl-C; return 2 if something cannot start, which has said why."""
    while True:
        time.sleep(0.5)
        for place, (name, start) in enumerate(parts):
            if running[place].poll() == 2:
                return 2
            if running[place].returncode is not None:
                print(f"{name} has ended", flush=True)
                time.sleep(REST)
                running[place] = start()
                print(f"{name} runs again, as process {running[place].pid}", flush=True)


def main() -> int:
    with contextlib.ExitStack() as ending:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else ending.enter_context(tempfile.TemporaryDirectory()))
        parts = [(f"nats-{number + 1}", partial(nats, folder, number)) for number in range(3)]
        parts += [(f"node {number + 1}", partial(hubbub, folder, number)) for number in range(3)]
        running: list[Process] = []

        def end() -> None:
            for process in reversed(running):
                process.terminate()
            for process in running:
                process.wait(20)

        ending.callback(end)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        for name, start in parts:
            running.append(start())
            if name == "nats-3":
                time.sleep(1)
        print(f"Three nodes with one history, on three NATS servers; data and logs are in {folder}.")
        for port, process in zip(NODES, running[3:], strict=True):
            ways = f"nc 127.0.0.1 {port}    http://127.0.0.1:{port}/    /connect 127.0.0.1 {port}"
            print(f"  {ways}    process {process.pid}")
        print(f"  the NATS servers are the processes {', '.join(str(process.pid) for process in running[:3])}")
        print(f"End one with kill, or kill -9, and see what its people see; it begins again {REST} s later.")
        print("Ctrl-C ends all.", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            return watch(parts, running)
    return 0


if __name__ == "__main__":
    sys.exit(main())
