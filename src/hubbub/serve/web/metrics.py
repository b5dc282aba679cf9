"""The export of the server's stats in the formats of Prometheus."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from hubbub.serve.stats import BOUNDS, Stats


def _metrics(now: Stats) -> Iterable[Metric]:
    connections = GaugeMetricFamily("hubbub_connections", "Open connections, by protocol.", labels=["wire"])
    for wire, count in now.connections.items():
        connections.add_metric([wire], count)
    yield connections
    yield GaugeMetricFamily("hubbub_users", "Users with a name.", now.users)
    yield GaugeMetricFamily("hubbub_rooms_awake", "Rooms that are loaded.", now.rooms)
    yield GaugeMetricFamily("hubbub_sessions_behind", "Sessions that have not received everything yet.", now.behind)
    yield GaugeMetricFamily("hubbub_entries_waiting", "Entries that are not stored yet.", now.waiting)
    for name, (text, value) in now.cluster.items():
        yield GaugeMetricFamily(f"hubbub_{name}", text, value)
    yield CounterMetricFamily("hubbub_entries", "Entries stored since the start.", now.entries)
    yield CounterMetricFamily("hubbub_deliveries", "Entries delivered to members since the start.", now.deliveries)
    refused = CounterMetricFamily(
        "hubbub_refusals", "Refused entries and connections since the start.", labels=["what"]
    )
    refused.add_metric(["entry"], now.not_stored)
    refused.add_metric(["connection"], now.turned_away)
    yield refused
    for name, text, timing in (
        ("hubbub_commit_seconds", "Time to store a batch.", now.commit),
        ("hubbub_fan_out_seconds", "Time to write a batch to all members.", now.fan_out),
        ("hubbub_loop_lag_seconds", "Lag of the event loop, measured ten times a second.", now.lag),
    ):
        bounds = [*map(str, BOUNDS), "+Inf"]
        counts = list(zip(bounds, accumulate(timing.counts), strict=True))
        yield HistogramMetricFamily(name, text, counts, timing.sum)


class _Collector:
    def __init__(self, now: Stats) -> None:
        self._now = now

    def collect(self) -> Iterable[Metric]:
        return _metrics(self._now)


def exposition(now: Stats, accept: str) -> tuple[bytes, str]:
    """Return the stats and the process metrics in a format that `accept` names, and the content type.

    Args:
        now: the current stats.
        accept: the Accept header of the request.

    """
    registry = CollectorRegistry()
    registry.register(_Collector(now))
    ProcessCollector(registry=registry)
    encode, kind = choose_encoder(accept)
    return encode(registry), kind
