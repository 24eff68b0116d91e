"""`voxelyte run -m`: many runs through Hydra's sweeper and launchers; `voxelyte sweep`: their table and pictures."""

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from simulator.cli.console import EXIT_STOPPED, plain_warnings
from simulator.errors import ConfigError, did_you_mean
from simulator.interrupts import handled
from simulator.resources import conf_dir

if TYPE_CHECKING:
    from simulator.workflows.sweep_table import Record

EXIT_INTERRUPTED = 130
#: launchers of Hydra that come with the extra `cluster`
PLUGINS = ("joblib", "submitit_local", "submitit_slurm")
#: what tells a job which launch it belongs to, as JSON
LAUNCH = "VOXELYTE_SWEEP"
#: in the folder of a sweep: the workers of a launch shall end; locks of runs that are done one at a time, and of cores
STOP, SUSPECTS, SLOT = ".stop", ".suspects", ".slot"


def main(arguments: Sequence[str]) -> int:
    """Rebuild table and picture of the sweep named in `arguments`, or draw another one. Returns the exit code."""
    options = _parser().parse_intermixed_args(arguments)
    from simulator.workflows import sweep_table

    folder = options.folder.expanduser()
    if not any(folder.glob(f"*/{sweep_table.STATUS}")):
        raise ConfigError(f"{folder} holds no sweep. Give the folder that voxelyte run -m printed.")
    if options.parquet:
        sweep_table.write_parquet(folder, sweep_table.rows(sweep_table.read_records(folder))[1])
    if options.plot or options.x or options.y or options.output:
        picture = options.output or folder / "plot.png"
        sweep_table.plot(folder, picture.expanduser(), options.plot, options.x, options.y)
        _show(folder)
        print(picture)
    else:
        _show(folder)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="voxelyte sweep",
        description="Rebuild and show the table of a sweep (voxelyte run -m), and draw any of its numbers.",
        epilog="""examples:
  voxelyte sweep outputs/sweep-rtol-1a2b3c4d
  voxelyte sweep outputs/demo --plot utilisation --x geometry.porosity --y geometry.coverage --output map.pdf

A name may be shortened as long as it is clear. While runs are going on, the table shows how far they are.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of a sweep")
    parser.add_argument("--plot", metavar="NAME", help="scalar to draw (default: capacity and utilisation)")
    parser.add_argument("--x", metavar="KEY", help="swept setting to the right")
    parser.add_argument("--y", metavar="KEY", help="swept setting upwards")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the picture (default: plot.png in DIR)")
    parser.add_argument(
        "--parquet", action="store_true", help="write sweep.parquet, and keep it up to date from now on"
    )
    return parser


@dataclass(frozen=True)
class Launch:
    """What every job of a launch has to know."""

    id: str
    folder: str
    axes: tuple[str, ...]  # swept settings
    place: str  # of the jobs: here (in this process), workers (other processes of this machine), cluster
    base: str | None = None  # config.yaml to start from
    workers: int = 1  # at a time, on this machine
    suspects: tuple[str, ...] = ()  # the only runs to do, one at a time: one of them killed its worker
    main: int = 0  # process that waits for the workers: without it they end

    @property
    def stop(self) -> Path:
        """The file that tells the workers of this launch, and of no other one, to end."""
        return Path(self.folder) / f"{STOP}-{self.id}"

    @property
    def orphaned(self) -> bool:
        """Whether the program that started the workers is gone."""
        from simulator.workflows.sweep_table import exists

        return self.main > 0 and not exists(self.main)


def multirun(words: Sequence[str], base: Path | None = None) -> int:
    """Check all runs that `words` describe, start those that are not done, and show what became of them.

    Returns the exit code: 0 if all runs finished, 3 if any did not, 130 if interrupted. **Errors:** ConfigError before
    any run is started.
    """
    from rich.console import Console

    from simulator.config.compose import load_sweep
    from simulator.workflows import sweep, sweep_table

    own = [word for word in words if word.lstrip("+~").startswith(("hydra.", "hydra/"))]
    found = load_sweep([word for word in words if word not in own], base)
    place, workers = launcher_place(own)
    if place != "here":
        import jax

        jax.config.update("jax_platforms", "cpu")  # an accelerator is left to the jobs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # each run will say them
        for run in found.runs:
            sweep.check(run.config)
    config = found.runs[0].config
    given = [word.partition("=")[0].lstrip("+~").replace("cell.overrides.", "cell.", 1) for word in found.fixed]
    folder = sweep.sweep_folder(config, list(found.axes), given)
    runs = [(run.values, run.config) for run in found.runs]
    sweep.open_sweep(folder, config, list(found.axes), given, runs)
    names = [sweep_table.run_name(run.values) for run in found.runs]
    launch = Launch(
        id=uuid.uuid4().hex[:12],
        folder=str(folder.resolve()),
        axes=tuple(found.axes),
        place=place,
        base=None if base is None else str(base.resolve()),
        workers=workers,
        main=os.getpid(),
    )
    done = sweep.prepare(folder, runs, launch.id)
    todo = [run for run, over in zip(found.runs, done, strict=True) if not over]
    notes = Console(stderr=True, markup=False, highlight=False)
    said = sweep.estimate_text(sweep_table.read_records(folder), [run.config for run in todo])
    notes.print(
        f"{len(names)} runs, {sum(done)} done before -> {folder}" + (f"; {said}" if said else ""), soft_wrap=True
    )
    stopped = False
    if todo:
        kept = {key: [t for t in texts if any(_has(run, key, t) for run in todo)] for key, texts in found.axes.items()}
        stopped = _start(found.words(kept), own, launch, notes)
    records = _show(folder, names)
    if stopped:
        notes.print("Interrupted. The same command goes on.")
        return EXIT_INTERRUPTED
    good = all(record.status == "finished" and not record.reason for record in records)
    return 0 if good else EXIT_STOPPED


def _show(folder: Path, names: Sequence[str] | None = None) -> "list[Record]":
    """Refresh and print the table of a sweep, of the runs `names` alone if given. Returns their records."""
    from rich.console import Console

    from simulator.workflows import sweep_table

    records = [r for r in sweep_table.update(folder) if names is None or r.name in names]
    console = Console()
    console.print(sweep_table.table(records, f"{sweep_table.counts(records)}: {folder}"))
    known = (folder / name for name in (sweep_table.TABLE, sweep_table.PARQUET, sweep_table.FIGURE))
    for text in (*sweep_table.reasons(records), *(str(file) for file in known if file.exists())):
        console.print(text, soft_wrap=True, markup=False, highlight=False)
    return records


def _has(run: Any, key: str, text: str) -> bool:
    from simulator.workflows.sweep_table import value_text

    return value_text(run.values[key]) == text


def launcher_place(words: Sequence[str]) -> tuple[str, int]:
    """Where the launcher chosen by the `hydra` words runs its jobs, and how many at a time on this machine.

    **Errors:** ConfigError for an unknown launcher, one that is not installed, or a wrong option of it.
    """
    from hydra import compose
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from simulator.config.compose import composing

    chosen = next((w.partition("=")[2] for w in words if w.startswith("hydra/launcher=")), "basic")
    presets = sorted(path.stem for path in (conf_dir() / "hydra" / "launcher").glob("*.yaml"))
    if chosen not in (known := ["basic", *PLUGINS, *presets]):
        raise ConfigError(f"Unknown launcher {chosen!r}.{did_you_mean(chosen, known)}")
    try:
        with composing():
            settings = compose("config", overrides=list(words), return_hydra_config=True).hydra.launcher
            target, workers = settings._target_, settings.get("n_jobs", 1)
    except (HydraException, OmegaConfBaseException) as error:
        if chosen != "basic" and not _installed():
            raise ConfigError(f"hydra/launcher={chosen} needs an extra: pip install 'voxelyte[cluster]'.") from error
        raise ConfigError(f"{' '.join(words)}: {str(error.__cause__ or error).splitlines()[0]}") from error
    if "submitit" in target:
        return ("cluster", 1) if target.endswith("SlurmLauncher") else ("workers", 1)
    workers = max(1, workers + 1 + (os.cpu_count() or 1)) if workers < 0 else workers
    return ("workers", workers) if "joblib" in target and workers > 1 else ("here", 1)


def _installed() -> bool:
    from importlib.util import find_spec

    return all(find_spec(name) for name in ("joblib", "submitit", "hydra_plugins"))


def _start(words: Sequence[str], own: Sequence[str], launch: Launch, notes: Any) -> bool:
    """Call Hydra until every run has been tried. Returns whether it was interrupted.

    A worker that is killed takes its neighbours with it. Who did it is found by repeating those that ran at that
    moment one at a time.
    """
    from simulator.workflows.sweep import mark_dead, mark_stopped, running

    folder = Path(launch.folder)
    with _stop_workers(launch, notes) as stopped:
        while True:
            try:
                _call_hydra([*words, *own], launch)
                broken = None
            except KeyboardInterrupt:
                if launch.place == "cluster":
                    notes.print("The jobs in the queue go on: squeue shows them, scancel ends them.")
                elif launch.place == "workers":
                    mark_stopped(folder, launch.id)
                return True
            except Exception as error:  # of the launcher: what a run does wrong is in its record
                broken = error
            if launch.place == "cluster":
                wait_for_cluster(folder)
            if stopped():
                mark_stopped(folder, launch.id)
                return True
            left = running(folder, launch.id, wait=launch.place == "workers")
            if broken is None and launch.suspects:  # they are done, now the others
                launch = Launch(**{**vars(launch), "suspects": ()})
                continue
            if broken is None or launch.place != "workers" or not left:
                mark_dead(folder, launch.id)
                if broken is not None and not left:
                    raise ConfigError(f"The launcher failed: {_first_line(broken)}") from broken
                return False
            notes.print(f"A worker was killed ({_first_line(broken)}).", soft_wrap=True)
            if launch.suspects or len(left) == 1:
                mark_dead(folder, launch.id, left)
                left = [name for name in launch.suspects if name not in left]
            else:
                mark_dead(folder, launch.id, left, "interrupted")  # all but one of them only shared its fate
            launch = Launch(**{**vars(launch), "suspects": tuple(left)})


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _call_hydra(words: Sequence[str], launch: Launch) -> None:
    """Hydra's own multirun, as on its command line. **Errors:** those of the launcher."""
    import hydra

    from simulator.config.compose import quoted

    fixed = [
        f"hydra.sweep.dir={quoted(launch.folder)}",
        "hydra.sweep.subdir=.",
        "hydra.output_subdir=null",
        "hydra.job.name=voxelyte",
        "hydra/job_logging=none",
        "hydra/hydra_logging=none",
        f"+hydra.job.env_set.{LAUNCH}={quoted(json.dumps(vars(launch), ensure_ascii=False))}",
    ]
    kept = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = ["voxelyte", "--multirun", *words, *fixed]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors as exceptions, and not as text and an exit
    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(job)()
    finally:
        sys.argv = kept[0]
        if kept[1] is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = kept[1]


def job(_: Any) -> str:
    """One run of a sweep, called by Hydra's launcher wherever that may be. Returns the status of the run.

    **Errors:** KeyboardInterrupt if a signal asked the run to end, in time or not, in the process that started the
    sweep: that ends all. A run that was interrupted by something else (too many steps, a full disk) does not.
    """
    from hydra.core.hydra_config import HydraConfig

    from simulator.config.compose import load, swept_values
    from simulator.workflows import sweep, sweep_table

    told = json.loads(os.environ[LAUNCH])
    launch = Launch(**{**told, "axes": tuple(told["axes"]), "suspects": tuple(told["suspects"])})
    folder = Path(launch.folder)
    words = list(HydraConfig.get().overrides.task)
    values = swept_values(words, launch.axes)
    name = sweep_table.run_name(values)
    if (launch.suspects and name not in launch.suspects) or launch.stop.exists():
        return sweep_table.WAITING
    if launch.place == "workers" and launch.orphaned:
        return sweep_table.WAITING
    config = load(words, None if launch.base is None else Path(launch.base))
    record = None
    with contextlib.ExitStack() as stack:
        stack.enter_context(plain_warnings())
        if launch.suspects:
            stack.enter_context(_one_at_a_time(folder / SUSPECTS))
        if launch.place == "workers":
            _take_cores(folder, launch.workers)
            stack.enter_context(_watching(launch))
        if launch.place != "here":
            (folder / name).mkdir(parents=True, exist_ok=True)
            log = stack.enter_context((folder / name / sweep.LOG).open("a", encoding="utf-8", buffering=1))
            stack.enter_context(contextlib.redirect_stdout(log))
            stack.enter_context(contextlib.redirect_stderr(log))
        else:
            print(f"\n{name}", file=sys.stderr)
        record = sweep.perform(config, folder, values, launch.id)
    if record is None:  # a worker that was stopped at once
        return "interrupted"
    reason = f" ({record.reason})" if record.reason else ""
    all_runs = sweep_table.read_records(folder)
    over = f"{sum(other.over for other in all_runs)} of {len(all_runs)} ended"
    print(f"{name}: {record.status}{reason}, {record.wall_s:.0f} s; {over}", file=sys.stderr)
    if record.asked and launch.place == "here":
        raise KeyboardInterrupt
    return record.status


@contextlib.contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    import fcntl

    with path.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


_held: list[Any] = []  # the slot of this worker, until its process ends


def _take_cores(folder: Path, workers: int) -> None:
    """Give this worker cores of its own, once: the threads of several JAX programs would get in each other's way."""
    import fcntl

    if _held or workers < 2 or not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))
    for slot in range(workers):
        stream = (folder / f"{SLOT}{slot}").open("a")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            stream.close()
            continue
        _held.append(stream)
        os.sched_setaffinity(0, cores[slot::workers] or [cores[slot % len(cores)]])
        return


@contextlib.contextmanager
def _watching(launch: Launch) -> Iterator[None]:
    """Interrupt this process, as Ctrl-C does, when the launch shall stop or the program that started it is gone.

    Ctrl-C itself goes to that program alone: it would otherwise arrive here twice, and that means at once.
    """
    with contextlib.suppress(OSError):
        os.setsid()
    ended, parent = threading.Event(), os.getppid()

    def watch() -> None:
        while not ended.wait(0.3):
            if launch.stop.exists() or os.getppid() != parent or launch.orphaned:
                os.kill(os.getpid(), signal.SIGINT)
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    except KeyboardInterrupt:
        pass  # the record tells it
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def _stop_workers(launch: Launch, notes: Any) -> Iterator[Callable[[], bool]]:
    """Ctrl-C (or SIGTERM) asks the workers of this machine to end after their present time step, the second at once.

    Yields a function that tells whether it was asked for.
    """
    asked: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        launch.stop.touch()
        notes.print("Stopping all runs after their present time step; once more to stop at once.")

    try:
        with handled(handle, (signal.SIGINT, signal.SIGTERM) if launch.place == "workers" else ()):
            yield lambda: bool(asked)
    finally:
        launch.stop.unlink(missing_ok=True)


def wait_for_cluster(folder: Path, seconds: float = 5.0) -> None:
    """Wait until Slurm has no job left that this sweep submitted: a launcher gives up at the first that was killed."""
    import subprocess

    numbers = {path.name.partition("_")[0] for path in (folder / ".submitit").glob("*") if path.name[:1].isdigit()}
    while numbers:
        # asked one by one: a job that Slurm has forgotten is an error, and would hide the others
        answers = {
            n: subprocess.run(["squeue", "-h", "-j", n], capture_output=True, text=True, check=False) for n in numbers
        }
        numbers = {n for n, answer in answers.items() if answer.returncode == 0 and answer.stdout.strip()}
        if numbers:
            time.sleep(seconds)
