"""Metrics for Prometheus: counts of exchanges, runs and boots, ages. Labels are few and bounded, never a MAC or a name.

Shell. Collected when asked: serving only counts in a dictionary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from netboot.world import World


def page(world: World) -> str:
    """The text exposition format, version 0.0.4."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_World(world))
    return generate_latest(registry).decode()


class _World(Collector):
    def __init__(self, world: World) -> None:
        self._world = world

    def collect(self) -> Iterator[Metric]:
        world, observed = self._world, self._world.observed
        exchanges = CounterMetricFamily("gitboot_exchanges", "Packets and requests answered.", labels=["kind", "outcome"])
        for (kind, outcome), count in sorted(world.counts.items()):
            exchanges.add_metric([kind, outcome], count)
        yield exchanges
        runs = GaugeMetricFamily("gitboot_runs", "Workflow runs by state.", labels=["state"])
        for state, count in sorted(Counter(run.state for run in observed.runs.values()).items()):
            runs.add_metric([state], count)
        yield runs
        boots = GaugeMetricFamily("gitboot_open_boots", "Boots in progress by phase.", labels=["phase"])
        for phase, count in sorted(Counter(boot.phase for boot in observed.open_boots()).items()):
            boots.add_metric([phase], count)
        yield boots
        yield from self._gauges()

    def _gauges(self) -> Iterator[Metric]:
        world = self._world
        plans = world.plans
        yield _gauge("gitboot_machines", "Machines in the served plan.", len(plans.current.machines) if plans else 0)
        yield _gauge("gitboot_strangers", "Machines seen that are not in git.", len(world.strangers))
        yield _gauge("gitboot_frozen", "1 while no new runs may start.", float(bool(world.hold())))
        yield _gauge("gitboot_journal_writable", "0 while the journal cannot be written.", float(world.ledger.failure is None))
        yield _gauge("gitboot_start_time_seconds", "When the server started, since the epoch.", world.started)
        if world.last_success:
            yield _gauge("gitboot_reconcile_last_success_seconds", "When git was last read (epoch).", world.last_success)


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help_text, value=value)
