"""Mirrored and permuted lateral axes describe the same electrode."""

import jax.numpy as jnp
import numpy as np
import pytest

from simulator.model.newton import NewtonOptions, StageResult, solve_stage
from simulator.model.residual import History
from simulator.physics.contact import FaceCurrents

GAMMA_DT = 30.0
#: name -> what is done to the lateral axes of any array that ends in (y, x)
MOVES = {
    "mirror y": lambda a: a[..., ::-1, :],
    "mirror x": lambda a: a[..., ::-1],
    "swap y and x": lambda a: np.swapaxes(a, -1, -2),
}


def moved_cell(tiny, name):
    dz, dy, dx = tiny.voxel_size
    size = (dz, dx, dy) if name.startswith("swap") else tiny.voxel_size
    return tiny.cell(phases=np.ascontiguousarray(MOVES[name](tiny.phases)), voxel_size=size)


@pytest.mark.parametrize("name", MOVES)
def test_residual_moves_with_the_electrode(tiny, everything, name):
    cell, moved = tiny.cell(), moved_cell(tiny, name)
    assert moved.model.grid.plan == cell.model.grid.plan
    rng = np.random.default_rng(41)
    low, high = (np.array(v)[:, None, None, None] for v in ([3.8, -0.1, 0.4, 700.0], [3.9, 0.0, 0.8, 1500.0]))
    u = low + (high - low) * rng.random((4, *cell.model.shape))
    known = u[2:] + 1e-3 * rng.normal(size=u[2:].shape)
    drive = tiny.drive(0.3 * cell.one_c)
    move = MOVES[name]
    here = everything(u, known, GAMMA_DT, drive, cell.model)[0]
    there = everything(np.ascontiguousarray(move(u)), np.ascontiguousarray(move(known)), GAMMA_DT, drive, moved.model)[
        0
    ]
    for row, same in zip(move(np.asarray(here.rows)), np.asarray(there.rows), strict=True):
        # Sums are formed in another order, area weights by mirrored filters: rounding of the largest entry, and the
        # 1e-10 to which a face current is solved.
        np.testing.assert_allclose(same, row, rtol=0, atol=1e-10 * np.max(np.abs(row)))
    assert float(there.total.voltage) == pytest.approx(float(here.total.voltage), abs=1e-13)


@pytest.mark.parametrize("name", MOVES)
def test_voltage_does_not_depend_on_the_orientation(tiny, name):
    voltages = []
    for cell in (tiny.cell(), moved_cell(tiny, name)):
        current, u = 0.5 * cell.one_c, cell.initial_fields()
        stage = solve_stage(
            u,
            FaceCurrents(jnp.zeros(cell.model.faces.area.shape)),
            History(u[2:]),
            GAMMA_DT,
            tiny.drive(current),
            cell.model,
            current,
            NewtonOptions(tolerance=3e-8),
        )
        assert stage.result is StageResult.converged
        voltages.append(float(stage.evaluation.total.voltage))
    # Both are solved to 3e-8 of the current, the limit of 4 V in float64, times about 30 mV of polarisation: 1e-9 V.
    assert abs(voltages[0] - voltages[1]) < 2e-9
