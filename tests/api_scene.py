"""Scripts that use the API, for scenes: answers are held against the description, and curl follows streams."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from scene import PATIENCE, Place, wait_until

CURL = shutil.which("curl")
DESCRIPTION = json.loads((Path(__file__).parents[1] / "docs" / "openapi.json").read_text("utf-8"))


class Answer:
    """What an HTTP request was answered with."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(server: Place, path: str, body: bytes | None = None, method: str = "", **headers: str) -> Answer:
    """Send a request; hold a JSON answer against the description."""
    url = f"http://127.0.0.1:{server.port}{path}"
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, body, names, method=method or ("GET" if body is None else "POST"))
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            answer = Answer(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        with error:
            answer = Answer(error.code, error.headers, error.read())
    described(path, request.get_method(), answer)
    return answer


def refused(server: Place, path: str, body: bytes, **headers: str) -> int:
    """Return the status of a request that does not get as far as the API."""
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", body, headers)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=PATIENCE)
    with caught.value as error:
        return error.code


def described(path: str, method: str, answer: Answer) -> None:
    """Check that an answer is as docs/openapi.json says."""
    if not path.startswith("/api/"):
        return
    path = path.partition("?")[0]
    for template, operations in DESCRIPTION["paths"].items():
        if re.fullmatch(template.replace("{room}", "[^/]+"), path) and method.lower() in operations:
            responses = operations[method.lower()]["responses"]
            break
    else:
        assert answer.status in (404, 405)
        responses = operations["get"]["responses"]
    kind = answer.headers["Content-Type"].partition(";")[0]
    expected = responses.get(str(answer.status)) or responses["default"]
    assert kind in expected["content"], (kind, answer.body)
    if kind.endswith("json"):
        schema = {**expected["content"][kind]["schema"], "components": DESCRIPTION["components"]}
        jsonschema.validate(answer.json, schema)


def say(server: Place, text: str, room: str = "lobby", name: str = "ci") -> dict[str, Any]:
    answer = ask(server, f"/api/v1/rooms/{room}/messages?name={name}", text.encode())
    assert answer.status == 201, answer.body
    return answer.json


class Stream:
    """curl -N, and the lines that it shows."""

    def __init__(self, server: Place, path: str, *flags: str) -> None:
        command = [str(CURL), "-sN", *flags, f"http://127.0.0.1:{server.port}/api/v1/rooms/{path}"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)

    def sees(self, *lines: str) -> None:
        assert self.process.stdout
        for line in lines:
            assert self.process.stdout.readline().decode().removesuffix("\n") == line

    def event(self) -> dict[str, Any]:
        """Return the next event's entry; its id is the log's identity and the entry's number."""
        assert self.process.stdout
        head, data, end = (self.process.stdout.readline().decode() for _ in range(3))
        entry = json.loads(data.removeprefix("data: "))
        assert re.fullmatch(rf"id: [a-z0-9]+-{entry['seq']}\n", head) and end == "\n"
        return entry

    def end(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        if self.process.stdout:
            self.process.stdout.close()


def watchers(server: Place, count: int) -> None:
    """Wait until so many streams are there."""
    pattern = f'hubbub_connections{{wire="stream"}} {count}.0'
    wait_until(lambda: pattern in ask(server, "/metrics").body.decode(), what=pattern)


@contextmanager
def streams_of_curl() -> Iterator[Callable[..., Stream]]:
    """Yield what starts streams; they end with the block."""
    started: list[Stream] = []

    def start(*arguments: Any) -> Stream:
        started.append(Stream(*arguments))
        return started[-1]

    yield start
    for stream in started:
        stream.end()


def search(server: Place, words: str, path: str = "/api/v1/search") -> tuple[int, Any, dict[str, Any]]:
    """Search in all rooms or those of the path; return status, headers and answer."""
    url = f"http://127.0.0.1:{server.port}{path}?q={urllib.parse.quote(words)}"
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as response:
            return response.status, response.headers, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with closing(error):
            return error.code, error.headers, json.loads(error.read())
