"""The figures of a service as Prometheus reads them: text format 0.0.4, written by its own client library."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from semlink.flowgraphs.service.board import Snapshot
from semlink.flowgraphs.service.record import COUNTS

GAUGES = {
    "queue": "Requests that wait",
    "under_way": "Requests that are being served",
    "users": "Users who asked within the last minute",
    "batch_mean": "Size of the latest batches, mean",
}
COUNTED = {
    "reopened": "Times that the socket was opened again",
    "replayed": "Requests that came again before they had their answer",
}
BY_USER = {"requests": "asked for", "served": "served", "refused": "refused", "cached": "served in part from a cache"}


def metrics_text(snapshot: Snapshot) -> bytes:
    """All figures of a moment.

    Raises:
        ValueError: prometheus-client is not installed.
    """
    from prometheus_client import CollectorRegistry, generate_latest

    class Collector:
        def collect(self) -> Iterator[Any]:
            return families(snapshot)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())  # type: ignore[arg-type, unused-ignore]
    return bytes(generate_latest(registry))


def families(snapshot: Snapshot) -> Iterator[Any]:
    """The metrics, one by one."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    status = snapshot.status
    for name in COUNTS:
        yield CounterMetricFamily(f"semlink_{name}", COUNTED.get(name, f"Requests: {name}"), value=status.get(name, 0))
    for name, told in GAUGES.items():
        yield GaugeMetricFamily(f"semlink_{name}", told, value=status.get(name, 0))
    for name in ("hits", "misses"):
        family = CounterMetricFamily(f"semlink_cache_{name}", f"Cache: {name}", labels=["cache"])
        for cache in ("encoded", "result"):
            family.add_metric([cache], status.get(f"{cache}_{name}", 0))
        yield family
    for name, told in BY_USER.items():
        family = CounterMetricFamily(f"semlink_user_{name}", f"Requests of a user that were {told}", labels=["user"])
        for row in snapshot.users:
            family.add_metric([str(row["user"])], row[name])
        yield family
    waiting = GaugeMetricFamily("semlink_user_waiting", "Requests of a user without an answer", labels=["user"])
    for row in snapshot.users:
        waiting.add_metric([str(row["user"])], row["waiting"])
    yield waiting
    latency = HistogramMetricFamily("semlink_latency_seconds", "From arrival to reply", labels=["op", "cached"])
    for (op, cached), timed in snapshot.timed.items():
        latency.add_metric([op, "yes" if cached else "no"], timed.buckets(), timed.seconds)
    yield latency
    yield CounterMetricFamily("process_cpu_seconds", "Processor time", value=status.get("cpu_s", 0))
    yield GaugeMetricFamily("process_resident_memory_bytes", "Memory", value=status.get("memory_bytes", 0))
