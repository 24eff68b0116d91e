"""How much of a run a gradient may keep, and where."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator.errors import ConfigError
from simulator.memory import available_memory
from simulator.model.derivatives.checkpoints import Again, Checkpoints
from simulator.model.stages import FirstThen, OnDisk, Packing, Stages

#: Share of the free memory that the stages of a run may take if no limit is given.
SHARE = 0.5


@dataclass(frozen=True)
class Keeping:
    """Stages in memory up to `limit` [B] (None: half of what is free, or 0 with `checkpoints`); the others in a file in
    `folder`, or computed again from so many `checkpoints` (None: as many as fit into half of the limit).

    **Errors:** ConfigError for values out of range, a folder that cannot be written to, or folder and checkpoints.
    """

    limit: float | None = None
    folder: Path | None = None
    checkpoints: int | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and not self.limit >= 0.0:
            raise ConfigError(f"tape_limit = {self.limit!r} must be a number of bytes >= 0, or None.")
        count = self.checkpoints
        if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
            raise ConfigError(f"checkpoints = {count!r} must be an integer >= 1, or None.")
        if self.folder is not None and count is not None:
            raise ConfigError("tape_folder keeps all stages, checkpoints do without: give one of them.")
        if self.folder is not None:
            OnDisk(self.folder)

    def stages(self, again: Again, packing: Packing, times: Sequence[float]) -> Stages:
        """A place for the stages of a run; `again` takes an entry of it once more, `times` [s] are looked at."""
        limit = self.limit
        if limit is None:
            free = available_memory()
            limit = 0.0 if self.checkpoints is not None else math.inf if free is None else SHARE * free
        if self.folder is not None:
            folder = self.folder
            return FirstThen(limit, lambda: OnDisk(folder))
        if self.checkpoints is not None:
            return FirstThen(limit, lambda: Checkpoints(again, packing, self.checkpoints, times=times))
        half = 0.5 * limit  # stages of the begin, states of the rest: each takes an entry off what is computed again
        return FirstThen(half, lambda: Checkpoints(again, packing, None, half, times))
