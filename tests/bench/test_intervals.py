from __future__ import annotations

from bench.intervals import mean, share, table


def test_a_share_has_its_interval_and_counts() -> None:
    assert share(50, 100) == "50.0% [40.4%, 59.6%] (50 of 100)"
    assert share(0, 0) == "– (0 of 0)"


def test_a_mean_of_equal_values_has_no_spread() -> None:
    assert mean([2.0, 2.0, 2.0]) == "2.00 [2.00, 2.00]"
    assert mean([]) == "–"


def test_a_table_is_markdown() -> None:
    assert table(["a", "b"], [[1, 2]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
