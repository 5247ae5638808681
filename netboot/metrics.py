"""Metrics for Prometheus: counts of exchanges, runs and boots, ages. Labels are few and bounded, never a MAC or a name.

Shell. Collected when asked: serving only counts in a dictionary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from netboot.durations import Histogram
from netboot.fleet import Survey, counts_of
from netboot.issue_document import issues_of_site
from netboot.issue_kinds import CATALOGUE
from netboot.world import World

LOSERS = ("dhcp", "dns", "http", "tftp")
"""What may be lost by a fault of ours: told also while nothing was, for Prometheus sees no increase in what begins with 1."""


async def page(world: World) -> str:
    """The text exposition format, version 0.0.4."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_World(world, await world.survey()))
    return generate_latest(registry).decode()


class _World(Collector):
    def __init__(self, world: World, survey: Survey) -> None:
        self._world = world
        self._survey = survey

    def collect(self) -> Iterator[Metric]:
        world, observed = self._world, self._world.observed
        exchanges = CounterMetricFamily("gitboot_exchanges", "Packets and requests answered.", labels=["kind", "outcome"])
        counts = {(kind, "defect"): 0 for kind in LOSERS} | world.counts
        for (kind, outcome), count in sorted(counts.items()):
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
        yield from self._fleet()
        yield from self._durations()
        yield from self._gauges()

    def _fleet(self) -> Iterator[Metric]:
        """Every name of the catalogue, also while nobody has it: an alarm needs a zero to come back to."""
        world, counts = self._world, counts_of(self._survey.rows)
        site = Counter(each.kind for each in issues_of_site(world.plans, world.word, world.heard, world.now()))
        issues = GaugeMetricFamily("gitboot_issues", "Machines, or things of the site, that have an issue.", labels=["issue"])
        for kind in CATALOGUE:
            issues.add_metric([kind], counts.issues.get(kind, 0) + site[kind])
        yield issues
        phases = GaugeMetricFamily("gitboot_machines_by_phase", "Machines by the phase that they are in.", labels=["phase"])
        for phase, count in sorted(counts.phases.items()):
            phases.add_metric([phase], count)
        yield phases
        states = GaugeMetricFamily("gitboot_machines_by_state", "Machines by the state of their latest run.", labels=["state"])
        for state, count in sorted(counts.states.items()):
            states.add_metric([state], count)
        yield states

    def _durations(self) -> Iterator[Metric]:
        known = self._world.durations
        answers = HistogramMetricFamily("gitboot_answer_seconds", "How long this server took to answer.", labels=["kind"])
        phases = HistogramMetricFamily("gitboot_phase_seconds", "How long boots were in each phase.", labels=["phase"])
        actions = HistogramMetricFamily("gitboot_action_seconds", "How long actions ran, by how they ended.", labels=["state"])
        runs = HistogramMetricFamily("gitboot_run_seconds", "How long runs took, by how they ended.", labels=["state"])
        yield _filled(answers, known.answers)
        yield _filled(phases, known.phases)
        yield _filled(actions, known.actions)
        yield _filled(runs, known.runs)

    def _gauges(self) -> Iterator[Metric]:
        world = self._world
        plans = world.plans
        yield _gauge("gitboot_machines", "Machines in the served plan.", len(plans.current.machines) if plans else 0)
        yield _gauge("gitboot_strangers", "Machines seen that are not in git.", len(world.strangers))
        held = GaugeMetricFamily("gitboot_held", "1 while no new runs may start, by what holds them.", labels=["by"])
        for by, why in world.holds().items():
            held.add_metric([by], float(bool(why)))
        yield held
        yield _gauge("gitboot_journal_writable", "0 while the journal cannot be written.", float(world.ledger.failure is None))
        yield _gauge("gitboot_listeners", "Who follows the events now.", world.feed.listeners)
        yield _gauge("gitboot_start_time_seconds", "When the server started, since the epoch.", world.started)
        if (room := world.directory.room()) is not None:
            yield _gauge("gitboot_state_free_bytes", "What is left on the disk of the state directory.", room)
        if world.last_success:
            yield _gauge("gitboot_reconcile_last_success_seconds", "When git was last read (epoch).", world.last_success)


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help_text, value=value)


def _filled(family: HistogramMetricFamily, histograms: Mapping[Any, Histogram]) -> Metric:
    for label, each in sorted(histograms.items()):
        bounds = [*map(str, each.bounds), "+Inf"]
        family.add_metric([label], list(zip(bounds, accumulate(each.counts), strict=True)), each.sum)
    return family
