"""Error bars: what the six cases are, and what is made of their results."""

import csv
import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import tifffile

from simulator.config import load
from simulator.errors import ConfigError, GeometryError
from simulator.geometry import Electrode
from simulator.io import ResultWriter, RunResult, read_result
from simulator.viz import plot_trust
from simulator.workflows.electrode import read_electrode
from simulator.workflows.trust import QUARTERS, case_configs, evaluate, quarters, table, trust, write

MASS = 1e-9  # [kg]
GAIN = 3.6 * 1e3 * MASS  # [C] in one mAh/g


def result_of(folder: Path, offset: float, capacity: float, status: str = "finished") -> RunResult:
    """A charge to `capacity` [mAh/g] with V = 3.5 V + offset + q/1000 V, a rest, and a discharge by half of it."""
    folder.mkdir()
    writer = ResultWriter(
        folder / "run.vtkhdf",
        phase=np.ones((2, 2, 2), np.uint8),
        voxel_size=(1e-6,) * 3,
        field_specs={},
        config={"protocol": {"steps": ["Charge at 1C for 1 h", "Rest for 1 h", "Discharge at 1C for 1 h"]}},
        parameters={"derived": {"am_mass_kg": MASS}},
        provenance={},
        timeseries_specs={"charge_coulomb": ("C", "Charge")},
    )

    def add(t: float, volts: float, current: float, step: int, charge: float) -> None:
        row = {"test_time_second": t, "voltage_volt": volts, "current_ampere": current, "step_count": step}
        writer.append_timeseries({**row, "charge_coulomb": charge * GAIN})

    for q in np.linspace(0.0, capacity, 7):
        add(q, 3.5 + offset + q / 1000, 1.0, 1, q)
    add(1e3, 3.6, 0.0, 2, capacity)
    for q in np.linspace(0.0, capacity / 2, 7):
        add(2e3 + q, 3.6 - offset - q / 1000, -1.0, 3, capacity - q)
    writer.finish(status, {}, {}, {"capacity [mAh/g AM]": capacity, "utilisation [%]": capacity / 2})
    return read_result(folder / "run.vtkhdf")


@pytest.fixture
def found(tmp_path: Path):
    offsets = {"full": 0.0, "coarse": 2e-3, **dict(zip(QUARTERS, (3e-3, -3e-3, 1e-3, -1e-3), strict=True))}
    sizes = {"full": 160.0, "coarse": 158.0, **dict(zip(QUARTERS, (164.0, 156.0, 161.0, 159.0), strict=True))}
    results = {name: result_of(tmp_path / name, offsets[name], sizes[name]) for name in offsets}
    return evaluate(results, dict.fromkeys(results, "finished"), tmp_path)


def test_quarters_cover_the_cross_section_once_and_keep_the_thickness() -> None:
    electrode = Electrode(np.ones((3, 17, 22), np.uint8), (1e-6,) * 3)
    count = np.zeros((10, 30, 40), int)
    for z, y, x in quarters(electrode, [[2, 5], [4, 21], None]):
        assert z == [2, 5]
        count[slice(*z), slice(*y), slice(*x)] += 1
    expected = np.zeros_like(count)
    expected[2:5, 4:21, 0:22] = 1
    np.testing.assert_array_equal(count, expected)


def test_cases_are_the_run_itself_a_coarser_one_and_four_quarters(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.ones((6, 32, 34), np.uint8))
    words = [f"geometry.path={tmp_path}/a.tif", "geometry.voxel_size=1 um", "solver.rtol=2e-3"]
    config = load(["geometry=file", *words])
    cases = case_configs(config, tmp_path / "out")
    assert list(cases) == ["full", "coarse", *QUARTERS]
    assert cases["full"].geometry == config.geometry
    assert cases["coarse"].geometry.coarsen == 2
    shapes = {name: read_electrode(case.geometry).shape for name, case in cases.items()}
    assert shapes == {"full": (6, 32, 34), "coarse": (3, 16, 17), **dict.fromkeys(QUARTERS, (6, 16, 17))}
    assert all(case.resume and case.solver.rtol == 2e-3 for case in cases.values())
    assert cases["full"].output.dir == str(tmp_path / "out" / "full")


def test_an_electrode_too_small_to_be_cut_is_refused(tiny_stack: Path, tmp_path: Path) -> None:
    words = [f"geometry.path={tiny_stack}", "geometry.labels={electrolyte: 0, am: 1, cbd: 2}"]
    with pytest.raises(GeometryError, match="a quarter would be 5 wide, and at least 8"):
        case_configs(load(["geometry=file", *words]), tmp_path)


@pytest.mark.parametrize("value", ["{1: 0.5, default: 1}", "[0.5, 0.6]", "contact.npy"])
def test_values_of_single_particles_or_voxels_are_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"cell.contact.fraction=.*whole electrode.*Give one number"):
        trust(load([f"cell.contact.fraction={value}"]))


def test_discretisation_is_the_difference_to_2h_and_sampling_the_standard_error(found) -> None:
    capacity = found.values["capacity [mAh/g AM]"]
    assert capacity.value == 160.0
    assert capacity.discretisation == pytest.approx(2.0)
    assert capacity.sampling == pytest.approx(np.std([164.0, 156.0, 161.0, 159.0], ddof=1) / 2)
    assert capacity.total == pytest.approx(math.hypot(capacity.discretisation, capacity.sampling))


def test_voltages_are_compared_at_equal_capacity_step_by_step(found) -> None:
    assert [c.step for c in found.curves] == [1, 3]  # not the rest
    assert [c.name for c in found.curves] == ["Charge at 1C for 1 h", "Discharge at 1C for 1 h"]
    for curve, last in zip(found.curves, (156.0, 78.0), strict=True):
        assert curve.capacity[-1] == pytest.approx(last)  # as far as all of them go
        # the curves differ by constants, and monotone cubics keep straight lines
        np.testing.assert_allclose(curve.discretisation, 2e-3, atol=1e-12)
        np.testing.assert_allclose(curve.sampling, np.std([3e-3, -3e-3, 1e-3, -1e-3], ddof=1) / 2, atol=1e-12)


def test_a_case_that_ended_otherwise_is_left_out_and_named(tmp_path: Path) -> None:
    results = {name: result_of(tmp_path / name, 0.0, 160.0) for name in ("full", *QUARTERS[:2])}
    results["coarse"] = result_of(tmp_path / "coarse", 0.0, 10.0, status="salt_depleted")
    status = {**dict.fromkeys(results, "finished"), "coarse": "salt_depleted", "quarter_3": "not possible"}
    found = evaluate(results, status, tmp_path)
    capacity = found.values["capacity [mAh/g AM]"]
    assert math.isnan(capacity.discretisation) and capacity.sampling == 0.0 and capacity.total == 0.0
    assert found.curves[0].capacity[-1] == pytest.approx(160.0)
    caption = str(table(found).caption)
    assert "coarse: salt_depleted" in caption and "quarter_3: not possible" in caption
    assert "2 of 4 quarters: a lower bound" in caption


def test_files_hold_the_values_and_the_curves(found) -> None:
    write(found)
    data = json.loads((found.folder / "trust.json").read_text())
    assert data["status"]["quarter_4"] == "finished"
    assert data["values"]["utilisation [%]"]["discretisation"] == pytest.approx(1.0)
    with (found.folder / "trust.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["Step / 1"] for row in rows} == {"1", "3"}
    assert float(rows[10]["Discretisation / V"]) == pytest.approx(2e-3)


def test_figure_is_drawn(found, tmp_path: Path) -> None:
    path = plot_trust(found, tmp_path / "trust.png")
    assert path.stat().st_size > 20_000  # an empty canvas has a few kB


def test_runs_that_failed_get_no_error_bars(tmp_path: Path) -> None:
    results = {name: result_of(tmp_path / name, 0.0, 160.0, "newton_failed") for name in ("full", "coarse", *QUARTERS)}
    found = evaluate(results, dict.fromkeys(results, "newton_failed"), tmp_path)
    capacity = found.values["capacity [mAh/g AM]"]
    assert capacity.value == 160.0 and math.isnan(capacity.total)
    shown = table(found)
    assert "newton_failed" in str(shown.title) and "coarse: newton_failed" in str(shown.caption)


def test_a_step_that_ended_at_once_has_no_curve(found, tmp_path: Path) -> None:
    results = {name: result_of(tmp_path / f"{name}_b", 0.0, 160.0) for name in ("full", "coarse")}
    series = results["full"].timeseries
    last = np.flatnonzero(series["step_count"] == 3)[1:]
    cut = {name: np.delete(values, last) for name, values in series.items()}
    results["full"] = dataclasses.replace(results["full"], timeseries=cut)
    again = evaluate(results, dict.fromkeys(results, "finished"), tmp_path)
    assert [c.step for c in again.curves] == [1]
