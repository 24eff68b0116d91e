"""The open-circuit potential that most tests use, written out once more, apart from the program."""

import numpy as np


def chen(x):
    """Chen et al. 2020, doi:10.1149/1945-7111/ab9050, without a drop at the end of lithiation [V]."""
    return (
        4.4875
        - 0.8090 * x
        - 0.0428 * np.tanh(18.5138 * (x - 0.5542))
        - 17.7326 * np.tanh(15.7890 * (x - 0.3117))
        + 17.5842 * np.tanh(15.9308 * (x - 0.3120))
    )
