r"""Where more contact would pay: derivatives of capacity and decomposed charge by the contact of every live face.

With the contact fraction $a_f$ of face f, its true area $A_f$ at full contact, and an output Q of the run,

$$\frac{\partial Q}{\partial a_f},\qquad
  q_f = \frac{1}{A_f}\frac{\partial Q}{\partial a_f} = \frac{\partial Q}{\partial(\mathrm{contact\ area})},\qquad
  e_f = \frac{a_f}{Q}\frac{\partial Q}{\partial a_f}.$$

$\sum_f\partial Q/\partial a_f$ is the derivative by one contact fraction for all faces, $\sum_f e_f$ the change of Q in
per cent for 1 % more contact everywhere. One adjoint sweep an output gives them for all faces at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np

from simulator.errors import ConfigError, RunStopped
from simulator.geometry import label_particles, particle_facts
from simulator.model import Cell, SolverOptions
from simulator.model.derivatives import CapacityAt, DecomposedCharge, TimeAt, evaluate
from simulator.model.faces import face_facts
from simulator.protocol import CurrentStep, Protocol, Step, parse_protocol

CONTACT = "contact.fraction"


@dataclass(frozen=True, eq=False)
class FaceSensitivity:
    """How an output changes with the contact of each of f faces.

    `value` [C] of the output; `by_fraction` (f,) [C]: its derivative by the contact fraction of the face; `by_area`
    (f,) [C m-2]: by its true contact area; `elasticity` (f,) [-]: relative change for a relative change of the contact
    of this face, NaN if the output is 0.
    """

    value: float
    by_fraction: np.ndarray
    by_area: np.ndarray
    elasticity: np.ndarray

    @property
    def total(self) -> float:
        """Derivative [C] by a contact fraction that grows by the same amount on all faces."""
        return float(self.by_fraction.sum())

    @property
    def total_elasticity(self) -> float:
        """Relative change of the output for a relative change of all contact [-]."""
        return float(self.elasticity.sum())


class Profile(NamedTuple):
    """By layers of voxels from the separator to the collector, (layers,): `depth` [m] of their centres, `contact` area
    [m2], `by_area` [C m-2], its mean over that (NaN without contact)."""

    depth: np.ndarray
    contact: np.ndarray
    by_area: np.ndarray


class Ranking(NamedTuple):
    """Faces from the one whose contact pays most, (f + 1,): `contact` share of the contact area, from 0 to 1; `gain`
    relative change of the output for a relative change of the contact there, cumulated [-]. It rises as long as more
    contact pays, and ends at the total elasticity."""

    contact: np.ndarray
    gain: np.ndarray


@dataclass(frozen=True, eq=False)
class SensitivityMap:
    """Sensitivities of every live face, in the order of `live_interface` and of the faces of a result file.

    `step`: number of the charge or discharge, `time` [s] of its end; `phase` (nz, ny, nx) and `voxel_size` [m] of the
    electrode. Faces: `am`, `ionic` (f, 3) voxels [z, y, x] on either side (z = -1 of `ionic`: separator), `axis` (f,)
    of the normal, `position` (f, 3) [m] of their centres from the corner of the image, `particle` (f,) labels, `area`
    (f,) true area at full contact [m2], `fraction` (f,) contact fraction. `capacity`: charge of the step, positive on
    charge and on discharge; `decomposed`: charge of the oxidised electrolyte from the start to the end of the step,
    None without a decomposition law. `particles`: facts by column, see `particle_table`.
    """

    step: int
    time: float
    phase: np.ndarray
    voxel_size: tuple[float, float, float]
    am: np.ndarray
    ionic: np.ndarray
    axis: np.ndarray
    position: np.ndarray
    particle: np.ndarray
    area: np.ndarray
    fraction: np.ndarray
    capacity: FaceSensitivity
    decomposed: FaceSensitivity | None
    particles: dict[str, np.ndarray]

    @property
    def contact_area(self) -> np.ndarray:
        """True contact area (f,) of the pristine faces [m2]."""
        return self.area * self.fraction

    @property
    def outputs(self) -> dict[str, FaceSensitivity]:
        """What was differentiated, by name."""
        found = {"capacity": self.capacity}
        return found if self.decomposed is None else found | {"decomposed": self.decomposed}

    def profile(self, output: str = "capacity") -> Profile:
        """Mean sensitivity of each layer of voxels. **Errors:** ConfigError for an `output` that the map lacks."""
        found, layers = self._chosen(output), self.phase.shape[0]
        contact = np.bincount(self.am[:, 0], self.contact_area, layers)
        gain = np.bincount(self.am[:, 0], self.contact_area * found.by_area, layers)
        depth = (np.arange(layers) + 0.5) * self.voxel_size[0]
        return Profile(depth, contact, _over(gain, contact))

    def ranking(self, output: str = "capacity") -> Ranking:
        """Faces by what their contact pays. **Errors:** ConfigError for an `output` that the map lacks."""
        found = self._chosen(output)
        order = np.argsort(-found.by_area, kind="stable")
        contact, gain = (np.concatenate([[0.0], np.cumsum(v[order])]) for v in (self.contact_area, found.elasticity))
        return Ranking(contact / contact[-1], gain)

    def half_share(self, output: str = "capacity") -> float:
        """Smallest share of the contact area that makes half of all that is to be gained by more contact [-].

        That is the sum over the faces where more contact raises the output: 0.5 if all pay alike, NaN if none pays.
        **Errors:** ConfigError for an `output` that the map lacks.
        """
        contact, gain = self.ranking(output)
        most = gain.max()
        if not most > 0.0:
            return float("nan")
        k = int(np.argmax(gain >= 0.5 * most))  # the first: gain falls again where more contact costs
        return float(np.interp(0.5 * most, gain[k - 1 : k + 1], contact[k - 1 : k + 1]))

    def falling_share(self, output: str = "capacity") -> float:
        """Share of the contact area on which more contact lowers the output [-]. **Errors:** as in `half_share`."""
        lowers = self._chosen(output).by_area < 0.0
        return float(self.contact_area[lowers].sum() / self.contact_area.sum())

    def voxel_field(self, output: str = "capacity") -> np.ndarray:
        """Sensitivity by contact area [C m-2], mean over the contact of each voxel (nz, ny, nx); NaN without any.

        **Errors:** ConfigError for an `output` that the map lacks.
        """
        found = self._chosen(output)
        flat = np.ravel_multi_index(tuple(self.am.T), self.phase.shape)
        gain, contact = (np.bincount(flat, w * self.contact_area, self.phase.size) for w in (found.by_area, 1.0))
        return _over(gain, contact).reshape(self.phase.shape)

    def particle_table(self) -> dict[str, np.ndarray]:
        """Heading with unit -> one value for each particle with a live face: where it is, and sums of its faces."""
        labels, owner = np.unique(self.particle, return_inverse=True)
        place = np.searchsorted(self.particles["label"], labels)
        known = labels > 0

        def fact(name: str) -> np.ndarray:
            column = np.full(labels.size, np.nan)
            column[known] = self.particles[name][place[known]]
            return column

        def summed(values: np.ndarray) -> np.ndarray:
            return np.bincount(owner, values, labels.size)

        contact = summed(self.contact_area)
        columns = {"particle [-]": labels} | {f"{axis} [m]": fact(axis) for axis in "zyx"}
        columns |= {"diameter [m]": fact("diameter"), "live faces [-]": np.bincount(owner, minlength=labels.size)}
        columns["contact area [m2]"] = contact
        for name, found in self.outputs.items():
            columns[f"d {name}/d contact area [C/m2]"] = _over(summed(self.contact_area * found.by_area), contact)
            columns[f"d {name}/d contact fraction [C]"] = summed(found.by_fraction)
            columns[f"elasticity of {name} [-]"] = summed(found.elasticity)
        return columns

    def _chosen(self, output: str) -> FaceSensitivity:
        if output not in self.outputs:
            raise ConfigError(
                f"The map holds no {output!r}, but {', '.join(self.outputs)}; 'decomposed' needs a decomposition.law."
            )
        return self.outputs[output]


def sensitivity_map(
    cell: Cell,
    protocol: Protocol,
    *,
    step: int | None = None,
    rtol: float = 1e-3,
    options: SolverOptions | None = None,
    adjoint_rtol: float = 1e-6,
    notify: Callable[[str], None] | None = None,
) -> SensitivityMap:
    """Derivatives of the charge of a step, and of the decomposed charge up to its end, by the contact of every face.

    The run is taken once, the adjoint of its time steps once for each of the two. Its derivatives are those of
    `evaluate`: exact at fixed time steps, of first order, at the contact fractions that the cell has. At a contact
    fraction of 1, the largest there is, they tell what less contact would cost; faces without any (below 1e-9) have
    derivatives of 0.

    **Arguments:** `step`: number of a charge or discharge at constant current that ends at a voltage (from 1; None: the
    last one of the protocol). Steps after it are left out. `rtol`, `options` as in `simulate`; `adjoint_rtol`: what
    each transposed problem may leave, more than `evaluate` allows by default, but far less than a map shows. `notify`:
    called with a line of text before each part of the work.

    **Errors:** ConfigError before anything is compiled, for a step that cannot be differentiated too; RunStopped if the
    step did not end at its voltage; ConvergenceError if a transposed problem is not solved.
    """
    say = notify or (lambda text: None)
    steps = parse_protocol(protocol)
    number = chosen_step(steps, step)
    facts = face_facts(cell)
    fraction = np.asarray(cell.model.contact_fraction)[: len(facts["axis"])]
    oxidises = cell.model.decomposition is not None
    outputs = [CapacityAt(number), TimeAt(number), *([DecomposedCharge()] if oxidises else [])]

    def run(contact: jax.Array) -> tuple[jax.Array, ...]:
        return evaluate(
            {CONTACT: contact}, cell, steps[:number], outputs, rtol=rtol, options=options, adjoint_rtol=adjoint_rtol
        )

    say(f"Running {number} step{'s' * (number > 1)} of the protocol ...")
    values, back = jax.vjp(run, fraction)

    def pulled(k: int) -> np.ndarray:
        (found,) = back(tuple(np.asarray(float(k == n)) for n in range(len(values))))
        return np.asarray(found)

    say(f"Derivative of the capacity by {fraction.size} contact fractions ...")
    charge, time = float(values[0]), float(values[1])
    direction = np.sign(charge)
    slope = direction * pulled(0)
    if not np.any(slope):
        raise RunStopped(
            f"The charge of step {number} does not depend on contact: after {time:.6g} s it ended by its duration, or "
            "the run stopped. Give it more time, or look at the run itself (voxelyte run, sim.simulate)."
        )
    w = np.asarray(cell.model.faces.area * cell.model.faces.weight)[: fraction.size]
    capacity = _sensitivity(abs(charge), slope, w, fraction)
    decomposed = None
    if oxidises:
        say("Derivative of the decomposed charge ...")
        decomposed = _sensitivity(float(values[2]), pulled(2), w, fraction)
    labelled = cell.electrode if cell.electrode.particle is not None else label_particles(cell.electrode)
    assert labelled.particle is not None
    known = particle_facts(labelled)
    return SensitivityMap(
        step=number,
        time=time,
        phase=np.asarray(cell.electrode.phase),
        voxel_size=cell.electrode.voxel_size,
        am=facts["am"],
        ionic=facts["ionic"],
        axis=facts["axis"],
        position=(0.5 * (facts["am"] + facts["ionic"]) + 0.5) * np.asarray(cell.electrode.voxel_size),
        particle=labelled.particle[tuple(facts["am"].T)],
        area=w,
        fraction=fraction,
        capacity=capacity,
        decomposed=decomposed,
        particles={
            "label": known.label,
            **dict(zip("zyx", known.centroid.T, strict=True)),
            "diameter": known.equivalent_diameter,
        },
    )


def chosen_step(steps: Sequence[Step], step: int | None) -> int:
    """The number of the step whose charge is differentiated (from 1), by default the last that can be.

    **Errors:** ConfigError if there is none, or `step` is none.
    """
    able = [
        k for k, s in enumerate(steps, start=1) if isinstance(s, CurrentStep) and s.voltage_limit is not None
    ]  # the charge of any other is fixed, or is not the capacity
    cure = "for example 'Charge at C/3 until 4.2 V'"
    if not able:
        raise ConfigError(
            f"No step of the protocol is a charge or discharge at constant current until a voltage, {cure}: only the "
            "charge of such a step can be mapped."
        )
    if step is None:
        return able[-1]
    if step not in able:
        known = ", ".join(map(str, able))
        raise ConfigError(
            f"step = {step} must be the number of a charge or discharge at constant current until a voltage, {cure}; "
            f"of this protocol: {known}."
        )
    return int(step)


def _sensitivity(value: float, slope: np.ndarray, area: np.ndarray, fraction: np.ndarray) -> FaceSensitivity:
    relative = fraction * slope / value if value != 0.0 else np.full(slope.size, np.nan)
    return FaceSensitivity(value, slope, slope / area, relative)


def _over(amount: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return np.divide(amount, weight, out=np.full(amount.shape, np.nan), where=weight > 0.0)
