"""`voxelyte view`: pictures, movies and interactive pages of a run."""

import argparse
from collections.abc import Sequence

from simulator.cli.console import plain_warnings


def main(arguments: Sequence[str]) -> int:
    """Draw the run named in `arguments`. Returns the exit code."""
    options = _parser().parse_intermixed_args(arguments)
    from simulator.workflows.view import ViewOptions, view  # reads HDF5, which --help should not wait for

    with plain_warnings():
        view(
            options.path,
            ViewOptions(
                field="sto" if options.field == "soc" else options.field,  # pictures show it as SOC
                time=options.time,
                step=options.step,
                output=options.output,
                fps=options.fps,
                frames=options.frames,
                limits=None if options.range is None else (options.range[0], options.range[1]),
                slices=options.slices,
                nickel=options.nickel,
                direction=options.direction,
                length=options.length,
                regions=options.regions,
                spot=options.spot,
            ),
        )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="voxelyte view",
        description="Draw a run: without options the usual pictures, written beside its result file.",
        epilog="""examples:
  voxelyte view outputs/demo                            all pictures, paths are printed
  voxelyte view outputs/demo --field phi_e --time 1.5h  3D view and slices of one field
  voxelyte view outputs/demo --output soc.gif           movie over the saved steps (.mp4: extra 'movie')
  voxelyte view outputs/demo --output soc.html          page to turn, zoom, cut and play; opens offline
  voxelyte view outputs/demo --nickel largest --time 5h Ni4+/Ni3+ along a line through a particle of NMC811

Fields: sto (drawn as state of charge), phi_s, phi_e, c_e, j, film_thickness, decomposed_charge, as far as the
run saved them. Movies and pages keep one colour range for all steps.
Without OpenGL, slices stand in for 3D pictures; pages need none.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("path", metavar="PATH", help="folder of a run, or its .vtkhdf file")
    parser.add_argument("--field", metavar="NAME", help="field to draw (default for an output: sto)")
    when = parser.add_mutually_exclusive_group()
    when.add_argument("--time", metavar="TIME", help="the saved step nearest to it: 5400, 90min, 1.5h")
    when.add_argument("--step", type=int, metavar="N", help="number of the saved step, -1 the last")
    parser.add_argument("--output", metavar="FILE", help="FILE.png .pdf .svg: picture; .gif .mp4: movie; .html: page")
    parser.add_argument("--slices", action="store_true", help="slices instead of the 3D view")
    parser.add_argument(
        "--range", nargs=2, type=float, metavar=("LOW", "HIGH"), help="ends of the colour bar, in its unit"
    )
    parser.add_argument("--fps", type=float, metavar="F", help="frames per second of a movie (default 8)")
    parser.add_argument("--frames", type=int, metavar="N", help="at most N of the saved steps, evenly spread")
    microscope = parser.add_argument_group("Ni4+/Ni3+ of NMC811, as an X-ray microscope shows it")
    microscope.add_argument("--nickel", metavar="PARTICLE", help="number of the particle, or largest")
    microscope.add_argument(
        "--direction",
        choices=("contact", "z", "y", "x"),
        help="of the line through its centre (default contact: from the side that reacts)",
    )
    microscope.add_argument("--length", metavar="LENGTH", help="of the line, 2.5um for example (default: the particle)")
    microscope.add_argument("--regions", type=int, metavar="N", help="on the line (default 4)")
    microscope.add_argument("--spot", metavar="SIZE", help="of the X-ray spot, 50nm for example (default: no blur)")
    return parser
