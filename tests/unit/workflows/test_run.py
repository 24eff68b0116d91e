"""The main job in one process: what it writes, what it prints, how it ends."""

import csv
import io
from pathlib import Path

import h5py
import numpy as np
import pytest
from rich.console import Console

from simulator.cli import main
from simulator.config import load
from simulator.errors import ConfigError, GeometryError
from simulator.io import read_result
from simulator.materials import load_parameter_set
from simulator.protocol.half_cycles import find_half_cycles
from simulator.workflows.capacity_losses import capacity_losses
from simulator.workflows.folder import LOCK
from simulator.workflows.run import RunOutcome, run

STEPS = "protocol.steps=[Charge at C/2 until 3.75 V, Rest for 10 min, Discharge at C/2 for 10 min]"
LABELS = "geometry.labels={electrolyte: 0, am: 1, cbd: 2}"


def overrides(stack: Path, folder: Path, *more: str) -> list[str]:
    return ["geometry=file", f"geometry.path={stack}", LABELS, f"output.dir={folder}", *more]


@pytest.fixture(scope="module")
def outcome(tiny_stack: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunOutcome, str]:
    """A charge, a rest and a discharge, with pictures."""
    folder = tmp_path_factory.mktemp("run") / "out"
    text = io.StringIO()
    ended = run(load(overrides(tiny_stack, folder, STEPS)), Console(file=text, width=100))
    return ended, text.getvalue()


@pytest.mark.filterwarnings("ignore::UserWarning")  # without OpenGL the 3D picture is replaced, with a warning
def test_run_leaves_every_file_and_the_table(outcome: tuple[RunOutcome, str]) -> None:
    ended, text = outcome
    assert ended.status == "finished"
    names = {path.name for path in ended.folder.iterdir() if path.name != LOCK}
    assert names == {
        "run.vtkhdf",
        "curve.bdf.csv",
        "config.yaml",
        "voltage.png",
        "soc_3d.png",
        "slices.png",
        "losses.png",
        "particles.png",
        "cycles.csv",
        "cycles.png",
    }
    for line in ("capacity [mAh/g AM]", "utilisation [%]", "live share", "isolated share", "balance error, salt"):
        assert line in text


def test_balances_of_the_whole_run_are_closed(outcome: tuple[RunOutcome, str]) -> None:
    # Each stage closes its sums to 1e-10 of the current, so the run stays a factor ten below 1e-9.
    ledger = outcome[0].result.ledger
    assert set(ledger) == {"charge", "lithium", "salt", "side"}
    assert max(ledger.values()) <= 1e-9


def test_curve_agrees_with_the_result_file(outcome: tuple[RunOutcome, str]) -> None:
    ended, _ = outcome
    result = read_result(ended.folder / "run.vtkhdf")
    assert result.status == "finished"
    assert result.config["protocol"]["steps"][0] == "Charge at C/2 until 3.75 V"
    assert result.parameters["kinetics.j0_ref"] == 1.0
    with (ended.folder / "curve.bdf.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [float(r["Voltage / V"]) for r in rows] == result.timeseries["voltage_volt"].tolist()
    assert [float(r["Current / A"]) > 0 for r in rows if r["Step Count / 1"] == "1"] == [True] * sum(
        r["Step Count / 1"] == "1" for r in rows
    )


def test_cut_off_is_located_to_a_tenth_of_a_millivolt(outcome: tuple[RunOutcome, str]) -> None:
    series = outcome[0].result.timeseries
    charging = series["step_count"] == 1
    assert abs(series["voltage_volt"][charging][-1] - 3.75) <= 1e-4


def test_lithium_goes_out_on_charge_stays_at_rest_and_returns(outcome: tuple[RunOutcome, str]) -> None:
    series = outcome[0].result.timeseries
    mean = {step: series["sto_mean"][series["step_count"] == step] for step in (1, 2, 3)}
    assert np.all(np.diff(mean[1]) < 0)
    assert np.ptp(mean[2]) < 1e-9  # nothing flows: only rounding and the balance tolerance move the mean
    assert np.all(np.diff(mean[3]) > 0)


def test_fields_exist_where_their_phase_does(outcome: tuple[RunOutcome, str]) -> None:
    result = read_result(outcome[0].folder / "run.vtkhdf")
    np.testing.assert_array_equal(np.isnan(result.field("sto")), result.phase != 1)
    assert np.isnan(result.field("phi_e"))[result.phase == 1].all()
    with h5py.File(outcome[0].folder / "run.vtkhdf") as file:
        assert file["VTKHDF/CellData/sto"].attrs["units"] == "1"


def test_a_cell_that_leaves_its_safe_window_ends_with_status_and_code(
    tiny_stack: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    more = ("protocol.steps=[Charge at C/2 for 8 h]", "cell.voltage_limits=[2.0, 3.7]", "output.pictures=false")
    code = main(["run", *overrides(tiny_stack, tmp_path / "out", *more)])
    assert code == 3
    out, err = capfd.readouterr()
    assert "voltage_limit" in out
    assert "safe voltage window" in err
    result = read_result(tmp_path / "out" / "run.vtkhdf")
    assert result.status == "voltage_limit"
    # Safety bounds are located like cut-offs.
    assert abs(result.timeseries["voltage_volt"][-1] - 3.7) <= 1e-4


def test_particles_are_kept_with_histories_that_add_up(outcome: tuple[RunOutcome, str]) -> None:
    result = outcome[0].result
    found = result.particles
    assert found is not None and found.label.size == 2
    assert found.sto.shape == found.current.shape == (result.field_times.size, 2)
    # Both particles are connected or hold their lithium: their volume-weighted mean is that of all active voxels.
    sto = result.field("sto")
    mean = np.sum(found.sto[-1] * found.volume) / np.sum(found.volume)
    assert mean == pytest.approx(np.nanmean(sto.astype(float)), abs=1e-6)  # float32 fields
    at = np.searchsorted(result.timeseries["test_time_second"], result.field_times, side="left")
    charging = result.timeseries["current_ampere"][at] > 0
    total = found.current.sum(axis=1)[charging]
    # All current leaves through the particles; each stage is balanced to 1e-10 of it.
    np.testing.assert_allclose(total, result.timeseries["current_ampere"][at][charging], rtol=1e-8)


def test_table_names_losses_and_pulse_resistance(outcome: tuple[RunOutcome, str]) -> None:
    ended, text = outcome
    assert "mean loss, charge transfer [mV]" in text
    assert "resistance 10 s into step 1 [ohm cm2]" in text
    assert all(ended.summary[f"resistance 10 s into step {n} [ohm cm2]"] > 0 for n in (1, 2, 3))


def test_cycles_beside_the_run_agree_with_the_solver_and_the_curve(outcome: tuple[RunOutcome, str]) -> None:
    ended, _ = outcome
    with (ended.folder / "cycles.csv").open() as stream:
        (cycle,) = csv.DictReader(stream)
    with (ended.folder / "curve.bdf.csv").open() as stream:
        *_, last = csv.DictReader(stream)
    # both come from the charge that the solver counted
    for word, heading in (("charge", "Charging Capacity / Ah"), ("discharge", "Discharging Capacity / Ah")):
        assert float(cycle[f"{word} capacity [Ah]"]) == pytest.approx(float(last[heading]), rel=1e-12)
    mean = float(cycle["mean discharge voltage [V]"])
    assert float(cycle["voltage at the end of discharge [V]"]) < mean < float(cycle["mean charge voltage [V]"])
    assert float(cycle["resistance 10 s into discharge [ohm cm2]"]) == pytest.approx(
        ended.summary["resistance 10 s into step 3 [ohm cm2]"]
    )


def test_the_ledger_of_a_real_charge_adds_up(outcome: tuple[RunOutcome, str]) -> None:
    result = outcome[0].result
    parameters = load_parameter_set("nmc811_peo_60c")
    ocp, temperature = parameters["am.ocp"].value, parameters["temperature"].value
    charge, discharge = find_half_cycles(result.timeseries["current_ampere"])
    for half in (charge, discharge):
        derived = result.parameters["derived"]
        found = capacity_losses(
            {name: values[half.rows] for name, values in result.timeseries.items()},
            theoretical_capacity=derived["theoretical_capacity_C"],
            sto_window=parameters["am.sto_window"].value,
            ocv=lambda sto: float(ocp(sto, temperature)),
            isolated_share=sum(derived["isolated_share"].values()),
        )
        # mean stoichiometry and charge are independent sums; the run is balanced to 1e-9
        assert abs(found.remainder) <= 1e-9 * found.theoretical
        assert found.delivered > 0 and found.polarisation > 0 and found.salt > 0 and found.isolated > 0


def test_a_finished_run_is_shown_again_and_not_repeated(
    outcome: tuple[RunOutcome, str],
    tiny_stack: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    ended, table = outcome
    monkeypatch.setattr("simulator.workflows.run.simulate", None)  # would fail
    text = io.StringIO()
    again = run(load(overrides(tiny_stack, ended.folder, STEPS)), Console(file=text, width=100))
    assert text.getvalue() == table
    assert again.status == "finished" and again.summary == ended.summary
    assert "Done before" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        (["protocol.steps=[Charge at C/10 until 5.5 V]"], ConfigError, "5.5"),
        (["protocol.steps=[Charge quickly]"], ConfigError, "quickly"),
        (["cell.electrolyte.kapa=0.1"], ConfigError, "electrolyte.kappa"),
        (["geometry.labels={pore: 0, am: 1, cbd: 3}"], GeometryError, "2"),
        (["cell.am.D_s=-1e-14"], ConfigError, "am.D_s"),
        (["geometry.labels={pore: 0, am: 2, cbd: 1}", "geometry.voxel_size=0.4"], ConfigError, "0.4 um"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    tiny_stack: Path, tmp_path: Path, more: list[str], error: type[Exception], said: str
) -> None:
    folder = tmp_path / "out"
    with pytest.raises(error, match=said):
        run(load(overrides(tiny_stack, folder, *more)), Console(file=io.StringIO()))
    assert not folder.exists()
