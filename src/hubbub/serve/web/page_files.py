"""The files of the page, by their paths: how they are compacted and sent."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib import resources
from pathlib import Path

from aiohttp import web

from hubbub.serve.web.http import Call

TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
COMPACT = {  # replaced in scripts and in style sheets
    ".js": [
        (re.compile(rb"(?m)(?:^|[ \t])[ \t]*// .*$|^[ \t]+"), b""),
        (re.compile(rb"\n{2,}"), b"\n"),
        (re.compile(rb" (=>|={1,3}|!==|<=?|>=?|&&|\|\||\?\??|:) "), rb"\1"),
        (re.compile(rb"(?<=\{) | (?=\})|(?<=\)) (?=\{)"), b""),
    ],
    ".css": [
        (re.compile(rb"(?s)/\*.*?\*/"), b""),
        (re.compile(rb"\s*([{};,])\s*"), rb"\1"),
        (re.compile(rb": +"), b":"),
    ],
}


def files() -> dict[str, Path]:
    """Return the page's files by their paths."""
    found: dict[str, Path] = {}
    top = Path(str(resources.files("hubbub"))) / "page"
    for prefix, folder in (("/page/", top), ("/page/vendor/", top / "vendor")):
        found |= {prefix + file.name: file for file in folder.iterdir() if file.is_file() and file.suffix in TYPES}
    found["/"] = found["/page/index.html"]
    found["/worker.js"] = found.pop("/page/worker.js")  # a service worker serves the paths beside it
    return found


async def send(file: Path, call: Call) -> web.Response:
    """Return a file of the page; 304 Not Modified if the client has it already."""
    body, kind, tag = _read(file)
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in call.request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)


@cache
def _read(file: Path) -> tuple[bytes, str, str]:
    """Return the bytes that are sent for a file, its media type and its ETag."""
    body = file.read_bytes()
    if file.suffix in COMPACT and file.parent.name == "page":
        body = compact(body, file.suffix)
    return body, TYPES[file.suffix], f'"{hashlib.sha256(body).hexdigest()[:20]}"'


def compact(source: bytes, suffix: str) -> bytes:
    """Return a script or a style sheet without its comments and its indentation, and with few other spaces.

    It does not know the languages, and replaces what COMPACT has for them. So no text of the page has an operator or
    two slashes between spaces, or spaces within braces; and its templates ignore spaces around line ends.
    """
    for found, instead in COMPACT[suffix]:
        source = found.sub(instead, source)
    return source
