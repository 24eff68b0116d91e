"""What a run keeps while it goes on: rows of the time series, saved fields, the ledger."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simulator.model.observe import Observer
from simulator.model.solution import COLUMNS, Recorder
from simulator.model.timestep import State


class Records:
    """Rows and fields of one run. With a recorder the fields are kept in its file, else in memory."""

    def __init__(self, observer: Observer, names: tuple[str, ...], recorder: Recorder | None) -> None:
        self._observer, self._names, self._recorder = observer, names, recorder
        self._sent = 0
        self._saved: dict[str, list[np.ndarray]] = {name: [] for name in names}
        self._saved_faces: list[dict[str, np.ndarray]] = []
        self.rows: list[dict[str, float]] = []
        self.times: list[float] = []  # of the saved fields
        self.ledger = {"charge": 0.0, "lithium": 0.0, "salt": 0.0, "side": 0.0}

    def row(self, row: dict[str, float], balances: Mapping[str, float]) -> None:
        """Append one line of the time series."""
        for name, value in balances.items():
            self.ledger[name] = max(self.ledger[name], value)
        self.rows.append(row | {f"balance_{name}": value for name, value in balances.items()})

    def send(self, count: int) -> None:
        """Give the recorder the rows up to `count` that it has not had; later ones belong to no completed step."""
        del self.rows[count:]
        if self._recorder is not None:
            for row in self.rows[self._sent :]:
                self._recorder.row(row)
            self._sent = count

    def save(self, t: float, state: State) -> bool:
        """Keep the fields of `state` at `t` [s], unless that time is kept already. Returns whether it was not."""
        if self.times and t <= self.times[-1]:
            return False
        fields = self._observer.fields(state, self._names)
        if self._recorder is None:
            for name, values in fields.items():
                self._saved[name].append(values)
            self._saved_faces.append(self._observer.faces(state))
        else:
            tables = {"faces": self._observer.faces(state)}
            if self._observer.has_particles:
                tables["particles"] = self._observer.particles(state)
            self._recorder.fields(t, fields, self._observer.separator_profiles(state), tables)
        self.times.append(t)
        return True

    def field(self, name: str, index: int) -> np.ndarray:
        """Saved field `name` (nz, ny, nx) number `index` >= 0."""
        return self._saved[name][index] if self._recorder is None else self._recorder.read(name, index)

    def face(self, name: str, index: int) -> np.ndarray:
        """History `name` (f,) of the live faces at the saved step number `index` >= 0."""
        return self._saved_faces[index][name] if self._recorder is None else self._recorder.read_face(name, index)

    def columns(self) -> dict[str, np.ndarray]:
        """The time series as arrays."""
        return {name: np.array([row[name] for row in self.rows]) for name in COLUMNS}

    def state(self) -> tuple[np.ndarray, dict[str, Any]]:
        """Rows (n, columns) and the rest, for a checkpoint."""
        rows = np.array([[row[name] for name in COLUMNS] for row in self.rows]).reshape(-1, len(COLUMNS))
        return rows, {"columns": list(COLUMNS), "saved_times": list(self.times), "ledger": dict(self.ledger)}

    def restore(self, rows: np.ndarray, columns: Sequence[str], times: Sequence[float], ledger: dict) -> None:
        """Take over what `state` gave; the recorder's file holds these rows and fields already."""
        self.rows = [dict(zip(columns, map(float, row), strict=True)) for row in rows]
        self.times, self.ledger, self._sent = list(times), dict(ledger), len(self.rows)
