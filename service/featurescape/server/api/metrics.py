"""Prometheus metrics of the service: jobs, scheduler, and answers by route.

Labels have few values whatever clients send: a route is its template (``/v1/jobs/{job_id}``), never an address,
and methods that no route has are one. Each app has a registry of its own, so that two in one process do not mix.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from featurescape.server.jobstore import JobStore
from featurescape.server.scheduler import Scheduler

_METHODS = frozenset({"GET", "HEAD", "POST"})
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Metrics of one app: what it counts, and what it reads off its record and scheduler when it is asked."""

    def __init__(self, store: JobStore, scheduler: Scheduler) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_ServiceCollector(store, scheduler))
        self._requests = Counter(
            "featurescape_http_requests",
            "Requests answered.",
            ("method", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "featurescape_http_request_seconds",
            "From a request's head to the first byte of its answer.",
            ("route",),
            registry=self._registry,
            buckets=_SECONDS,
        )

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one answer."""
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        route = getattr(scope.get("route"), "path", "none")
        self._requests.labels(method, status).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)


class CountAnswers:
    """ASGI middleware that tells `Metrics` of every answer."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.monotonic()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                seconds = time.monotonic() - started
                self._metrics.answered(scope, int(message["status"]), seconds)
            await send(message)

        await self._app(scope, receive, counted)


class _ServiceCollector(Collector):
    """Gauges that are read off when Prometheus asks."""

    def __init__(self, store: JobStore, scheduler: Scheduler) -> None:
        self._store = store
        self._scheduler = scheduler

    def describe(self) -> Iterable[Metric]:
        """Nothing: a registry that asks would read the record while the app is made."""
        return ()

    def collect(self) -> Iterator[Metric]:
        jobs = GaugeMetricFamily(
            "featurescape_jobs", "Jobs in the record, by status.", labels=["status"]
        )
        for status, number in self._store.counts().items():
            jobs.add_metric([status], number)
        yield jobs
        scheduler = self._scheduler
        for name, help_text, value in (
            ("ray_up", "Whether Ray answers.", float(scheduler.problem is None)),
            (
                "storage_up",
                "Whether storage has room and can be written.",
                float(scheduler.storage_problem is None),
            ),
            (
                "scheduler_last_round_seconds",
                "Since the last complete round.",
                scheduler.rounds.age_seconds,
            ),
            (
                "queue_age_seconds",
                "How long the oldest waiting job waits; 0 where none does.",
                self._store.queue_age_seconds(),
            ),
        ):
            yield GaugeMetricFamily(f"featurescape_{name}", help_text, value=value)
