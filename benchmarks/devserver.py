# SPDX-License-Identifier: GPL-2.0-or-later
"""How quick the development server is: starts, calls, imports, with 1, 4 and 8 clients.

    .venv/bin/python benchmarks/devserver.py [--seconds 2] [--files 20]

Each client is a process of its own. Calls are compared with a bare Ice ping of the same clients in the same run: how many pings
one of them costs. Imports are compared with those whose steps wait, as they do by default. About a minute.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import omero
import omero.all
import tifffile
from devserver_clients import import_in_place, new_dataset, scratch, served

from omero_devserver.testing import make_template, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.synchronize import Barrier
    from pathlib import Path

CLIENTS = (1, 4, 8)
STEP_SECONDS = 0.02
STEPS = 5
LONGEST_SECONDS = 60
PING = "Ice ping"


def main() -> None:
    """Run all parts and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2, help="how long each kind of call is measured (2)")
    parser.add_argument("--files", type=int, default=20, help="how many files each client imports (20)")
    given = parser.parse_args()
    with scratch() as folder:
        starts(folder)
        calls(folder, seconds=given.seconds)
        imports(folder, files=given.files)


# --- starts -----------------------------------------------------------------------------------------------------------


def starts(folder: Path) -> None:
    """Print how long a server takes to be there, and to be gone."""
    template, number = make_template(folder / "template"), iter(range(1000))

    def here() -> None:
        with running(folder / f"here-{next(number)}", template=template):
            pass

    def first() -> None:
        with running(folder / f"here-{next(number)}"):
            pass

    def program() -> None:
        with served(folder / f"here-{next(number)}"):
            pass

    print("Start and end of a server, median in ms:\n")
    shortest = median(here)
    for name, work, times in (
        ("in a test, from a template", here, 11),
        ("in a test, without", first, 5),
        ("as a program", program, 3),
    ):
        took = median(work, times)
        print(f"{name:40} {took:8.1f} {took / shortest:8.1f} times the first")


# --- calls ------------------------------------------------------------------------------------------------------------


def calls(folder: Path, *, seconds: float) -> None:
    """Print how many calls a second the clients make together."""
    print(f"\n{'Calls per second':40}", *(f"{number:>9} clients" for number in CLIENTS), "  and what one costs in pings", sep="")
    with served(folder / "calls") as server:
        table = {number: together(number, partial(call_for, server.port, seconds)) for number in CLIENTS}
    for kind in table[CLIENTS[0]][0]:
        sums = {number: sum(one[kind] for one in table[number]) for number in CLIENTS}
        costs = ", ".join(f"{sum(one[PING] for one in table[number]) / sums[number]:.1f}" for number in CLIENTS)
        print(f"{kind:40}", *(f"{sums[number]:>17,.0f}" for number in CLIENTS), f"   {costs}", sep="")


def call_for(port: int, seconds: float, ready: Barrier, answers: Connection) -> None:
    """Make each kind of call for some seconds, together with the other clients; answers with calls per second."""
    client = omero.client("127.0.0.1", port)
    client.createSession("root", "omero")
    query, update, config = client.sf.getQueryService(), client.sf.getUpdateService(), client.sf.getConfigService()
    dataset = new_dataset(client)
    hql = "select obj from Dataset obj join fetch obj.details.owner as owner where obj.id in (:ids)"
    parameters = omero.sys.ParametersI().addIds([dataset])
    kinds: dict[str, Callable[[], object]] = {
        PING: client.sf.ice_ping,
        "getServerTime": config.getServerTime,
        "get of a Dataset": lambda: query.get("Dataset", dataset),
        "findAllByQuery of a Dataset, with fetch": lambda: query.findAllByQuery(hql, parameters),
        "saveAndReturnObject of a Dataset": lambda: new_dataset_with(update),
    }
    rates = {}
    for kind, work in kinds.items():
        ready.wait()
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            work()
            count += 1
        rates[kind] = count / (time.perf_counter() - began)
    answers.send(rates)
    client.closeSession()


def new_dataset_with(update: Any) -> Any:
    """Save a new Dataset."""
    dataset = omero.model.DatasetI()
    dataset.name = omero.rtypes.rstring("data")
    return update.saveAndReturnObject(dataset)


# --- imports ----------------------------------------------------------------------------------------------------------


def imports(folder: Path, *, files: int) -> None:
    """Print what a file costs, with and without waits in the steps."""
    tiff = folder / "one.tif"
    tifffile.imwrite(tiff, np.zeros((64, 64), "u2"))
    print(f"\n{'Import of a file in place, ms':40}", *(f"{number:>9} clients" for number in CLIENTS), sep="")
    rows = {}
    for wait in (0, STEP_SECONDS):
        with served(folder / f"imports-{wait}", "--step-seconds", str(wait)) as server:
            for number in CLIENTS:
                taken = together(number, partial(import_for, server.port, tiff, files))
                rows[wait, number] = statistics.median(one["ms"] for one in taken)
        print(f"{f'steps wait {wait} s':40}", *(f"{rows[wait, number]:>17,.0f}" for number in CLIENTS), sep="")
    least = STEPS * STEP_SECONDS * 1000
    print(
        f"{f'of it besides the waits ({least:.0f} ms)':40}",
        *(f"{(rows[STEP_SECONDS, number] - least) / rows[0, number]:>11.1f} times" for number in CLIENTS),
        sep="",
    )


def import_for(port: int, path: Path, files: int, ready: Barrier, answers: Connection) -> None:
    """Import a file several times, one after the other; answers with the median in ms."""
    client = omero.client("127.0.0.1", port)
    client.createSession("root", "omero")
    dataset = new_dataset(client)
    import_in_place(client, path, dataset)
    ready.wait()
    answers.send({"ms": median(lambda: import_in_place(client, path, dataset), files)})
    client.closeSession()


# --- surroundings -----------------------------------------------------------------------------------------------------


def together(number: int, work: Callable[[Barrier, Connection], None]) -> list[dict[str, float]]:
    """Let so many processes do something at the same time; returns what each answered, ends where one fails."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(number, timeout=LONGEST_SECONDS)  # those that wait for one that failed fail as well
    pipes = [context.Pipe(duplex=False) for _ in range(number)]
    processes = [context.Process(target=work, args=(ready, answers)) for _, answers in pipes]
    for process in processes:
        process.start()
    for _, answers in pipes:
        answers.close()
    try:
        found = [answer.recv() for answer, _ in pipes]
    except EOFError as error:
        raise SystemExit("A client failed: see above.") from error
    for process in processes:
        process.join()
    return found


def median(work: Callable[[], object], times: int = 5) -> float:
    """Return how long something takes, in ms: the median of some times."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
