"""The numbers of the closing table."""

import io
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from simulator.workflows.report import ADVICE, stored_summary, summarise, table


def series() -> dict[str, np.ndarray]:
    """A charge in two rows after the start, with 20 mV of charge transfer in the first and 40 in the second."""
    return {
        "test_time_second": np.array([0.0, 10.0, 7200.0]),
        "voltage_volt": np.array([3.6, 3.65, 4.2]),
        "current_ampere": np.full(3, 1e-3),
        "step_count": np.ones(3),
        "charge_coulomb": np.array([0.0, 1.8, 5.4]),
        "ocv_volt": np.array([3.55, 3.6, 4.1]),
        "loss_charge_transfer_volt": np.array([np.nan, 0.02, 0.04]),
        "loss_salt_volt": np.array([0.01, 0.01, -0.02]),
    }


@dataclass(frozen=True)
class Facts:
    """A cell of 1 cm2 with 10 mg of active material, and a charge of 1.5 mAh in half an hour of computing."""

    area: float = 1e-4
    am_mass: float = 1e-5
    contact_area: float = 2e-3
    theoretical_capacity: float = 2 * 3.6
    live_share: float = 0.9
    active_coverage: float = 0.45
    isolated_share: dict = field(default_factory=lambda: {"no electrons": 0.02, "no ions": 0.03})
    status: str = "finished"
    time: np.ndarray = field(default_factory=lambda: np.array([0.0, 3600.0, 7200.0]))
    voltage: np.ndarray = field(default_factory=lambda: np.array([3.6, 3.9, 4.2]))
    capacity: np.ndarray = field(default_factory=lambda: np.array([0.0, 2.7, 5.4]))
    timeseries: dict = field(default_factory=lambda: series())
    ledger: dict = field(default_factory=lambda: {"charge": 1e-13, "lithium": 2e-12, "salt": 3e-11})
    stats: dict = field(
        default_factory=lambda: {
            "steps": 40, "rejected_steps": 2, "newton_iterations": 160, "krylov_iterations": 900,
            "implicit_solves": 80, "wall_s": 50.0, "compile_s": 10.0, "voxels": 100_000,
        }
    )  # fmt: skip


def test_capacity_and_utilisation_of_a_charge() -> None:
    values = summarise(Facts(), Facts())
    assert values["capacity [mAh/g AM]"] == pytest.approx(150.0)  # 1.5 mAh / 10 mg
    assert values["capacity [mAh/cm2]"] == pytest.approx(1.5)
    assert values["utilisation [%]"] == pytest.approx(75.0)  # of 2 mAh
    assert values["isolated share of the AM [%]"] == pytest.approx(5.0)
    assert values["active coverage of the AM surface [%]"] == pytest.approx(45.0)
    assert values["final voltage [V]"] == 4.2


@pytest.mark.parametrize(
    "passed", [[0.0, -2.7, -5.4], [0.0, 5.4, 5.4, 1.0], [2.7, 5.4]], ids=["discharge", "cycle", "late row"]
)
def test_capacity_is_the_largest_charge_between_two_states(passed: list[float]) -> None:
    run = replace(Facts(), capacity=np.array(passed))
    assert summarise(Facts(), run)["capacity [mAh/g AM]"] == pytest.approx(150.0)


def test_speed_leaves_compilation_out_and_names_its_share() -> None:
    values = summarise(Facts(), Facts())
    assert values["voxel-solves per second"] == pytest.approx(80 * 100_000 / 40.0)
    assert values["compiling, of that [%]"] == pytest.approx(20.0)
    unknown = replace(Facts(), stats={**Facts().stats, "compile_s": None})
    assert "compiling, of that [%]" not in summarise(Facts(), unknown)


def test_mean_losses_are_weighted_by_the_charge_and_positive_on_discharge_too() -> None:
    values = summarise(Facts(), Facts())
    assert values["mean loss, charge transfer [mV]"] == pytest.approx((1.8 * 20 + 3.6 * 40) / 5.4)
    assert values["mean loss, salt [mV]"] == pytest.approx((1.8 * 10 - 3.6 * 20) / 5.4)
    turned = {name: -v if name.startswith(("loss", "current", "charge")) else v for name, v in series().items()}
    mirrored = summarise(Facts(), replace(Facts(), timeseries=turned))
    assert mirrored["mean loss, charge transfer [mV]"] == values["mean loss, charge transfer [mV]"]


def test_resistance_of_the_first_ten_seconds_is_shown() -> None:
    # (3.65 - 3.55) V / 1 mA on 1 cm2
    assert summarise(Facts(), Facts())["resistance 10 s into step 1 [ohm cm2]"] == pytest.approx(100.0)


def test_side_reactions_are_told_where_they_passed_a_charge_and_the_interface_always() -> None:
    ramp = np.array([0.0, 0.5, 1.0])
    side = {"decomposed_coulomb": 0.054 * ramp, "burst_coulomb": 0.0 * ramp, "carbon_coulomb": 0.027 * ramp}
    state = {"film_thickness_mean": 5e-9 * ramp, "film_thickness_max": 8e-9 * ramp, "contact_remaining": 1 - 0.1 * ramp}
    more = side | state | {"throughput_coulomb": 10.8 * ramp, "interface_resistance_ohm_m2": 1e-2 * (1 + ramp)}
    told = summarise(Facts(), replace(Facts(), timeseries=series() | more))
    expected = {
        "interface resistance at the end [ohm cm2]": 200.0,
        "decomposed charge [% of throughput]": 0.5,  # of 10.8 C
        "charge oxidised on carbon [% of throughput]": 0.25,
        "decomposed charge [C/m2 of contact]": 27.0,
        "mean film thickness [nm]": 5.0,
        "largest film thickness [nm]": 8.0,
        "contact remaining [%]": 90.0,
    }
    usual = set(summarise(Facts(), Facts()))
    assert {name: told[name] for name in set(told) - usual} == pytest.approx(expected)
    resting = more | {"throughput_coulomb": 0.0 * ramp}  # self-discharge: no share of a charge that has not passed
    told = summarise(Facts(), replace(Facts(), timeseries=series() | resting))
    assert set(told) - usual == {name for name in expected if "throughput" not in name}
    off = more | {name: 0.0 * ramp for name in side}
    told = summarise(Facts(), replace(Facts(), timeseries=series() | off))
    assert set(told) - usual == {"interface resistance at the end [ohm cm2]"}


def test_the_stored_summary_gives_the_numbers_back() -> None:
    values = summarise(Facts(), Facts())
    assert stored_summary({"message": "done", "warnings": ["careful"], "flag": True, **values}) == values


def test_table_shows_every_number_with_its_status() -> None:
    text = io.StringIO()
    console = Console(file=text, width=110)
    console.print(table(summarise(Facts(), Facts()), Facts().stats, "salt_depleted", Path("outputs/a")))
    for shown in (
        "salt_depleted: outputs/a",
        "capacity [mAh/g AM]",
        "150",
        "75",
        "3.0e-11",
        "krylov iterations",
        "900",
    ):
        assert shown in text.getvalue()


def test_every_early_end_has_advice() -> None:
    early = {"voltage_limit", "salt_depleted", "salt_saturated", "newton_failed", "dt_min", "interrupted"}
    assert set(ADVICE) == early
