"""The file of keys that the operator lets in, in the format of authorized_keys; it is read again when it changes."""

from __future__ import annotations

import ipaddress
import logging
import re
from pathlib import Path
from typing import NamedTuple

import asyncssh

from hubbub.errors import Refused, SettingsError, reason
from hubbub.text.names import check_name

log = logging.getLogger("hubbub")

LARGEST = 4 * 1024 * 1024  # bytes of the file
# The key at the end of a line, behind options: its kind, its data and a comment.
_KEY = re.compile(r"(?:^|\s)((?:sk-)?(?:ssh|ecdsa)-[A-Za-z0-9@.-]+\s+AAAA[A-Za-z0-9+/]+=*(?:\s+(\S.*))?)$")


class AllowedKey(NamedTuple):
    """A line of the file: the owner of its key, and the line, which may limit the addresses that the key comes from."""

    name: str
    line: asyncssh.SSHAuthorizedKeys


class KeyFile:
    """The keys in a file, each with the name of its owner as comment. Without a file there are none.

    Args:
        path: the path of the file; None for no file.

    Raises:
        SettingsError: the file cannot be read.

    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._keys: dict[str, list[AllowedKey]] = {}  # by fingerprint
        self._stamp = (0, 0, 0)  # time of the last change, inode and size of the file that was read
        if path:
            self._read(path)

    def look(self) -> None:
        """Read the file again if it has changed. Keep the old keys, and log an error, if it cannot be read."""
        if self._path and self._stamp_of(self._path) != self._stamp:
            try:
                self._read(self._path)
            except SettingsError as error:
                log.error("%s The old keys stay in use.", error)
            else:
                log.info("The ssh keys in %s were read again; there are %d", self._path, len(self._keys))

    def name_of(self, key: asyncssh.SSHKey, address: str) -> str:
        """Return the name that the file gives to the owner of a key who comes from an address; "" for none."""
        host = address.partition("/")[0]
        for allowed in self._keys.get(key.get_fingerprint(), ()):
            if allowed.line.validate(key, host, str(ipaddress.ip_address(host))) is not None:
                return allowed.name
        return ""

    def _stamp_of(self, path: Path) -> tuple[int, int, int]:
        try:
            found = path.stat()
        except OSError:
            return (-1, 0, 0)
        return (found.st_mtime_ns, found.st_ino, found.st_size)

    def _read(self, path: Path) -> None:
        self._stamp = self._stamp_of(path)
        try:
            if path.stat().st_size > LARGEST:
                raise SettingsError(f"The file {path} with ssh keys is larger than {LARGEST} bytes.")
            text = path.read_text("utf-8")
        except OSError as error:
            raise SettingsError(f"The file {path} with ssh keys cannot be read: {reason(error)}.") from None
        except UnicodeDecodeError:
            raise SettingsError(f"The file {path} with ssh keys is not a UTF-8 text file.") from None
        self._keys = {}
        for number, line in enumerate(text.splitlines(), 1):
            line = line.strip()
            if line and not line.startswith("#") and not self._take(line):
                log.warning("Line %d of %s is ignored: it needs a key and, as its comment, a name", number, path)

    def _take(self, line: str) -> bool:
        """Keep the key of a line; return whether it has one, and a name."""
        found = _KEY.search(line)
        if found is None or not found[2]:
            return False
        try:
            name = check_name(found[2].strip())
            key = asyncssh.import_public_key(found[1])
            allowed = AllowedKey(name, asyncssh.import_authorized_keys(f"{line}\n"))
        except (Refused, asyncssh.KeyImportError, ValueError):
            return False
        self._keys.setdefault(key.get_fingerprint(), []).append(allowed)
        return True
