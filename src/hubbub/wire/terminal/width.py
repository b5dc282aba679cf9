"""The width of text on a terminal, in columns, by wcwidth.

Terminals disagree about emoji that consist of several characters. So nothing here depends on the exact width: `cells`
is what the widest terminal needs, and a cursor is placed by writing the text before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache

from hubbub.text.patterns import pattern

CLUSTER_CHARS = 32  # more characters at one place are in no script, and are taken for several ones
_CLUSTER = pattern(r"\X")  # a character as people see it (UAX #29)
# A code point that may be a part of a longer character. A text without one is divided thirty times as fast.
_PART = pattern(
    r"[\r\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}\p{GCB=Prepend}\p{GCB=Regional_Indicator}"
    r"\p{GCB=L}\p{GCB=V}\p{GCB=T}\p{GCB=LV}\p{GCB=LVT}]"
)
MEASURED = 4096  # characters whose widths, and forms in the row, are kept


@cache
def _measures() -> tuple[Callable[[str], int], Callable[[str], int]]:
    # The library takes a tenth of a second to load, so it is loaded when the first terminal needs it.
    from wcwidth import wcswidth, wcwidth

    return wcwidth, wcswidth


def clusters(text: str) -> list[str]:
    """Return the characters of a text as people see them, each of at most CLUSTER_CHARS code points."""
    if (text.isascii() and "\r" not in text) or not _PART().search(text):
        return list(text)
    return [
        cluster[at : at + CLUSTER_CHARS]
        for cluster in _CLUSTER().findall(text)
        for at in range(0, len(cluster), CLUSTER_CHARS)
    ]


@lru_cache(MEASURED)
def cells(cluster: str) -> int:
    """Return the most columns that a terminal takes for a cluster; at least 1."""
    if cluster.isascii():
        return len(cluster)
    wcwidth, wcswidth = _measures()
    return max(1, wcswidth(cluster), sum(max(0, wcwidth(char)) for char in cluster))


def is_certain(cluster: str) -> bool:
    """Return whether all terminals take the same number of columns for a cluster."""
    return len(cluster) == 1 and (cluster.isascii() or _measures()[0](cluster) > 0)


def total(row: Sequence[str]) -> int:
    """Return the most columns that a terminal takes for some clusters."""
    text = "".join(row)  # in which one look finds that none of them is wide
    return len(text) if text.isascii() else sum(map(cells, row))
