"""Pictures of a finished (or running) run: stills, movies and interactive pages, by the extension of the output."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from simulator.errors import ConfigError
from simulator.io import RunResult, read_result, write_table
from simulator.units import parse_quantity
from simulator.workflows.derived import plots
from simulator.workflows.folder import RESULT
from simulator.workflows.nickel import nickel_profile

if TYPE_CHECKING:
    from simulator.viz.fields import Limits

MOVIES, PAGES = (".gif", ".mp4"), (".html",)
STILLS = (".png", ".pdf", ".svg", ".jpg", ".tif")
_SLOWEST, _FASTEST = 0.1, 60.0  # [frames per second]


@dataclass(frozen=True)
class ViewOptions:
    """What to draw. `field` None: the usual set of pictures, or SOC for an `output`."""

    field: str | None = None
    time: str | float | None = None  # seconds, or a text with a unit
    step: int | None = None  # saved step, negative from the end
    output: str | None = None
    fps: float | None = None
    frames: int | None = None  # at most so many saved steps
    limits: tuple[float, float] | None = None  # colour range, in the unit of the colour bar
    slices: bool = False  # instead of the 3D view
    nickel: str | None = None  # particle whose Ni4+/Ni3+ profile is drawn: its number, or "largest"
    direction: str | None = None  # of that profile: "contact", "z", "y" or "x"
    length: str | None = None  # of that profile
    regions: int | None = None  # of that profile
    spot: str | None = None  # of the microscope


def find_result(path: str | os.PathLike[str]) -> Path:
    """The result file that `path` means: itself, or the one in a run folder. **Errors:** ConfigError."""
    path = Path(path).expanduser()
    if not path.is_dir():
        return path
    if (path / RESULT).is_file():
        return path / RESULT
    found = sorted(path.glob("*.vtkhdf"))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(file.name for file in found)
        raise ConfigError(f"The folder '{path}' holds several result files: {names}. Give the path of one.")
    below = sorted(str(file.parent) for file in path.glob(f"*/{RESULT}"))
    cure = f"Runs below it: {', '.join(below[:5])}." if below else "Give the folder of a run, or its result file."
    raise ConfigError(f"The folder '{path}' holds no result file ({RESULT}). {cure}")


def open_run(path: str | os.PathLike[str]) -> RunResult:
    """`read_result` of a result file or run folder. **Errors:** ConfigError."""
    return read_result(find_result(path))


def run_name(run: RunResult) -> str:
    """What a run is called in titles: its folder, or its file if that has a name of its own."""
    folder = run.path.resolve().parent.name
    return folder if run.path.name == RESULT and folder else run.path.stem


def view(path: str | os.PathLike[str], options: ViewOptions, console: Console | None = None) -> list[Path]:
    """Draw what `options` ask for and return the files; their paths go to `console` (stdout by default).

    Without an output the pictures are written beside the result file: voltage, losses, particles, SOC in 3D,
    slices, slices of all fields, cycles and titration if the run has them; or with a field, its 3D view and slices; or
    with a particle for `nickel`, its profile as picture and table.

    **Errors:** ConfigError for options that contradict each other or the run, before anything is drawn.
    """
    console = console or Console()
    notes = Console(stderr=True, markup=False, highlight=False)
    _check_options(options)
    run = open_run(path)
    step = _chosen_step(run, options)
    if options.nickel is not None:
        drawn = _draw_nickel(run, options, step)
    elif options.output is None:
        drawn = _draw_set(run, options, step, notes)
    else:
        drawn = [_draw_output(run, options, step, Path(options.output).expanduser())]
    for file in drawn:
        console.print(str(file), soft_wrap=True, markup=False, highlight=False)
    return drawn


def _check_options(options: ViewOptions) -> None:
    suffix = "" if options.output is None else Path(options.output).suffix.lower()
    known = (*STILLS, *MOVIES, *PAGES)
    if options.output is not None:
        if suffix not in known:
            raise ConfigError(f"--output {options.output}: the extension must be one of {', '.join(known)}.")
        if not Path(options.output).expanduser().resolve().parent.is_dir():
            raise ConfigError(f"--output {options.output}: the folder does not exist. Create it first.")
    moving = suffix in MOVIES
    if options.nickel is None:
        for name in ("direction", "length", "regions", "spot"):
            if getattr(options, name) is not None:
                raise ConfigError(f"--{name} belongs to a profile of nickel: add --nickel PARTICLE.")
    elif options.field is not None or options.limits is not None or options.slices:
        raise ConfigError("--nickel draws a profile of its own: leave --field, --range and --slices out.")
    elif options.output is not None and suffix not in STILLS:
        raise ConfigError(f"--output {options.output}: a profile is a picture: {', '.join(STILLS)}.")
    if options.fps is not None:
        if not moving:
            raise ConfigError(f"--fps {options.fps:g} needs a movie: give --output FILE.gif or FILE.mp4.")
        if not _SLOWEST <= options.fps <= _FASTEST:
            raise ConfigError(f"--fps must lie in [{_SLOWEST:g}, {_FASTEST:g}] frames per second, got {options.fps:g}.")
    if options.frames is not None:
        if not moving and suffix not in PAGES:
            raise ConfigError(
                f"--frames {options.frames} needs a movie or a page: give --output FILE.gif, .mp4 or .html."
            )
        if options.frames < 2:
            raise ConfigError(f"--frames must be at least 2, got {options.frames}.")
    if options.time is not None and options.step is not None:
        raise ConfigError("Give --time or --step, not both.")
    if moving and (options.time is not None or options.step is not None):
        raise ConfigError("A movie shows the whole run: leave --time and --step out, or write a .png.")
    if options.slices and suffix in PAGES:
        raise ConfigError("--slices is for pictures and movies; a page shows 3D and has its own cuts.")


def _chosen_step(run: RunResult, options: ViewOptions) -> int | None:
    """Saved step that the user asks for, or None."""
    if options.time is not None:
        return run.step_index(parse_quantity(options.time, "time", "--time"))
    if options.step is None:
        return None
    count = run.field_times.size
    if not -count <= options.step < count:
        raise ConfigError(
            f"--step {options.step} is not in the run: it holds {count} saved steps"
            + (f", 0 to {count - 1} (or -1 for the last)." if count else ".")
        )
    return options.step % count


def _draw_nickel(run: RunResult, options: ViewOptions, step: int | None) -> list[Path]:
    """Profile of Ni4+/Ni3+ in one particle, as a picture and as a table of the same name."""
    from simulator.viz import plot_nickel_profile

    name = options.nickel or ""
    profile = nickel_profile(
        run,
        int(name) if name.isdecimal() else name,
        t=None if step is None else float(run.field_times[step]),
        direction=options.direction or "contact",
        length=options.length,
        regions=4 if options.regions is None else options.regions,
        spot=options.spot or 0.0,
    )
    picture = run.path.parent / f"nickel_{profile.particle}.png"
    if options.output is not None:
        picture = Path(options.output).expanduser()
    drawn = plot_nickel_profile(profile, picture)
    return [drawn, write_table(picture.with_suffix(".csv"), profile.columns())]


def _draw_output(run: RunResult, options: ViewOptions, step: int | None, output: Path) -> Path:
    from simulator.viz import fields, movie, plot_slices, render_field, web

    field, suffix = options.field or "sto", output.suffix.lower()
    fields.check_fields(run, field)
    if suffix in STILLS:
        index = run.field_times.size - 1 if step is None else step
        colours = _colours(run, field, [index], options)
        if options.slices:
            return plot_slices(run, output, indices=[index], fields=[field], colours=colours)
        return render_field(run, output, field, index, colours=colours)
    steps = movie.spread(run.field_times.size, options.frames) if step is None else [step]
    colours = _colours(run, field, steps, options)
    if suffix in PAGES:
        return web.write_page(run, output, field, steps=steps, colours=colours, title=run_name(run))
    return movie.write_movie(
        run, output, field, steps=steps, fps=options.fps or 8.0, colours=colours, slices=options.slices
    )


def _colours(run: RunResult, field: str, steps: list[int], options: ViewOptions) -> "tuple[Limits, str] | None":
    from simulator.viz import fields

    return None if options.limits is None else fields.asked_range(run, field, steps, *options.limits)


def _draw_set(run: RunResult, options: ViewOptions, step: int | None, notes: Console) -> list[Path]:
    """The usual pictures, beside the result file. What cannot be drawn is said and left out."""
    from simulator import viz
    from simulator.viz.fields import check_fields

    folder = run.path.parent
    indices = None if step is None else [step]
    last = -1 if step is None else step
    draw: dict[str, Callable[[Path], Path]]
    if options.field is not None:
        name = options.field
        check_fields(run, name)
        shown = list(range(run.field_times.size)) if indices is None else indices
        colours = _colours(run, name, shown, options)
        draw = {
            f"{name}_slices.png": lambda file: viz.plot_slices(
                run, file, indices=indices, fields=[name], colours=colours
            )
        }
        if not options.slices:
            draw[f"{name}_3d.png"] = lambda file: viz.render_field(run, file, name, last, colours=colours)
    else:
        if options.limits is not None:
            raise ConfigError("--range needs to know the field: add --field sto, for example.")
        draw = {
            "voltage.png": lambda file: viz.plot_voltage(run, file),
            "losses.png": lambda file: viz.plot_losses(run, file),
            "particles.png": lambda file: viz.plot_particles(run, file),
            "soc_3d.png": lambda file: viz.render_soc(run, file, last),
            "slices.png": lambda file: viz.plot_slices(run, file, indices=indices),
            "fields.png": lambda file: viz.plot_slices(run, file, indices=[last], fields=sorted_fields(run)),
            **{f"{name}.png": plot for name, plot in plots(run).items()},
        }
        if options.slices:
            del draw["soc_3d.png"]
    drawn = []
    for file, plot in draw.items():
        try:
            drawn.append(plot(folder / file))
        except ConfigError as error:
            notes.print(f"{file} was not drawn: {error}", soft_wrap=True)
        except PermissionError as error:
            raise ConfigError(f"Cannot write to the run's folder '{folder}'. Give --output FILE elsewhere.") from error
    if not drawn:
        raise ConfigError(f"Nothing could be drawn of '{run.path}'.")
    return drawn


def sorted_fields(run: RunResult) -> list[str]:
    """Saved fields: particles first, then potentials, salt, interface, and what else there is."""
    usual = ["sto", "phi_e", "phi_s", "c_e", "j", "film_thickness", "decomposed_charge"]
    return [name for name in usual if name in run.field_specs] + sorted(set(run.field_specs) - set(usual))
