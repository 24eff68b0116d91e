"""Estimates: the measured runs they came from, how they scale, and what is said when nothing is known."""

import pytest

from simulator.model import newton
from simulator.workflows import preflight
from simulator.workflows.preflight import Device, estimate

GIB = 2.0**30


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine on which the constants were measured, with 23 GB free."""
    monkeypatch.setattr(preflight, "memory_bandwidth", lambda: preflight.REFERENCE_BANDWIDTH)
    monkeypatch.setattr(preflight, "available_memory", lambda: 23 * 10**9)


@pytest.mark.usefixtures("reference")
@pytest.mark.parametrize(
    ("shape", "faces", "krylov", "mixed", "peak"),
    # measured resident memory [GiB] with everything to be compiled
    [
        ((64, 48, 48), 17_569, 40, True, 1410 / 1024),
        ((80, 64, 64), 41_634, 40, True, 1671 / 1024),
        ((144, 128, 128), 322_045, 40, True, 4917 / 1024),
    ],
)
def test_memory_of_measured_runs_is_met(
    shape: tuple[int, int, int], faces: int, krylov: int, mixed: bool, peak: float
) -> None:
    # one fifth is promised, a tenth is what the fit reaches
    assert estimate(shape, faces, krylov, mixed, 1).memory_bytes / GIB == pytest.approx(peak, rel=0.1)


@pytest.mark.usefixtures("reference")
def test_time_of_the_measured_demo_is_met() -> None:
    # 49 s with everything to be compiled; a tenth is the scatter from run to run
    assert estimate((64, 48, 48), 17_569, 40, True, 45).seconds == pytest.approx(49, rel=0.1)


@pytest.mark.usefixtures("reference")
def test_time_grows_with_steps_and_a_little_faster_than_the_voxels() -> None:
    small, large = (estimate((n, n, n), 0, 40, True, 45) for n in (64, 128))
    twice = estimate((64, 64, 64), 0, 40, True, 90)
    assert small.seconds and large.seconds and twice.seconds
    work = small.seconds - preflight.START_SECONDS
    assert (twice.seconds - preflight.START_SECONDS) / work == pytest.approx(2.0)
    # 8 times the voxels, and 8 ** 0.06 = 1.13 times the iterations
    assert (large.seconds - preflight.START_SECONDS) / work == pytest.approx(8 * 1.133, rel=1e-3)


@pytest.mark.usefixtures("reference")
def test_a_slower_memory_takes_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = estimate((64, 48, 48), 0, 40, True, 45).seconds
    monkeypatch.setattr(preflight, "memory_bandwidth", lambda: preflight.REFERENCE_BANDWIDTH / 2)
    slow = estimate((64, 48, 48), 0, 40, True, 45).seconds
    assert fast and slow
    assert slow - preflight.START_SECONDS == pytest.approx(2 * (fast - preflight.START_SECONDS))


@pytest.mark.usefixtures("reference")
def test_what_does_not_fit_is_said() -> None:
    assert estimate((64, 48, 48), 0, 40, True, 45).fits is True
    assert estimate((272, 256, 256), 0, 40, True, 45).fits is False


@pytest.mark.usefixtures("reference")
def test_unknown_memory_gives_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "available_memory", lambda: None)
    found = estimate((64, 48, 48), 0, 40, True, 45)
    assert (found.available_bytes, found.fits) == (None, None)


def test_an_accelerator_is_judged_by_its_own_memory_and_given_no_time() -> None:
    found = estimate((64, 48, 48), 0, 40, True, 45, Device("GPU X", 10**6))
    assert (found.device, found.seconds, found.fits) == ("GPU X", None, False)
    # the programs themselves lie on the host
    assert found.memory_bytes < preflight.BASE_BYTES


def test_bandwidth_is_that_of_a_memory() -> None:
    # a slow laptop under load has 1 GB/s, the fastest servers a few TB/s
    assert 1e8 < preflight.memory_bandwidth() < 1e13


@pytest.mark.parametrize("voxels", [100, 10_000, 10_001, 10**6])
@pytest.mark.parametrize("krylov_max", [6, 40])
def test_directions_at_the_start_are_those_of_the_solver(voxels, krylov_max):
    assert preflight.first_rows(voxels, krylov_max) == newton.first_rows(newton.PACKED_FIELDS * voxels, krylov_max)
