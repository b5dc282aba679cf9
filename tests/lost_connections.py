"""Connections that nats-py leaves open.

A client of nats-py that is closed while it connects may go on with it, and nothing closes that connection. When its
event loop has ended, the garbage collector finds it in a later test, which would fail.
"""

from __future__ import annotations

import asyncio
import gc
import warnings
import weakref
from typing import Any

from nats.aio.transport import TcpTransport

_made: weakref.WeakSet[asyncio.BaseTransport] = weakref.WeakSet()
_connect = TcpTransport.connect


async def _noted(self: TcpTransport, *args: Any, **options: Any) -> None:
    await _connect(self, *args, **options)
    assert self._io_writer
    _made.add(self._io_writer.transport)


def note() -> None:
    """Note all connections of nats-py from now on."""
    TcpTransport.connect = _noted  # type: ignore[method-assign]


def collect() -> None:
    """Collect the connections that were left open, if there are any, without a warning. No event loop may run."""
    if any(not transport.is_closing() for transport in _made):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
    _made.clear()
