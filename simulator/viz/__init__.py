"""Pictures of a run: curves, slices and a 3D view. PyVista is imported only when a 3D view is drawn."""

from simulator.viz.figures import plot_slices, plot_voltage
from simulator.viz.offscreen import can_render
from simulator.viz.scene import render_soc

__all__ = ["can_render", "plot_slices", "plot_voltage", "render_soc"]
