"""Where a state leaves the data of the parameters, or what the model can describe."""

from collections.abc import Iterator, Mapping

from simulator.model.build import Cell

#: A film is thin up to this share of the smallest voxel edge: half of the half voxel of transport on either side.
THIN = 0.25


def beyond_validity(cell: Cell, row: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """Key and text of a warning for each bound that the `row` of the time series passes."""
    time = f"At t = {row['test_time_second']:.4g} s"
    ranges = [(name, "sto", row["sto_min"], row["sto_max"]) for name in ("am.ocp", "am.D_s")]
    if cell.model.binary:
        ranges.append(("electrolyte.kappa", "c_e [mol/m3]", row["c_e_min"], row["c_e_max"]))
    for name, axis, low, high in ranges:
        valid = cell.value(name).valid
        if low < valid[0] or high > valid[1]:
            yield (
                name,
                f"{time} {axis} spans {low:.4g} to {high:.4g}, beyond the data of {name} "
                f"({valid[0]:.4g} to {valid[1]:.4g}): what follows is extrapolated.",
            )
    thickness, edge = row["film_thickness_max"], min(cell.electrode.voxel_size)
    if thickness > THIN * edge:
        yield (
            "film",
            f"{time} the film is up to {1e9 * thickness:.4g} nm thick, more than a quarter of the smallest voxel edge "
            f"({1e9 * edge:.4g} nm). The model takes it as thin: it fills no voxel and displaces no electrolyte. Check "
            "film.molar_volume and decomposition.j_ref (a finite decomposition.delta_star ends the growth), or compute "
            "on larger voxels (geometry.coarsen).",
        )
