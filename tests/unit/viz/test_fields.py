"""Every saved field gets a label with its unit, its own voxels and a colour range that holds for a movie."""

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.viz import fields, plot_slices
from simulator.viz.fields import asked_range, common_range, show_field

ALL = ("sto", "phi_e", "phi_s", "c_e", "j", "film")


@pytest.fixture
def full(make_run):
    return make_run(fields=ALL)


@pytest.mark.parametrize(
    ("name", "unit", "phases"),
    [
        ("sto", "State of charge", {1}),
        ("phi_e", "[mV]", {2}),
        ("phi_s", "[mV]", {1, 2}),
        ("c_e", "[mol m$^{-3}$]", {2}),
        ("j", "[A m$^{-2}$]", {1}),
        ("film", "Film thickness [m]", {1}),
    ],
)
def test_each_field_is_labelled_and_drawn_on_the_phases_that_carry_it(full, name, unit, phases):
    shown = show_field(full, name, -1)
    assert unit in shown.label
    assert set(np.unique(full.phase[shown.where])) == phases


def test_the_electronic_potential_is_shown_against_the_collector(full):
    # 2 mV less in each layer before the last; f4 fields near 3.9 V: 1e-3 mV
    np.testing.assert_allclose(show_field(full, "phi_s", -1).values[:, 0, 0], 2.0 * np.arange(-7.0, 1.0), atol=1e-3)


def test_voxels_without_an_interface_have_no_current_and_are_not_called_unconnected(full):
    shown = show_field(full, "j", -1)
    assert shown.has_blank
    assert shown.blank == fields.SOLID_GREY
    np.testing.assert_allclose(shown.values[3, 0, 6], 0.4, rtol=1e-6)
    assert np.isnan(shown.values[3, 0, 5])


def test_currents_of_both_signs_get_a_range_and_a_map_with_zero_in_the_middle(full):
    # at 0 s every current is negative, at 1200 s positive
    (low, high, _), cmap = common_range(full, "j", [0, 2])
    assert low == -high
    assert cmap == fields.SIGNED_MAP
    assert show_field(full, "j", 2).cmap == fields.CURRENT_MAP
    assert show_field(full, "j", 0).cmap == fields.CURRENT_MAP + "_r"


def test_one_range_holds_for_all_steps_of_a_movie(full):
    # SOC 0 at the start, 0.1 to 0.8 at the end; the ends lie on the rounding of 0.01
    (low, high, extend), _ = common_range(full, "sto", [0, 1, 2])
    assert (low, high, extend) == pytest.approx((0.0, 0.8, "neither"))
    first = show_field(full, "sto", 0, ((low, high, extend), "viridis"))
    assert first.limits == (low, high, extend)


def test_steps_without_any_value_do_not_end_a_movie(full, monkeypatch):
    read = type(full).field
    blank = np.full(full.phase.shape, np.nan, np.float32)
    monkeypatch.setattr(
        type(full), "field", lambda self, name, index=None: blank if index in (0, 2) else read(self, name, index)
    )
    assert common_range(full, "c_e", [0, 1])[0][:2] == pytest.approx((1000.0, 1070.0))
    with pytest.raises(ConfigError, match="not finite at any"):
        common_range(full, "c_e", [0, 2])


def test_a_range_that_is_asked_for_keeps_its_ends_and_announces_what_lies_beyond(full):
    assert asked_range(full, "sto", [2], 0.2, 0.9)[0] == (0.2, 0.9, "min")
    assert asked_range(full, "sto", [2], 0.0, 1.0)[0] == (0.0, 1.0, "neither")
    with pytest.raises(ConfigError, match="must increase"):
        asked_range(full, "sto", [2], 1.0, 0.0)


def test_all_fields_fit_one_sheet_with_one_title_for_each_step(full, tmp_path, drawn, picture):
    picture(plot_slices(full, tmp_path / "a.png", indices=[1, 2], fields=ALL))
    titles = [text.get_text() for text in drawn[0].texts]
    assert [title.split(",")[0] for title in titles] == ["t = 10.0 min", "t = 20.0 min"]
    bars = [ax.get_ylabel() for ax in drawn[0].axes if ax.get_ylabel() not in ("x [µm]", "")]
    assert len(bars) == 2 * len(ALL)
    greys = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert greys == ["pore", "other solid phase, or no live interface"]


def test_a_long_title_stays_on_a_narrow_sheet(make_run, tmp_path, drawn):
    plot_slices(make_run(status="salt_depleted"), tmp_path / "a.png", fields=["phi_e"])
    figure = drawn[0]
    figure.draw_without_rendering()
    assert figure.texts[0].get_window_extent().x1 <= figure.bbox.x1


def test_films_are_shown_in_nanometres_and_insides_of_particles_in_grey(make_run):
    run = make_run(fields=("sto", "film_thickness", "decomposed_charge"))
    film, charge = (show_field(run, name, 2) for name in ("film_thickness", "decomposed_charge"))
    assert film.label == "Film thickness [nm]" and "[C m$^{-2}$]" in charge.label
    # layers 0 to 7: 1 to 8 nm and 2 to 16 C/m2, of which the range leaves 1 % out at either end
    assert film.limits[:2] == pytest.approx((1.0, 8.0)) and charge.limits[:2] == pytest.approx((2.0, 16.0))
    for shown in (film, charge):
        assert shown.has_blank and shown.blank == fields.SOLID_GREY
        assert set(np.unique(run.phase[shown.where])) == {1}
