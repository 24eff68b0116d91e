"""Groups of the result file with an entry for each of many things, such as particles or faces."""

from collections.abc import Mapping
from dataclasses import dataclass

import h5py
import numpy as np

from simulator.errors import ConfigError
from simulator.io.appending import FILTERS, describe


@dataclass(frozen=True, eq=False)
class HistoryTable:
    """What is told of each of n things of a kind.

    `facts`: name -> (n, ...), written once. `specs`: fact or history -> (unit, long name). Histories are the names in
    `specs` that are no facts: (n,) at each saved step, stored as `dtype`.
    """

    facts: Mapping[str, np.ndarray]
    specs: Mapping[str, tuple[str, str]]
    dtype: str = "f8"

    @property
    def count(self) -> int:
        """n, the number of things."""
        return int(np.shape(next(iter(self.facts.values())))[0])

    @property
    def histories(self) -> list[str]:
        """Names of the histories."""
        return [name for name in self.specs if name not in self.facts]

    def check(self, name: str) -> None:
        """**Errors:** ConfigError if the table `name` has no facts, a fact without a unit or facts of unequal n."""
        lengths = {fact: np.shape(values)[:1] for fact, values in self.facts.items()}
        if not lengths or len(set(lengths.values())) > 1 or not set(lengths) <= set(self.specs):
            raise ConfigError(
                f"Table '{name}' needs at least one fact, all of one length and each with a unit: got lengths "
                f"{lengths} and units for {list(self.specs)}."
            )

    def create(self, group: h5py.Group) -> None:
        """Write the facts to `group`, and an empty dataset for each history, read by step."""
        for name, values in self.facts.items():
            describe(group.create_dataset(name, data=np.asarray(values), **FILTERS), self.specs[name])
        for name in self.histories:
            dataset = group.create_dataset(
                name,
                (0, self.count),
                self.dtype,
                maxshape=(None, self.count),
                chunks=(1, max(self.count, 1)),
                fillvalue=np.nan,
                **FILTERS,
            )
            describe(dataset, self.specs[name])

    def complete(self, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """History -> (n,) of one step; NaN for those that are not `given`."""
        blank = np.full(self.count, np.nan)
        return {name: np.asarray(given.get(name, blank), self.dtype) for name in self.histories}


def grows(dataset: h5py.Dataset) -> bool:
    """Whether `dataset` is a history, with one row for each saved step, and no fact."""
    return dataset.maxshape[0] is None


@dataclass(frozen=True)
class ParticleHistories:
    """Particles of a run: facts (p,) and histories (n, p) at the times of the saved fields. SI."""

    label: np.ndarray
    """(p,) number of the particle in the electrode's labels."""
    volume: np.ndarray
    """(p,) [m3]."""
    centroid: np.ndarray
    """(p, 3) z, y, x [m]."""
    diameter: np.ndarray
    """(p,) of the sphere of the same volume [m]."""
    surface_area: np.ndarray
    """(p,) free surface, necks between particles excluded [m2]."""
    coverage: np.ndarray
    """(p,) share of the free surface that touches an ionic phase."""
    boundary: np.ndarray
    """(p,) bool, cut by a side of the image."""
    sto: np.ndarray
    """(n, p) mean stoichiometry."""
    current: np.ndarray
    """(n, p) current that leaves the particle [A]."""
    active_coverage: np.ndarray
    """(n, p) true contact area of live faces / free surface."""


def read_particles(file: h5py.File, steps: int) -> ParticleHistories | None:
    """The particles of a result file with `steps` saved steps; None if it holds none."""
    group = file.get("particles")
    if group is None:
        return None
    values = {name: d[:steps] if grows(d) else d[:] for name, d in group.items()}
    values["boundary"] = values["boundary"].astype(bool)
    return ParticleHistories(**{name: frozen(array) for name, array in values.items()})


def frozen(array: np.ndarray) -> np.ndarray:
    """`array`, from now on read-only."""
    array.setflags(write=False)
    return array
