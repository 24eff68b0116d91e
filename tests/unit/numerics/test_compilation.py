"""Compiled programs: a long session does not run into the limit of memory maps."""

import math
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulator.numerics import compilation
from simulator.numerics.compilation import compiled, make_room_for_programs

needs_maps = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux shows its memory maps")


def count_maps() -> int:
    return len(Path("/proc/self/maps").read_bytes().splitlines())


@needs_maps
def test_programs_are_let_go_near_the_limit_and_compiled_again(monkeypatch):
    traced = []

    @compiled
    def double(x):
        traced.append(x.shape)
        return 2.0 * x

    for n in range(2, 12):
        double(jnp.ones(n))
    assert not make_room_for_programs()  # far from the limit
    double(jnp.ones(2))
    assert len(traced) == 10
    before = count_maps()
    monkeypatch.setattr(compilation, "FULL", 0.0)
    monkeypatch.setattr(compilation, "_kept", [-math.inf])
    assert make_room_for_programs()
    assert count_maps() < before
    assert float(jnp.sum(double(jnp.ones(3)))) == 6.0
    assert len(traced) == 11
    assert not make_room_for_programs()  # what is left belongs to others: forgetting again would not help


def test_where_no_limit_is_known_nothing_is_forgotten(monkeypatch, tmp_path):
    monkeypatch.setattr(compilation, "FULL", 0.0)
    monkeypatch.setattr(compilation, "_MAPS", tmp_path / "none")
    assert not make_room_for_programs()


def test_an_option_that_the_compiler_does_not_know_is_left_out(monkeypatch):
    asked = {"xla_of_another_year": True, "xla_disable_hlo_passes": "cse_barrier_expander"}
    monkeypatch.setattr(compilation, "_CPU_OPTIONS", asked)
    compilation._options.cache_clear()
    try:
        expected = ["xla_disable_hlo_passes"] if jax.default_backend() == "cpu" else []
        assert list(compilation._options(False)) == expected
    finally:
        compilation._options.cache_clear()


def test_programs_of_few_numbers_are_compiled_fast_and_both_give_the_same(monkeypatch):
    asked = []
    usual = compilation._options
    monkeypatch.setattr(compilation, "_options", lambda small: asked.append(small) or usual(small))

    @compiled
    def sines(x):
        return jnp.sum(jnp.sin(x) ** 2)

    few, many = jnp.linspace(0.0, 1.0, compilation.SMALL), jnp.linspace(0.0, 1.0, compilation.SMALL + 1)
    assert float(sines(few)) == pytest.approx(float(np.sum(np.sin(few) ** 2)), rel=1e-12)
    assert float(sines(many)) == pytest.approx(float(np.sum(np.sin(many) ** 2)), rel=1e-12)
    assert asked == [True, False]
