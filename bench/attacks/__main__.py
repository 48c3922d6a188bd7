"""``python -m bench.attacks NAME [--rounds 10]``: starts a service, attacks it and prints a table."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence

from bench.attacks import edge, queue, supervision
from bench.intervals import machine, table

Table = Sequence[Sequence[object]]


def main() -> None:
    """Runs the named attacks and prints their tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.attacks", description=__doc__)
    parser.add_argument("names", nargs="+", choices=sorted(ATTACKS), metavar="NAME", help=", ".join(ATTACKS))
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    print(machine())
    for name in args.names:
        head, *rows = ATTACKS[name](args.rounds)
        print(f"\n{name}\n{table([str(cell) for cell in head], [list(row) for row in rows])}", flush=True)


def _repeated(head: Sequence[object], attack: Callable[[], Table]) -> Callable[[int], Table]:
    return lambda rounds: [head, *(row for _ in range(rounds) for row in attack())]


ATTACKS: Mapping[str, Callable[[int], Table]] = {
    **supervision.ATTACKS,
    **{name: _repeated(queue.HEAD, attack) for name, attack in queue.ATTACKS.items()},
    **{name: _repeated(edge.HEAD, attack) for name, attack in edge.ATTACKS.items()},
}
"""By name: takes the number of rounds and returns a table's rows, the head first."""


if __name__ == "__main__":
    main()
