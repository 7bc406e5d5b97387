# SPDX-License-Identifier: GPL-2.0-or-later
"""Command line: `python -m tests.crash.chaos [--orders N] [--kills N] [--seed N] [--dispatch local|grid] [--keep]`."""

from __future__ import annotations

import argparse
import os
import secrets
import sys

from tests.crash.chaos.plan import Dispatch, draw
from tests.crash.chaos.run import carry_out


def main() -> int:
    """Run it; the exit status is 1 if anything is not as promised."""
    options = _options()
    sys.stdout.write(f"chaos: seed={options.seed}\n")
    sys.stdout.flush()
    plan = draw(options.seed, orders=options.orders, kills=options.kills, dispatch=options.dispatch)
    result, folder = carry_out(plan, keep=options.keep)
    for finding in result.findings:
        sys.stdout.write(f"{finding}\n")
    sys.stdout.write(f"\n{result.table()}\n\n")
    if options.keep or not result.went_well:
        sys.stdout.write(f"Logs and tables: {folder}\n")
    missing = options.kills - len(result.dealt)
    if missing > 0:
        sys.stdout.write(f"{missing} faults found nothing to hit: the orders were done before.\n")
    sys.stdout.write(f"{result.seconds:.0f} s\n{result.line()}\n")
    return os.EX_OK if result.went_well and missing <= 0 else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.chaos", description=__doc__)
    parser.add_argument("--orders", type=int, default=1000, metavar="N", help="how many orders (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="how many faults (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 32), metavar="N", help="what all of it is drawn from")
    words = "where orders are carried out (default: %(default)s)"
    parser.add_argument("--dispatch", type=Dispatch, choices=list(Dispatch), default=Dispatch.LOCAL, help=words)
    parser.add_argument("--keep", action="store_true", help="leave logs, files and tables there in any case")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
