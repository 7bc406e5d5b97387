# SPDX-License-Identifier: GPL-2.0-or-later
"""What a script on one of OMERO's Processors costs beside a worker, and how throughput grows with the number of Processors.

    .venv/bin/python benchmarks/grid.py [--rounds 3] [--orders 20] [--file-seconds 2]

First part: orders of one small file, by a worker of a service with `dispatch: local` that has imported before, and by scripts
that a service with `dispatch: grid` launches. One order at a time, so that each needs a launch; then many orders of one person
at once, which one script works off. Both ways take turns, so that whatever else the machine does is the same for both; a ratio
is the median of the ratios of neighbours.

  begins  ms from the claim until the server begins to import: sessions, the launch, Python, Java
  whole   ms from the first claim to the last `Import Completed`, an order
  own     CPU ms of service, workers, Processors, scripts and readers, an order
  server  CPU ms of the development server, an order

Second part: each file takes the server so long that the cores of this machine are no limit, as files of gigabytes do, and 1, 2
and 3 local workers, then scripts on 1, 2 and 3 Processors work off the same orders of three people, one file an order.
A Processor takes any number of scripts: it is `max_scripts` that is 1, 2 and 3 here, as a site sets it by what its Processors
can bear, and OMERO spreads the scripts. Launches are counted, start-up of services and Processors is not. `shares`: orders that
each Processor had.

All of it runs on servers of its own and leaves nothing behind; four minutes on two cores that nobody else uses.
"""

from __future__ import annotations

import argparse
import statistics
from contextlib import ExitStack
from typing import TYPE_CHECKING

from grid_site import Processors, Site
from intake import postgres, scratch

from omero_devserver.testing import running

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from grid_site import Cost

SINGLES = 3
"""How many orders are carried out one by one in each round."""

PEOPLE = 3
NUMBERS = (1, 2, 3)
WARM_UP_SECONDS = 0.3
"""How long a file takes when workers are to import for the first time: so long that each of them gets one."""


def main() -> None:
    """Run both parts, and print their tables and the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="of the first part (3)")
    parser.add_argument("--orders", type=int, default=20, help="how many orders one script works off in the first part (20)")
    parser.add_argument(
        "--warm-up", type=int, default=100, help="orders that the worker of the first part has carried out before (100)"
    )
    parser.add_argument("--growth-rounds", type=int, default=1, help="of the second part (1)")
    parser.add_argument("--growth-orders", type=int, default=18, help="how many orders the second part is about (18)")
    parser.add_argument("--file-seconds", type=float, default=2, help="how long a file takes the server there (2)")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        url = stack.enter_context(postgres(folder))
        server = stack.enter_context(running(folder / "omero", step_seconds=0, processors=0))
        site = Site(server, folder, url, people=PEOPLE)
        first = costs(site, rounds=given.rounds, orders=given.orders, warm_up=given.warm_up)
        second = growth(site, rounds=given.growth_rounds, orders=given.growth_orders, file_seconds=given.file_seconds)
    print(f"\ngrid: {first} {second}")


# --- what a launch costs ----------------------------------------------------------------------------------------------


def costs(site: Site, *, rounds: int, orders: int, warm_up: int) -> str:
    """Print what orders cost both ways; return the part of the last line."""
    one, many = site.files_of(1), site.files_of(orders)
    with ExitStack() as stack:
        processors = stack.enter_context(Processors(site, "costs"))
        processors.add()
        site.install()
        local = stack.enter_context(site.service("costs-local", max_workers=1))
        grid = stack.enter_context(site.service("costs-grid", dispatch="grid", max_workers=1, max_scripts=1))
        processors.serve(grid, max_scripts=1)
        local.carry_out(site.files_of(warm_up), people=1)
        grid.carry_out(
            one, people=1, processors=processors
        )  # the modules that scripts load are in the memory of the machine then

        def both(files: Sequence[str]) -> tuple[Cost, Cost]:
            return local.carry_out(files, people=1), grid.carry_out(files, people=1, processors=processors)

        singles: list[tuple[Cost, Cost]] = []
        batches: list[tuple[Cost, Cost]] = []
        for _ in range(rounds):
            singles += [both(one) for _ in range(SINGLES)]
            batches.append(both(many))
    print(f"{'':34} {'begins':>8} {'whole':>8} {'own':>8} {'server':>8} {'launches':>9}")
    show("one order", singles, 1)
    show(f"{orders} orders at once", batches, orders)
    launch = statistics.median(script.first - worker.first for worker, script in singles)
    cpu = statistics.median(script.own - worker.own for worker, script in singles)
    return (
        f"launch_ms={launch * 1000:.0f} launch_cpu_ms={cpu * 1000:.0f} "
        f"cpu_ratio_one={ratio(singles, lambda cost: cost.own):.1f} cpu_ratio_many={ratio(batches, lambda cost: cost.own):.1f}"
    )


def show(name: str, pairs: Sequence[tuple[Cost, Cost]], orders: int) -> None:
    """Print three lines: the worker, the scripts, and the ratio."""
    figures: list[Callable[[Cost], float]] = [
        lambda cost: cost.first,
        lambda cost: cost.whole / orders,
        lambda cost: cost.own,
        lambda cost: cost.server,
    ]
    for which, way in enumerate(("worker", "script")):
        values = (statistics.median(figure(pair[which]) for pair in pairs) * 1000 for figure in figures)
        launches = f"{statistics.mean(pair[which].claimers for pair in pairs):9.1f}" if which else ""
        print(f"{f'{name}, {way}':34} " + " ".join(f"{value:8.0f}" for value in values) + f" {launches}")
    print(f"{'script to worker':34} " + " ".join(f"{ratio(pairs, figure):8.1f}" for figure in figures), flush=True)


def ratio(pairs: Sequence[tuple[Cost, Cost]], figure: Callable[[Cost], float]) -> float:
    """Return how many times as much the scripts take, in the median pair."""
    return statistics.median(figure(script) / figure(worker) for worker, script in pairs)


# --- how throughput grows ---------------------------------------------------------------------------------------------


def growth(site: Site, *, rounds: int, orders: int, file_seconds: float) -> str:
    """Print how quickly orders are worked off with more and more workers, and Processors; return the part of the last line."""
    files = site.files_of(orders)
    print(f"\n{orders} orders of {PEOPLE} people, each of one file that takes the server {file_seconds:g} s\n")
    print(f"{'':16} {'files a minute':>15} {'to one':>8} {'launches':>9}   shares")
    rates: dict[tuple[str, int], list[float]] = {(way, number): [] for number in NUMBERS for way in ("worker", "Processor")}
    for turn in range(rounds):
        with Processors(site, f"growth-{turn}") as processors:
            for number in NUMBERS:
                processors.add()
                name = f"growth-{turn}-{number}"
                with site.service(f"{name}-local", max_workers=number) as local:
                    site.take_seconds(WARM_UP_SECONDS)
                    local.carry_out(files[: 2 * number], people=PEOPLE)
                    site.take_seconds(file_seconds)
                    cost = local.carry_out(files, people=PEOPLE)
                tell(rates, ("worker", number), orders, cost)
                limits = {"max_workers": number, "max_scripts": number}
                with site.service(f"{name}-grid", dispatch="grid", **limits) as grid:
                    processors.serve(grid, max_scripts=number)
                    cost = grid.carry_out(files, people=PEOPLE, processors=processors)
                tell(rates, ("Processor", number), orders, cost, shares=processors.shares())
    site.take_seconds(0)
    grown = {key: statistics.median(to_one(rates, key)) for key in rates}
    return " ".join(
        f"{'workers' if way == 'worker' else 'processors'}_{number}={grown[way, number]:.2f}"
        for way, number in rates
        if number > 1
    )


def tell(
    rates: dict[tuple[str, int], list[float]], key: tuple[str, int], orders: int, cost: Cost, *, shares: Sequence[int] = ()
) -> None:
    """Note a rate, and print its line."""
    way, number = key
    rates[key].append(orders / cost.whole * 60)
    line = f"{number} {way}{'s' if number > 1 else ''}"
    print(f"{line:16} {rates[key][-1]:15.1f} {to_one(rates, key)[-1]:8.2f} ", end="")
    print(f"{cost.claimers:9}   {' + '.join(map(str, shares))}" if shares else "", flush=True)


def to_one(rates: dict[tuple[str, int], list[float]], key: tuple[str, int]) -> list[float]:
    """Return how much quicker it was than with one of the kind, in each round."""
    return [some / one for some, one in zip(rates[key], rates[key[0], 1], strict=True)]


if __name__ == "__main__":
    main()
