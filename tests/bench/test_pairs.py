from __future__ import annotations

import numpy as np

from bench.pairs import COLUMNS, LINE_PX, SIDE_PX, pairs_sheet
from service.core.report import Outcome, RepairReport


def report(before: int, after: int) -> RepairReport:
    plain = np.full((64, 96, 3), before, np.uint8)
    return RepairReport(
        image=np.full_like(plain, after),
        original=plain,
        seed=7,
        outcome=Outcome.REPAIRED,
        regions=(),
        models={},
        timings_s={},
    )


def test_each_pair_has_its_place() -> None:
    sheet = pairs_sheet([report(10 * n, 10 * n + 5) for n in range(COLUMNS + 2)])
    high, wide = sheet.shape[0] // 2, sheet.shape[1] // COLUMNS
    for n in range(COLUMNS + 2):
        y = n // COLUMNS * high + LINE_PX + SIDE_PX // 2
        x = n % COLUMNS * wide + SIDE_PX // 2
        assert tuple(sheet[y, x]) == (10 * n,) * 3
        assert tuple(sheet[y, x + SIDE_PX]) == (10 * n + 5,) * 3
