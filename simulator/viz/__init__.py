"""Pictures of a run: curves, slices, 3D views, movies. PyVista is imported only when a 3D view is drawn."""

from simulator.viz.comparison import plot_comparison
from simulator.viz.curves import plot_voltage
from simulator.viz.cycles import plot_cycles
from simulator.viz.figures import plot_slices
from simulator.viz.gitt import plot_gitt
from simulator.viz.inspection import plot_electrode, plot_values
from simulator.viz.losses import mean_losses, plot_losses
from simulator.viz.metrics import plot_metrics
from simulator.viz.movie import write_movie
from simulator.viz.nickel import plot_nickel_profile
from simulator.viz.offscreen import can_render
from simulator.viz.panels import Panel, plot_panels
from simulator.viz.particles import plot_particles
from simulator.viz.scene import render_field, render_soc
from simulator.viz.segmentation import plot_segmentation
from simulator.viz.sensitivity import plot_sensitivity_map
from simulator.viz.trust import plot_trust
from simulator.viz.web import write_page

__all__ = [
    "Panel",
    "can_render",
    "mean_losses",
    "plot_comparison",
    "plot_cycles",
    "plot_electrode",
    "plot_gitt",
    "plot_losses",
    "plot_metrics",
    "plot_nickel_profile",
    "plot_panels",
    "plot_particles",
    "plot_segmentation",
    "plot_sensitivity_map",
    "plot_slices",
    "plot_trust",
    "plot_values",
    "plot_voltage",
    "render_field",
    "render_soc",
    "write_movie",
    "write_page",
]
