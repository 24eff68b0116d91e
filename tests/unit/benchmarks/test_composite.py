"""The study of composite trends: what is counted, and that the stored tables follow from their own numbers."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import composite
from simulator.geometry import Electrode
from simulator.geometry.phases import AM, ELECTROLYTE, PORE


def test_a_particle_counts_if_it_touches_electrolyte_that_reaches_the_separator() -> None:
    phase = np.full((6, 3, 3), PORE, dtype=np.uint8)
    phase[:3, 0, 0] = ELECTROLYTE  # joined to the separator
    phase[2, 1, 0] = AM  # touches it
    phase[4:, 2, 2] = AM  # touches only the island below
    phase[5, 1, 2] = ELECTROLYTE
    particle = np.zeros(phase.shape, dtype=np.int32)
    particle[2, 1, 0], particle[4:, 2, 2] = 1, 2
    assert composite.utilisation(Electrode(phase, (1e-6,) * 3, particle)) == pytest.approx(1 / 3)


def test_conductivity_is_the_mean_of_the_three_axes() -> None:
    phase = np.full((4, 4, 4), ELECTROLYTE, dtype=np.uint8)
    phase[:, :2] = AM  # layers: half of it along z and x, nothing along y
    with pytest.warns(UserWarning, match="percolates|connect"):
        assert composite.conductivity(Electrode(phase, (1e-6,) * 3)) == pytest.approx(1 / 3, rel=2e-3)


def test_measured_porosities_are_those_of_the_source_where_it_names_them() -> None:
    assert composite.porosity("coarse", 0.6) == 0.153 and composite.porosity("coarse", 0.3) == 0.0
    assert composite.porosity("small", 0.6) == 0.197 and composite.porosity("small", 0.15) == pytest.approx(0.0495)


def test_the_stored_verdicts_follow_from_the_stored_numbers(tmp_path: Path) -> None:
    results = json.loads(composite.RESULTS.read_text())
    for row in results["conduction"]:
        assert row["ln_measured"] == pytest.approx(-composite.SPHERES[row["kind"]][0] * row["fraction"])
        assert row["accepted"] == (abs(row["ln_simulated"] - row["ln_measured"]) <= 0.7)
    judged = [row for row in results["utilisation"] if row["accepted"] is not None]
    assert {row["lambda"] for row in judged} == {3.0, 8.0}
    for row in judged:
        assert row["accepted"] == (abs(row["simulated_percent"] - row["published_percent"]) <= 15)
    shown = composite.tables(results)
    assert shown.count("reject") == sum(
        row["accepted"] is False for part in ("conduction", "utilisation") for row in results[part]
    )
    composite.draw(results, tmp_path / "composite.png")
    assert (tmp_path / "composite.png").stat().st_size > 20_000
