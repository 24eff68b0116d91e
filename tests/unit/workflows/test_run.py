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
from simulator.workflows.run import RunOutcome, run

LABELS = "geometry.labels={electrolyte: 0, am: 1, cbd: 2}"


def overrides(stack: Path, folder: Path, *more: str) -> list[str]:
    return ["geometry=file", f"geometry.path={stack}", LABELS, f"output.dir={folder}", *more]


@pytest.fixture(scope="module")
def outcome(tiny_stack: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunOutcome, str]:
    """A charge, a rest and a discharge, with pictures."""
    folder = tmp_path_factory.mktemp("run") / "out"
    steps = "protocol.steps=[Charge at C/2 until 3.75 V, Rest for 10 min, Discharge at C/2 for 10 min]"
    text = io.StringIO()
    ended = run(load(overrides(tiny_stack, folder, steps)), Console(file=text, width=100))
    return ended, text.getvalue()


@pytest.mark.filterwarnings("ignore::UserWarning")  # without OpenGL the 3D picture is replaced, with a warning
def test_run_leaves_every_file_and_the_table(outcome: tuple[RunOutcome, str]) -> None:
    ended, text = outcome
    assert ended.status == "finished"
    names = {path.name for path in ended.folder.iterdir()}
    assert names == {
        "run.vtkhdf",
        "curve.bdf.csv",
        "config.yaml",
        "voltage.png",
        "soc_3d.png",
        "slices.png",
    }
    for line in ("capacity [mAh/g AM]", "utilisation [%]", "live share", "isolated share", "balance error, salt"):
        assert line in text


def test_balances_of_the_whole_run_are_closed(outcome: tuple[RunOutcome, str]) -> None:
    # Each stage closes its sums to 1e-10 of the current, so the run stays a factor ten below 1e-9.
    ledger = outcome[0].solution.ledger
    assert set(ledger) == {"charge", "lithium", "salt"}
    assert max(ledger.values()) <= 1e-9


def test_result_file_and_curve_agree_with_the_solution(outcome: tuple[RunOutcome, str]) -> None:
    ended, _ = outcome
    solution, result = ended.solution, read_result(ended.folder / "run.vtkhdf")
    assert result.status == "finished"
    np.testing.assert_array_equal(result.timeseries["voltage_volt"], solution.voltage)
    np.testing.assert_array_equal(result.field("sto"), solution.field("sto"))
    assert result.config["protocol"]["steps"][0] == "Charge at C/2 until 3.75 V"
    assert result.parameters["kinetics.j0_ref"] == 1.0
    with (ended.folder / "curve.bdf.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert float(rows[-1]["Voltage / V"]) == pytest.approx(solution.voltage[-1], abs=1e-9)
    assert [float(r["Current / A"]) > 0 for r in rows if r["Step Count / 1"] == "1"] == [True] * sum(
        r["Step Count / 1"] == "1" for r in rows
    )


def test_cut_off_is_located_to_a_tenth_of_a_millivolt(outcome: tuple[RunOutcome, str]) -> None:
    series = outcome[0].solution.timeseries
    charging = series["step_count"] == 1
    assert abs(series["voltage_volt"][charging][-1] - 3.75) <= 1e-4


def test_lithium_goes_out_on_charge_stays_at_rest_and_returns(outcome: tuple[RunOutcome, str]) -> None:
    series = outcome[0].solution.timeseries
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
