"""The cell as the solver sees it: one pytree of arrays and material functions, no host objects."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from simulator.constants import F, R
from simulator.model.grid import AM, CBD, ELECTROLYTE, SEPARATOR, VoxelGrid
from simulator.numerics.compilation import settle
from simulator.numerics.stencil import AXES, face_shape
from simulator.physics.contact import CONTACT_FLOOR, FaceSides, Intercalation
from simulator.physics.counter_electrode import CounterElectrode
from simulator.physics.decomposition import Decomposition, FiniteOxidation
from simulator.physics.decomposition.branch import THICKNESS
from simulator.physics.kinetics import ButlerVolmer
from simulator.physics.transport import CellValues

#: Rows of the stacked fields.
PHI_S, PHI_E, STO, C_E = 0, 1, 2, 3

Material = Callable[[Array, Array], Array]


class ContactFaces(eqx.Module):
    """The live AM|ionic faces as a list, padded to a round length so that electrodes of one size share a compilation.

    All traced, shape `(n,)`: `am`, `ionic` flat cell indices, `face` flat index into the concatenated z, y, x face
    arrays (one past the end for padding), `am_low` (the AM voxel has the lower index), `on_cbd`, `valid`, `area` [m2]
    of the voxel face, `weight` w [-], `h_am`, `h_ion` [m] voxel sizes along the normal.
    """

    am: Int[Array, " n"]
    ionic: Int[Array, " n"]
    face: Int[Array, " n"]
    am_low: Bool[Array, " n"]
    on_cbd: Bool[Array, " n"]
    valid: Bool[Array, " n"]
    area: Float[Array, " n"]
    weight: Float[Array, " n"]
    h_am: Float[Array, " n"]
    h_ion: Float[Array, " n"]


class Parameters(eqx.Module):
    """Material functions and scalars, all traced leaves (SI). Functions are `f(sto, T)` or `f(c_e, T)`."""

    c_s_max: Float[Array, ""]
    D_s: Material
    sigma: Material
    ocp: Material
    cbd_sigma: Material
    kappa: dict[int, Material]  # by phase code: CBD, ELECTROLYTE, SEPARATOR
    D_e: dict[int, Material]
    electrolyte_fraction: dict[int, Array]  # volume share that stores salt
    t_plus: Material
    thermo_factor: Material
    c_e_init: Float[Array, ""]
    electronic_resistance: Float[Array, ""]
    temperature: Float[Array, ""]


class CellModel(eqx.Module):
    """Everything the residual needs; a pytree. Static: whether the electrolyte is binary, and which functions vary.

    `phase` (nz, ny, nx) int8 with the separator; `active` (4, nz, ny, nx) bool, unknowns per field; `contact_fraction`
    a_f and `film_resistance` [ohm m2] per pristine face, differentiable leaves; `decomposition` of the electrolyte on
    those faces, `carbon` its oxidation on the carbon of the CBD (per volume), None without.
    """

    grid: VoxelGrid
    phase: Int[Array, "nz ny nx"]
    active: Bool[Array, "4 nz ny nx"]
    faces: ContactFaces
    contact_fraction: Float[Array, " n"]
    film_resistance: Float[Array, " n"]
    parameters: Parameters
    kinetics: ButlerVolmer
    anode: CounterElectrode
    decomposition: Decomposition | None
    carbon: FiniteOxidation | None
    binary: bool = eqx.field(static=True)
    sigma_varies: bool = eqx.field(static=True)
    t_plus_varies: bool = eqx.field(static=True)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.grid.shape

    @property
    def t_plus_ref(self) -> Array:
        """Transference number at the initial concentration: the constant part of migration (1 for single-ion)."""
        if not self.binary:
            return jnp.ones(())
        p = self.parameters
        return p.t_plus(p.c_e_init, p.temperature)

    @property
    def intercalation(self) -> Intercalation:
        """The active material's own reaction."""
        p = self.parameters
        return Intercalation(self.kinetics, p.ocp, p.c_s_max, p.temperature)

    @property
    def carbon_voxels(self) -> Bool[Array, "nz ny nx"]:
        """CBD voxels that conduct both electrons and ions."""
        return (self.phase == CBD) & self.active[PHI_S] & self.active[PHI_E]

    @property
    def pristine_contact(self) -> Float[Array, " n"]:
        """Contact area [m2] of each face before anything was lost: voxel face area times w times contact fraction."""
        f = self.faces
        return jnp.where(f.valid, f.area * f.weight * jnp.maximum(self.contact_fraction, CONTACT_FLOOR), 0.0)

    @property
    def solid_storage(self) -> Array:
        """`F c_s_max V` [C] per unit of stoichiometry, (nz, 1, 1)."""
        return F * self.parameters.c_s_max * self.grid.volume

    @property
    def salt_storage(self) -> Float[Array, "nz ny nx"]:
        """`F eps V` [C m3/mol], charge per unit of salt concentration."""
        share = jnp.zeros(self.shape)
        for code, fraction in self.parameters.electrolyte_fraction.items():
            share = jnp.where(self.phase == code, fraction, share)
        return F * self.grid.volume * share

    def _by_ionic_phase(self, functions: dict[int, Material], c_e: Array, phase: Array) -> Array:
        value = jnp.zeros_like(c_e)
        for code, function in functions.items():
            value = jnp.where(phase == code, function(c_e, self.parameters.temperature), value)
        return value

    def salt_coupling(self, c_e: Array) -> Array:
        """`K = (2RT/F)(1 - t_plus) Theta` [V] (zero for a single-ion conductor), any shape."""
        if not self.binary:
            return jnp.zeros_like(c_e)
        p = self.parameters
        thermal = 2.0 * R * p.temperature / F
        return thermal * (1.0 - p.t_plus(c_e, p.temperature)) * p.thermo_factor(c_e, p.temperature)

    def cell_values(self, u: Float[Array, "4 nz ny nx"], ends: bool = False) -> CellValues:
        """Fields with their transport coefficients at cell centres; absent phases have zero coefficients.

        Evaluated here, once: fused into the fluxes, each of the material functions would run on both sides of all axes.
        `ends`: the first and the last layer alone, (2, ny, nx).
        """
        phase, active = self.phase, self.active
        if ends:
            u, phase, active = (jnp.stack([a[..., 0, :, :], a[..., -1, :, :]], axis=-3) for a in (u, phase, active))
        p, t = self.parameters, self.parameters.temperature
        sto, c_e = u[STO], u[C_E]
        solid_sigma = jnp.where(phase == AM, p.sigma(sto, t), p.cbd_sigma(sto, t))
        zero = jnp.zeros_like(sto)
        sigma, D_s = jnp.where(active[PHI_S], solid_sigma, zero), jnp.where(active[STO], p.D_s(sto, t), zero)
        kappa = jnp.where(active[PHI_E], self._by_ionic_phase(p.kappa, c_e, phase), zero)
        D_e = jnp.where(active[C_E], self._by_ionic_phase(p.D_e, c_e, phase), zero)
        t_plus = p.t_plus(c_e, t) if self.binary else jnp.ones_like(c_e)
        sigma, D_s, kappa, D_e, ln_c, coupling = settle((sigma, D_s, kappa, D_e, jnp.log(c_e), self.salt_coupling(c_e)))
        return CellValues(
            phi_s=u[PHI_S],
            phi_e=u[PHI_E],
            sto=sto,
            c_e=c_e,
            ln_c=ln_c,
            sigma=sigma,
            kappa=kappa,
            D_s=D_s,
            D_e=D_e,
            t_plus=settle(t_plus) if self.t_plus_varies else t_plus,
            coupling=coupling,
        )

    def gather(self, u: Array) -> tuple[Array, Array]:
        """`u` (4, nz, ny, nx) at the AM and at the ionic cell of each face: two arrays (4, n)."""
        flat = u.reshape(4, -1)
        return flat[:, self.faces.am], flat[:, self.faces.ionic]

    def face_sides(
        self, am: Float[Array, "4 n"], ion: Float[Array, "4 n"], states: Float[Array, "3 n"] | None = None
    ) -> FaceSides:
        """Geometry and material values of the faces for the contact law; padding gets harmless ones.

        Pristine, or behind the film of the `states`.
        """
        p, t, f = self.parameters, self.parameters.temperature, self.faces
        phase = self.phase.ravel()[f.ionic]
        kappa = jnp.ones_like(f.area)
        for code, function in p.kappa.items():
            kappa = jnp.where(phase == code, function(ion[C_E], t), kappa)
        pristine = FaceSides(
            weight=f.weight,
            contact_fraction=self.contact_fraction,
            h_am=f.h_am,
            h_ion=f.h_ion,
            film_resistance=self.film_resistance,
            electronic_resistance=p.electronic_resistance,
            sigma_am=jnp.where(f.valid, p.sigma(am[STO], t), 1.0),
            sigma_cbd=jnp.where(f.valid & f.on_cbd, p.cbd_sigma(am[STO], t), 0.0),
            kappa=kappa,
            diffusivity=p.D_s(am[STO], t),
        )
        if states is None or self.decomposition is None:
            return pristine
        return pristine.behind(self.decomposition.film, states[THICKNESS])

    def spread_faces(self, values: Float[Array, "q n"]) -> tuple[Array, Array, Array]:
        """Per-face values as dense face arrays (q, ...) of the z, y and x axis; zero where there is no live face."""
        shapes = [face_shape(self.shape, axis) for axis in AXES]
        counts = [int(np.prod(s)) for s in shapes]
        dense = jnp.zeros((values.shape[0], sum(counts) + 1)).at[:, self.faces.face].set(values)
        starts = np.cumsum([0, *counts])
        parts = [
            jax.lax.slice_in_dim(dense, int(starts[a]), int(starts[a + 1]), axis=1).reshape(-1, *shapes[a])
            for a in AXES
        ]
        return parts[0], parts[1], parts[2]

    def add_to_cells(self, index: Int[Array, " n"], values: Float[Array, " n"]) -> Float[Array, "nz ny nx"]:
        """Sum of per-face `values` over the cells `index` (the faces' `am` or `ionic`)."""
        values = jnp.where(self.faces.valid, values, 0.0)
        size = int(np.prod(self.shape))
        return jnp.zeros(size).at[index].add(values).reshape(self.shape)


IONIC_CODES = (CBD, ELECTROLYTE, SEPARATOR)
