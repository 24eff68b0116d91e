"""A forward model of a fit that is a formula."""

import numpy as np

from simulator.errors import RunStopped


class Formula:
    """prediction = `function`(x (n,)), which must take complex x: derivatives are exact by complex steps.

    `stops(x)`: whether a run with these values stops.
    """

    def __init__(self, function, stops=lambda x: False):
        self.function, self.stops = function, stops
        self.seen: list[tuple[float, ...]] = []

    def rows(self, values):
        x = np.array(list(values.values()), float)
        self.seen.append(tuple(x))
        if self.stops(x):
            raise RunStopped("salt_depleted at 1200 s.")
        steps = 1e-30j * np.eye(x.size)
        columns = [np.imag(self.function(x + step)) / 1e-30 for step in steps]
        prediction = np.real(self.function(x))
        return prediction, np.stack(columns, axis=1) if columns else np.zeros((prediction.size, 0))

    def pull_back(self, values, weights_fn):
        prediction, jacobian = self.rows(values)
        return prediction, jacobian.T @ weights_fn(prediction)
