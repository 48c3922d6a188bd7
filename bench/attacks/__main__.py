"""``python -m bench.attacks NAME [--rounds 10]``: starts a service, attacks it and prints a table."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence

from bench.attacks import supervision
from bench.intervals import machine, table

ATTACKS: Mapping[str, Callable[[int], Sequence[Sequence[object]]]] = {**supervision.ATTACKS}
"""By name: takes how often it is done, and gives the rows of a table, the first of them its head."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.attacks", description=__doc__)
    parser.add_argument("names", nargs="+", choices=sorted(ATTACKS), metavar="NAME", help=", ".join(ATTACKS))
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    print(machine())
    for name in args.names:
        head, *rows = ATTACKS[name](args.rounds)
        print(f"\n{name}\n{table([str(cell) for cell in head], [list(row) for row in rows])}", flush=True)


if __name__ == "__main__":
    main()
