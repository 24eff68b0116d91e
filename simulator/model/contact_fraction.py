"""From the parameter `contact.fraction` to one contact fraction for each live face."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from simulator.errors import ConfigError
from simulator.geometry import Electrode, Interface, particle_facts
from simulator.materials import Distribution, is_traced
from simulator.materials.parameter_sets import SPECS

NAME = "contact.fraction"
_SPEC = SPECS[NAME]
_SHOWN = 8  # labels listed in a message
_LABEL_FIRST = (
    "Label the electrode first: label_particles(electrode) in Python, output.particles=true or geometry.particles=FILE "
    "in a configuration."
)


def face_contact_fractions(value: Distribution | Array | float, electrode: Electrode, faces: Interface) -> Array:
    """Contact fraction a_f (n,) [-] of every live face, in the order of `faces`.

    An image is read at the voxel of active material of each face: every face has one (beyond those on the separator
    plane lies no other voxel), and what changes contact, cracks and shrinkage, belongs to the particle. The faces of
    one voxel share its value. Particles are those of `electrode.particle`; of one value for each of them the order
    is that of `particle_facts`. An array of one value for each face is taken as it is.

    Values that are traced by JAX pass unchecked, and the result depends on them differentiably.

    **Errors:** ConfigError if a length, a shape or a label does not fit the electrode, if particles have no labels or
    no value, or if a value of an image is NaN or out of range on a live face.
    """
    if not isinstance(value, Distribution):
        return jnp.broadcast_to(jnp.asarray(value, dtype=float), (len(faces),))
    if value.labels is not None:
        return _by_label(value, value.labels, electrode, faces)
    if value.values.ndim == 3:
        return _sampled(value.values, electrode, faces)
    return _by_order(value.values, electrode, faces)


def _sampled(image: Float[Array, "nz ny nx"], electrode: Electrode, faces: Interface) -> Array:
    if image.shape != electrode.shape:
        raise ConfigError(
            f"{NAME} is an image of {image.shape} voxels, and the electrode has {electrode.shape} (z, y, x), after all "
            "that is done to it. Give the values on these voxels."
        )
    found = image.reshape(-1)[faces.am]
    if not is_traced(found):
        numbers = np.asarray(found)
        wrong = ~((numbers >= _SPEC.low) & (numbers <= _SPEC.high))  # NaN is wrong, too
        if wrong.any():
            at = int(np.argmax(wrong))
            voxel = tuple(int(i) for i in np.unravel_index(faces.am[at], electrode.shape))
            raise ConfigError(
                f"{NAME} = {numbers[at]:g} at the voxel {voxel} (z, y, x) must lie in {_SPEC.range_text()}; so must "
                f"the values of all voxels with a live face, and {np.unique(faces.am[wrong]).size} do not. {_SPEC.cure}"
            )
    return found


def _by_order(values: Float[Array, " n"], electrode: Electrode, faces: Interface) -> Array:
    known = electrode.particle is not None
    particles = len(particle_facts(electrode)) if known else -1
    if values.size == len(faces) != particles:
        return values
    if values.size == len(faces):
        raise ConfigError(
            f"{NAME} has {values.size} values, and the electrode as many particles as live faces: it is not clear "
            "which are meant. Give {label: value}, or an image."
        )
    if values.size != particles:
        counted = f"{particles} particles" if known else "no particle labels"
        raise ConfigError(
            f"{NAME} has {values.size} values, and the electrode {counted} and {len(faces)} live faces. Give one for "
            f"each particle, in the order of particle_facts(electrode). {'' if known else _LABEL_FIRST}".rstrip()
        )
    owner, _ = _owners(electrode, faces)
    if (owner < 0).any():
        raise ConfigError(
            f"{NAME} has one value for each particle, and {int((owner < 0).sum())} live faces belong to active "
            "material without a label. Label all of it, or give an image."
        )
    return values[owner]


def _by_label(value: Distribution, labels: tuple[int, ...], electrode: Electrode, faces: Interface) -> Array:
    if electrode.particle is None:
        raise ConfigError(f"{NAME} is given for particle labels, and the electrode has none. {_LABEL_FIRST}")
    owner, known = _owners(electrode, faces)
    unknown = sorted(set(labels) - set(known.tolist()))
    if unknown:
        raise ConfigError(
            f"{NAME} names particle labels that the electrode does not have: {_listed(unknown)}. It has {known.size}, "
            f"from {known[0]} to {known[-1]}: see particle_facts(electrode).label, or /particles of a result file."
        )
    column = np.full(known.size + 1, -1)  # the last is that of faces without a label: place -1
    column[np.searchsorted(known, labels)] = np.arange(len(labels))
    place = column[owner]
    if value.default is None and (place < 0).any():
        missing = sorted({int(known[k]) if k >= 0 else 0 for k in owner[place < 0].tolist()})
        raise ConfigError(f"{NAME} has no value for the particles {_listed(missing)}. Add them, or default: 1.0.")
    default = jnp.zeros(()) if value.default is None else value.default
    return jnp.concatenate([value.values, default[None]])[place]


def _owners(electrode: Electrode, faces: Interface) -> tuple[np.ndarray, np.ndarray]:
    """For each face the place of its particle in the order of `particle_facts`, -1 without a label; and the labels."""
    assert electrode.particle is not None
    labels = particle_facts(electrode).label
    of_face = electrode.particle.reshape(-1)[faces.am]
    return np.where(of_face > 0, np.searchsorted(labels, of_face), -1), labels


def _listed(labels: list[int]) -> str:
    more = f" and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else ""
    return ", ".join(map(str, labels[:_SHOWN])) + more


def active_coverage(contact: np.ndarray, electrode: Electrode, faces: Interface) -> float:
    """Share of the particles' free surface that is in live contact [-]: sum(w a_f) / sum(w), necks left out.

    As in `Electrode.coverage` neither sum counts the separator plane. NaN if the particles have no free surface.
    """
    surface = electrode.free_surface
    whole = float((surface.weight * surface.face_area)[~surface.to_separator].sum())
    live = (faces.weight * faces.face_area * contact)[~faces.to_separator]
    return float(live.sum()) / whole if whole > 0 else float("nan")
