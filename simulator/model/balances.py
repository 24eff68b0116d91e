"""Whether charge, lithium and salt are where they should be."""

from simulator.model.interface import side_imbalance
from simulator.model.moment import Moment
from simulator.model.observe import Inventory, Observer


def imbalances(observer: Observer, moment: Moment, start: Inventory) -> dict[str, float]:
    """Relative imbalances since the `start`: inventories from the fields against integrals of the stage fluxes."""
    cell, passed = observer.cell, moment.passed
    held, oxidised = observer.inventory(moment.state), observer.omega * passed.oxidation
    reference = max(moment.throughput, 1e-3 * cell.theoretical_capacity)
    through = passed.reaction + passed.carbon
    charge = max(abs(through - moment.charge), abs(through + passed.anode))
    return {
        "charge": charge / reference,
        "lithium": abs(held.lithium - start.lithium + passed.lithium) / reference,
        "salt": abs(held.salt - start.salt + oxidised) / reference,
        "side": side_imbalance(moment.state.side, passed, cell.model),
    }
