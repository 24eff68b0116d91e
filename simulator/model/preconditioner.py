r"""Block preconditioner of the coupled step: potentials first, then the two concentrations.

Three transformations make the blocks nearly independent:

- The salt row already carries the charge balance (see `residual`), so it sees the potentials through the faces alone.
- With $\psi = \phi_e - K\ln c_e$ the ionic current is $-\kappa\nabla\psi$: the potential block is a symmetric graph
  Laplacian, free of the salt.
- The reaction conductance in that block is reduced by what the particle's surface gives back: lithium that leaves
  lowers the surface stoichiometry and raises U. The surface responds like a semi-infinite chain of voxels with
  storage m and conductance k, whose admittance is $Y=(m+\sqrt{m^2+4mk})/2$; then
  $dJ = g\,dE/(1+\sum_f \partial_x J/Y)$.

The potential block is one two-field `FaceOperator` that contains this reaction conductance (where the CBD conducts
both, partly inside its voxel); sto and c_e are one field on the finest grid, and two on all others. Each block gets one
multigrid cycle.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from simulator.model.cell import C_E, PHI_E, PHI_S, STO, CellModel
from simulator.model.jacobian import CONCENTRATION, Jacobian
from simulator.numerics.laplacian import FaceOperator, Triple
from simulator.numerics.multigrid import Hierarchy, build, cycle
from simulator.numerics.stencil import AXES, take


class Preconditioner(eqx.Module):
    """Two multigrid hierarchies and what couples them; `apply` is linear."""

    potentials: Hierarchy
    concentration: Hierarchy
    jacobian: Jacobian
    dtype: jnp.dtype = eqx.field(static=True)

    def apply(self, rows: Array) -> Array:
        """Approximate solution of `J du = rows`, both packed (3, nz, ny, nx), in `dtype`."""
        jacobian = self.jacobian
        r = jnp.where(jacobian.present, rows, 0.0).astype(self.dtype)
        potentials = cycle(self.potentials, r[:STO])
        left = r[CONCENTRATION] - self._taken(potentials)
        [concentration] = cycle(self.concentration, left[None])
        phi_e = potentials[PHI_E] + jacobian.coupling.astype(self.dtype) * concentration
        return jnp.stack([potentials[PHI_S], jnp.where(jacobian.active[PHI_E], phi_e, 0.0), concentration])

    def apply_transposed(self, du: Array) -> Array:
        """The transposed of `apply`, which solves `J^T rows = du` approximately: the cycles are symmetric."""
        jacobian = self.jacobian
        # A cycle sums absent entries into its coarse grids: there must be none.
        u = jnp.where(jacobian.present, du, 0.0).astype(self.dtype)
        weights = u[CONCENTRATION] + jacobian.coupling.astype(self.dtype) * u[PHI_E]
        [concentration] = cycle(self.concentration, weights[None])
        [taken] = jax.linear_transpose(self._taken, u[:STO])(concentration)
        potentials = cycle(self.potentials, jnp.where(jacobian.present[:STO], u[:STO] - taken, 0.0))
        return jnp.stack([*potentials, concentration])

    def _taken(self, potentials: Array) -> Array:
        """What changes of the potentials (2, nz, ny, nx) take out of the lithium and salt rows (nz, ny, nx): the
        reaction and the anode current."""
        jacobian = self.jacobian
        taken = jacobian.lithium(jacobian.reaction(potentials))
        if jacobian.carbon is not None:
            made = (jacobian.anion_share * jacobian.carbon).astype(self.dtype)
            taken = taken - made * (potentials[PHI_S] - potentials[PHI_E])
        anode = (jacobian.anion_share * jacobian.anode[0]).astype(self.dtype) * potentials[PHI_E, 0]
        return taken.at[0].add(-anode)


def surface_response(jacobian: Jacobian, cell: CellModel) -> Array:
    """Factor (n,) in (0, 1] by which the particle's surface weakens the reaction conductance of each face."""
    storage = jacobian.storage
    links = jnp.zeros_like(storage)
    for axis in AXES:
        k = jacobian.axes[axis].value[0].astype(storage.dtype)
        links = jnp.maximum(links, jnp.maximum(take(k, axis, 0, -1), take(k, axis, 1, None)))
    admittance = 0.5 * (storage + jnp.sqrt(storage**2 + 4.0 * storage * links))
    slope = cell.add_to_cells(cell.faces.am, jnp.maximum(jacobian.faces.sto, 0.0))
    per_cell = 1.0 / (1.0 + slope / jnp.where(admittance > 0, admittance, 1.0))
    return per_cell.ravel()[cell.faces.am]


def potential_operator(jacobian: Jacobian, cell: CellModel) -> FaceOperator:
    """The (phi_s, psi) block with the weakened reaction conductance."""
    f = cell.faces
    g = jnp.maximum(jacobian.faces.phi, 0.0) * surface_response(jacobian, cell)
    share = jacobian.faces.share
    # J = g (s phi_am + (1-s) phi_cbd - psi) as a graph: s g across the face, (1-s) g inside the CBD voxel, and
    # s (1-s) g less between the two solids.
    across, inside, less = share * g, jnp.maximum(1.0 - share, 0.0) * g, share * (1.0 - share) * g
    low_high = jnp.where(f.am_low, across, 0.0), jnp.where(f.am_low, 0.0, across)
    dense = cell.spread_faces(jnp.stack([*low_high, less]))
    faces: list[Array] = []
    cross: list[Array] = []
    for axis in AXES:
        c = jacobian.axes[axis]
        solid, ionic = c.drop.astype(g.dtype)
        faces.append(jnp.stack([jnp.maximum(solid - dense[axis][2], 0.1 * solid), ionic]))
        cross.append(dense[axis][:2])
    local = cell.add_to_cells(f.ionic, inside)
    if jacobian.carbon is not None:
        local = local + jacobian.carbon
    wall = jnp.zeros((2, *cell.shape)).at[1, 0].set(jnp.maximum(-jacobian.anode[0], 0.0))
    return FaceOperator(
        faces=_triple(faces),
        mass=jnp.where(jacobian.active[:STO], wall, 0.0),
        cross=_triple(cross),
        local=local,
        plane=jacobian.plane,
        plane_floats=jacobian.plane_floats,
    )


def concentration_operator(jacobian: Jacobian, cell: CellModel) -> FaceOperator:
    """sto in the particles and c_e around them: diffusion, storage, and the reaction's own response at fixed
    potentials. No face joins the two."""
    f = cell.faces
    faces = [jnp.maximum(jacobian.axes[a].value[:1].astype(jnp.float64), 0.0) for a in AXES]
    k_over_c = jacobian.coupling.ravel()[f.ionic]
    salt = jacobian.anion_share * (jacobian.faces.phi * k_over_c - jacobian.faces.c_e)
    reaction = cell.add_to_cells(f.am, jnp.maximum(jacobian.faces.sto, 0.0))
    reaction = reaction + cell.add_to_cells(f.ionic, jnp.maximum(salt, 0.0))
    mass = jnp.where(jacobian.present[CONCENTRATION], jacobian.storage + reaction, 0.0)
    return FaceOperator(faces=_triple(faces), mass=mass[None])


def precondition(jacobian: Jacobian, cell: CellModel, dtype: jnp.dtype) -> Preconditioner:
    """Set up both hierarchies at the linearisation point of `jacobian`."""
    plan = cell.grid.plan  # for two fields: the concentration has two from the second grid on
    ionic = jacobian.active[C_E][None]
    return Preconditioner(
        potentials=build(potential_operator(jacobian, cell), plan, dtype),
        concentration=build(concentration_operator(jacobian, cell), plan, dtype, apart=ionic),
        jacobian=jacobian,
        dtype=dtype,
    )


def _triple(arrays: list[Array]) -> Triple:
    return arrays[0], arrays[1], arrays[2]
