"""Tests what the bench of the watch counts."""

from bench.watch import WatchedPicture, row_of_first_look, rows_by_fraction, stopped_at
from service.generation.abort_rules import Limit, Look, PreviewDefect, PreviewThresholds

THRESHOLDS = PreviewThresholds(limits={f: {"malformed_hand": Limit(0.5, 0.9)} for f in (0.3, 0.7)})


def _run(*conf: float, malformed: bool) -> WatchedPicture:
    box = (0.0, 0.0, 10.0, 10.0)
    looks = tuple(
        Look(
            index=i,
            fraction=fraction,
            defects=(PreviewDefect(class_name="malformed_hand", conf=c, xyxy=box),),
        )
        for i, (fraction, c) in enumerate(zip((0.3, 0.7), conf, strict=True))
    )
    return WatchedPicture(looks, malformed, not malformed, 1.1, 1.0)


def test_a_run_ends_where_the_watch_first_wished_it():
    assert stopped_at(_run(0.95, 0.1, malformed=True), THRESHOLDS) == 0.3
    assert stopped_at(_run(0.6, 0.6, malformed=True), THRESHOLDS) == 0.7
    assert stopped_at(_run(0.6, 0.1, malformed=False), THRESHOLDS) is None


def test_right_and_wrong_stops_are_counted_by_both_words():
    runs = [_run(0.95, 0.1, malformed=True), _run(0.6, 0.6, malformed=False), _run(0.0, 0.0, malformed=True)]
    early, late = rows_by_fraction(runs, THRESHOLDS)
    assert early[0] == "0.3" and early[1].endswith("(1 of 3)")
    assert early[2].endswith("(1 of 2)") and early[3].endswith("(0 of 1)")
    assert late[2].endswith("(1 of 2)") and late[3].endswith("(1 of 1)")
    assert late[4].endswith("(1 of 1)") and late[5].endswith("(1 of 2)")
    assert early[6] == "23.3%" and late[6] == "33.3%"


def test_the_first_look_is_told_at_a_fixed_share_of_false_stops():
    good = [_run(0.01 * i, 0.0, malformed=False) for i in range(40)]
    bad = [_run(0.8, 0.0, malformed=True)] * 30 + [_run(0.1, 0.0, malformed=True)] * 10
    name, auc, wrong, right, saved = row_of_first_look("x", good + bad, [run.malformed for run in good + bad])
    assert (name, auc) == ("x", "0.82")
    assert wrong.endswith("(1 of 40)") and right.endswith("(30 of 40)")
    assert saved == f"{31 / 80 * 0.7:.1%}"
