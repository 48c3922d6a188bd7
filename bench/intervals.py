"""Shares with their uncertainty, and where a figure was measured."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.stats import binomtest


def share(count: int, total: int) -> str:
    """A share in per cent with its 95 % Wilson interval, and the counts."""
    if total == 0:
        return "– (0 of 0)"
    interval = binomtest(count, total).proportion_ci(0.95, "wilson")
    return f"{count / total:.1%} [{interval.low:.1%}, {interval.high:.1%}] ({count} of {total})"


def paired(better: int, worse: int, digits: int = 2) -> str:
    """Formats how many of the same pictures became better and worse, with the p of the exact sign test."""
    p = binomtest(better, better + worse).pvalue if better + worse else 1.0
    return f"+{better} −{worse}, p = {p:.{digits}f}"


def mean(values: Sequence[float]) -> str:
    """A mean with its 95 % bootstrap interval (percentiles of 2,000 resamples)."""
    if not values:
        return "–"
    data = np.asarray(values, np.float64)
    draws = np.random.default_rng(0).choice(data, (2000, len(data))).mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return f"{data.mean():.2f} [{low:.2f}, {high:.2f}]"


def machine() -> str:
    """The processor or GPU and the day, for the head of a table."""
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
    else:
        lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
        name = f"{os.cpu_count()} cores of {model or platform.processor() or platform.machine()}"
    return f"{name}, torch {torch.__version__}, {datetime.datetime.now(datetime.UTC):%Y-%m-%d}"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [" | ".join(header), " | ".join("---" for _ in header)]
    lines += [" | ".join(str(cell) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines) + "\n"
