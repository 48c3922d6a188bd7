from __future__ import annotations

import pytest
import torch

from bench.arithmetic import SD15, Arithmetic, multiply_adds, published


def test_a_convolution_and_a_product_are_counted():
    convolution = torch.nn.Conv2d(3, 8, 3, padding=1)
    assert multiply_adds(lambda: convolution(torch.zeros(1, 3, 16, 16))) == 8 * 3 * 9 * 16 * 16
    assert multiply_adds(lambda: torch.zeros(4, 5) @ torch.zeros(5, 6)) == 4 * 5 * 6


def test_what_the_looks_add_is_told_as_a_share_of_the_run():
    found = Arithmetic(steps=10, looks=2, step=9e9, decode=10e9, preview=2e9, look=3e9)
    assert found.row("x") == ["x", "10", "9.0", "10.0", "2.0", "3.0", "2", "10.00%"]


def test_stable_diffusion_needs_what_is_known_of_it():
    found = published(SD15, 25, look=0.0)
    assert found.step == pytest.approx(2 * 401e9, rel=0.02)
    assert found.decode == pytest.approx(1.26e12, rel=0.02)
    assert found.preview == pytest.approx(70.7e9, rel=0.02), "taesd's whole decoder"
