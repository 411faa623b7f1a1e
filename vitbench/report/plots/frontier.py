"""Latency against accuracy: what was measured here beside what was published of the same networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from vitbench.report.plots.accuracy import Accuracy, published_accuracy
from vitbench.report.plots.caption import caption_of_runs
from vitbench.report.plots.figure import Plot
from vitbench.report.plots.labels import UP_LEFT, name_points
from vitbench.report.plots.series import plain_log
from vitbench.report.plots.theme import Theme, legend_order, look
from vitbench.report.rows import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAST = 2


@dataclass(frozen=True)
class Network:
    """A network that was measured and whose accuracy is published."""

    row: Row
    accuracy: Accuracy

    @property
    def latency_ms(self) -> float:
        """The measured one, or its compute part."""
        return self.row.value or 0.0


def frontier_plots(rows: Sequence[Row]) -> list[Plot]:
    """A plot per metric, data, target and precision of which two networks or more are known."""
    found: dict[tuple[str, ...], list[Network]] = {}
    for row in rows:
        if row.value and row.unit == "ms":
            for figure in published_accuracy(row):
                data = "" if figure.task == "cls" else figure.dataset or ""
                key = (
                    figure.metric,
                    figure.task,
                    data,
                    row.target,
                    row.device,
                    row.precision,
                    str(row.batch),
                )
                found.setdefault(key, []).append(Network(row, figure))
    chosen = [networks for networks in found.values() if len(networks) >= LEAST]
    return [_plot(networks, number) for number, networks in enumerate(chosen, 1)]


def on_frontier(networks: Sequence[Network]) -> list[Network]:
    """Networks that no other one beats in both latency and accuracy, fastest first."""
    best: list[Network] = []
    for network in sorted(networks, key=lambda each: (each.latency_ms, -each.accuracy.value)):
        if not best or network.accuracy.value > best[-1].accuracy.value:
            best.append(network)
    return best


def _plot(networks: Sequence[Network], number: int) -> Plot:
    rows = [network.row for network in networks]
    first = networks[0]
    data = " / ".join(dict.fromkeys(each.accuracy.dataset for each in networks if each.accuracy.dataset))
    metric = f"{first.accuracy.metric}{f' on {data}' if data else ''}"
    sources = "; ".join(dict.fromkeys(network.accuracy.source for network in networks))
    frontier = ", ".join(_name(network.row, networks) for network in on_frontier(networks))
    return Plot(
        name=f"latency-accuracy-{number}",
        title=f"Measured latency and published {metric}, on {first.row.target}",
        caption=[*caption_of_runs(rows), f"accuracy as published: {sources}", "bars: 95 % intervals"],
        told=f"Published {metric} over measured latency in ms; not beaten in both: {frontier}",
        draw=partial(_draw, networks=networks, label=f"published {metric}, {first.accuracy.unit}"),
        height=4.4,
        simulated=any(row.simulated for row in rows),
    )


def _draw(axes: Axes, theme: Theme, *, networks: Sequence[Network], label: str) -> None:
    best = on_frontier(networks)
    axes.step(
        [network.latency_ms for network in best],
        [network.accuracy.value for network in best],
        where="post",
        color=theme.faint,
        linestyle="--",
        linewidth=1.2,
        zorder=1,
        label="not beaten in both",
    )
    families = legend_order([_family(network) for network in networks])
    for family, number in families.items():
        style = look(theme, number)
        axes.plot([], [], linestyle="none", marker=style.marker, color=style.colour, label=family)
        for network in (network for network in networks if _family(network) == family):
            _point(axes, theme, network, style.colour, style.marker)
    plain_log(axes, "x")
    axes.margins(x=0.12, y=0.12)
    axes.set_xlabel("latency ms" if networks[0].row.value_is == "latency" else "compute ms")
    axes.set_ylabel(label)
    points = [(network.latency_ms, network.accuracy.value) for network in networks]
    name_points(axes, theme, points, [_name(network.row, networks) for network in networks], UP_LEFT)


def _point(axes: Axes, theme: Theme, network: Network, colour: str, marker: str) -> None:
    low, high = network.row.value_low, network.row.value_high
    reach = (
        None
        if low is None or high is None
        else [[max(0.0, network.latency_ms - low)], [max(0.0, high - network.latency_ms)]]
    )
    axes.errorbar(
        [network.latency_ms],
        [network.accuracy.value],
        xerr=reach,
        fmt=marker,
        color=colour,
        markerfacecolor=colour if network.row.status == "valid" else theme.paper,
        elinewidth=1.1,
        capsize=3,
        zorder=4,
    )


def _family(network: Network) -> str:
    return network.row.model.partition("-")[0]


def _name(row: Row, networks: Sequence[Network]) -> str:
    """The model, with its resolution where it is shown at several."""
    sizes = {network.row.resolution for network in networks if network.row.model == row.model}
    return row.model if len(sizes) == 1 else f"{row.model} {row.resolution}"
