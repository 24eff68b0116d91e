"""Fit parameters of a model to measured curves, and say how well they are known.

`parameters` and `data` hold what is fitted to what, `engine` the optimisation over any `Forward` model, `result` what
it returns; `experiment` and `simulation` make such a model of a simulated cell and measured curves, `fitting` is the
whole job; `information` and `identifiability` say what the data determine, `profile` how far each parameter can go,
and `design` which experiment to do next.
"""

from simulator.workflows.fit.data import Data, Forward
from simulator.workflows.fit.design import Candidate, Ranked, greedy_experiments, rank_experiments
from simulator.workflows.fit.engine import minimise
from simulator.workflows.fit.experiment import Experiment
from simulator.workflows.fit.fitting import Fit, fit
from simulator.workflows.fit.identifiability import Identifiability, identifiability
from simulator.workflows.fit.information import Information, information
from simulator.workflows.fit.parameters import FitParameter, Prior
from simulator.workflows.fit.profile import Profile, profile_likelihood
from simulator.workflows.fit.result import Evaluation, FitResult

__all__ = [
    "Candidate",
    "Data",
    "Evaluation",
    "Experiment",
    "Fit",
    "FitParameter",
    "FitResult",
    "Forward",
    "Identifiability",
    "Information",
    "Prior",
    "Profile",
    "Ranked",
    "fit",
    "greedy_experiments",
    "identifiability",
    "information",
    "minimise",
    "profile_likelihood",
    "rank_experiments",
]
