"""Titration: exact diffusion in one particle gives its diffusivity back."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import brentq

from simulator.errors import ConfigError
from simulator.workflows.gitt import gitt, is_titration

D, R = 2e-14, 5e-6  # [m2/s], [m]
OHMIC = 20.0  # [V/A]
SLOPE = -0.8  # [V] of the open-circuit voltage per stoichiometry
CURRENT = 1e-3  # [A]; moves RATE of stoichiometry per second
RATE = 1e-6


#: roots of tan b = b
ROOTS = np.array([brentq(lambda b: np.sin(b) - b * np.cos(b), n * np.pi, (n + 0.5) * np.pi) for n in range(1, 400)])


def _sphere(theta):
    """Surface stoichiometry less its mean, in units of the rate of the mean times R^2/D, under constant flux.

    Crank, The Mathematics of Diffusion (1975), section 6.3.
    """
    return (1 / 5 - 2 * np.sum(np.exp(-np.square(ROOTS) * theta) / np.square(ROOTS))) / 3


def _slab(theta):
    """The same for a slab of thickness R that takes up lithium on one side."""
    n = np.arange(1, 400)
    return 1 / 3 - 2 / np.pi**2 * np.sum(np.exp(-np.square(n * np.pi) * theta) / np.square(n))


def titrate(tau, excess, *, pulses=3, sign=1, rest=2.0):
    """A titration of one particle: rows at the start of each step and at its end. `rest` in R^2/D."""
    rest_s = rest * R**2 / D
    switches = []  # (time, change of the rate of delithiation)

    def surface(t):
        """sto at the surface and its mean: superposed pulses that began and ended before t."""
        passed = [(t - at, change) for at, change in switches if t > at]
        mean = 0.9 - sum(change * dt for dt, change in passed)
        return mean - sum(change * R**2 / D * excess(D * dt / R**2) for dt, change in passed), mean

    rows, t, number = [], 0.0, 0

    def row(current):
        x, mean = surface(t)
        rows.append((t, 4.5 + SLOPE * x + OHMIC * current, current, number, mean, 4.5 + SLOPE * mean))

    for _ in range(pulses):
        for current, length in ((sign * CURRENT, tau), (0.0, rest_s)):
            number += 1
            if current:
                switches += [(t, sign * RATE), (t + tau, -sign * RATE)]
            row(current)
            t += length
            row(current)
    names = ("test_time_second", "voltage_volt", "current_ampere", "step_count", "sto_mean", "ocv_volt")
    series = dict(zip(names, map(np.array, zip(*rows, strict=True)), strict=True))
    return SimpleNamespace(timeseries=series, area=1.0)


def test_cycles_that_were_jumped_over_are_no_rest():
    """Two pulses, a jump of forty cycles, two pulses: the one right behind the jump has no rest before it."""
    run = titrate(tau=0.05 * R**2 / D, excess=_slab, pulses=4)
    series = run.timeseries
    late = series["step_count"] > 4
    row = {name: values[late][:1] for name, values in series.items()}
    row |= {"test_time_second": row["test_time_second"] + 9e9, "step_count": np.array([40.0])}
    row["current_ampere"] = np.zeros(1)
    behind = {name: values[late] for name, values in series.items()}
    behind["test_time_second"] = behind["test_time_second"] + 9e9
    behind["step_count"] = behind["step_count"] + 40
    jumped = {name: np.concatenate([series[name][~late], row[name], behind[name]]) for name in series}
    found = gitt(SimpleNamespace(timeseries=jumped, area=1.0), particle_radius=3 * R)
    np.testing.assert_array_equal(found.step, [1, 3, 47])
    assert np.all(found.current > 0)
    whole = gitt(run, particle_radius=3 * R)
    np.testing.assert_allclose(found.D1, whole.D1[[0, 1, 3]], rtol=1e-9)


def test_a_measured_rest_may_have_one_row():
    """Cyclers that log the end of a rest alone: a gap in time, but none in the steps."""
    run = titrate(tau=0.05 * R**2 / D, excess=_slab)
    series = run.timeseries
    first = np.diff(series["step_count"], prepend=0) != 0
    kept = ~(first & (series["current_ampere"] == 0))
    found = gitt(SimpleNamespace(timeseries={n: v[kept] for n, v in series.items()}, area=1.0), particle_radius=3 * R)
    np.testing.assert_array_equal(found.D1, gitt(run, particle_radius=3 * R).D1)


def test_a_slab_gives_its_diffusivity_back():
    # V/S of a slab is its thickness R, of a sphere R/3. Until D t/R^2 = 0.05 the surface feels nothing of the far side:
    # exp(-1/0.05) = 2e-9, twice through the slab. A rest of 2 R^2/D leaves exp(-2 pi^2) = 3e-9 of the gradient.
    found = gitt(titrate(tau=0.05 * R**2 / D, excess=_slab), particle_radius=3 * R)
    np.testing.assert_allclose(found.diffusivity, D, rtol=1e-7)


@pytest.mark.parametrize("theta", [1e-3, 1e-2, 0.1])
def test_a_sphere_gives_it_too_low_by_the_stated_share(theta):
    # dE_tau grows as 2 sqrt(theta/pi) + theta + O(theta^1.5): the curvature of the sphere
    found = gitt(titrate(tau=theta * R**2 / D, excess=_sphere), particle_radius=R)
    expected = D / (1 + 0.5 * np.sqrt(np.pi * theta)) ** 2
    np.testing.assert_allclose(found.diffusivity, expected, rtol=1.5 * theta)
    assert found.D1 == pytest.approx(found.diffusivity / D * np.pi / 4 * 9 * theta)


def test_what_is_read_off_each_pulse():
    run = titrate(tau=0.01 * R**2 / D, excess=_slab, sign=-1)
    found = gitt(run, "5 um")
    tau = 0.01 * R**2 / D
    assert found.step.tolist() == [1, 3, 5] and found.radius == 5e-6
    assert found.current.tolist() == [-CURRENT] * 3
    np.testing.assert_allclose(found.duration, tau)
    np.testing.assert_allclose(found.jump, -OHMIC * CURRENT, rtol=1e-9)  # rests that end at e^-40
    # lithium goes in: 0.9 and more, the voltage falls with SLOPE; rounding only
    np.testing.assert_allclose(found.sto_rest, 0.9 + RATE * tau * np.arange(1, 4), rtol=1e-12)
    np.testing.assert_allclose(found.sto, 0.9 + RATE * tau * (np.arange(3) + 0.5), rtol=1e-12)
    np.testing.assert_allclose(found.dE_s, SLOPE * RATE * tau, rtol=1e-6)  # e^-20 of the gradient at the end of a rest
    np.testing.assert_allclose(found.voltage_rest, 4.5 + SLOPE * found.sto_rest, rtol=1e-9)
    assert set(found.columns()) >= {"D1 [-]", "diffusivity [m2/s]", "dE_s [V]", "dE_tau [V]"}


def test_the_radius_of_a_result_is_the_mean_of_its_particles_by_volume():
    run = titrate(tau=100.0, excess=_slab)
    run.particles = SimpleNamespace(diameter=np.array([2e-6, 4e-6]), volume=np.array([1.0, 3.0]))
    assert gitt(run).radius == pytest.approx((1e-6 + 3 * 2e-6) / 4)
    run.particles = None
    assert np.isnan(gitt(run).diffusivity).all() and np.isfinite(gitt(run).D1).all()


def test_only_constant_currents_between_rests_are_pulses():
    run = titrate(tau=100.0, excess=_slab)
    series = run.timeseries
    series["current_ampere"][5] = 0.9 * CURRENT  # the second pulse is a hold at constant voltage
    series["current_ampere"][6:8] = -CURRENT  # and no rest follows it
    with pytest.raises(ConfigError) as refused:
        gitt(SimpleNamespace(timeseries={name: values[4:8] for name, values in series.items()}, area=1.0))
    assert "Charge at C/10 for 30 min" in str(refused.value)
    assert gitt(run, R).step.tolist() == [1]
    assert not is_titration(run)


def test_a_titration_has_two_pulses_of_one_direction_and_a_cycle_with_rests_has_not():
    assert is_titration(titrate(tau=100.0, excess=_slab, pulses=2))
    cycle = titrate(tau=100.0, excess=_slab, pulses=2)
    cycle.timeseries["current_ampere"][4:6] *= -1.0
    assert not is_titration(cycle)
    empty = {name: values[:0] for name, values in cycle.timeseries.items()}
    assert not is_titration(SimpleNamespace(timeseries=empty, area=1.0))


def test_files_without_an_open_circuit_voltage_lack_the_first_pulse_only():
    run = titrate(tau=100.0, excess=_slab)
    for name in ("ocv_volt", "sto_mean"):
        del run.timeseries[name]
    assert np.isnan(gitt(run, R).D1).tolist() == [True, False, False]


@pytest.mark.parametrize("radius", [0.0, -1e-6, "5 kg", "0 um"])
def test_a_radius_that_is_no_positive_length_is_refused(radius):
    with pytest.raises(ConfigError, match="particle_radius"):
        gitt(titrate(tau=100.0, excess=_slab), particle_radius=radius)
