"""Outputs of a run as a function of parameters that JAX can differentiate backwards."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from simulator.errors import ConfigError, RunStopped, TransformError, did_you_mean
from simulator.materials import MaterialFunction, Parameter
from simulator.model.build import Cell, build_cell
from simulator.model.cell import C_E, STO, CellModel
from simulator.model.derivatives.checkpoints import Again
from simulator.model.derivatives.course import Numbers, Timetable, protocol_key
from simulator.model.derivatives.keeping import Keeping
from simulator.model.derivatives.outputs import Output, View
from simulator.model.derivatives.refinement import TOLERANCE
from simulator.model.derivatives.replay import Replay
from simulator.model.derivatives.reverse import Reverse
from simulator.model.derivatives.tangent import Direction, Forward
from simulator.model.moment import Stop
from simulator.model.options import SolverOptions
from simulator.model.run import Run
from simulator.model.simulate import check_arguments
from simulator.model.stages import Packing
from simulator.model.tape import Tape
from simulator.numerics.compilation import make_room_for_programs
from simulator.protocol import Protocol, Step

#: Parameters that change what a run is, beside the model that is differentiated: the limits that end it, what C means,
#: the layers of the grid, the zero of the voltage. They belong to the cell.
OF_THE_CELL = (
    "am.density",
    "am.sto_window",
    "anode.kind",
    "anode.potential",
    "electrolyte.c_e_max",
    "electrolyte.kind",
    "nominal_specific_capacity",
    "separator.layers",
    "separator.thickness",
    "voltage_limits",
)
#: Initial fields of the electrode that may be given: name -> (index, unit).
INITIAL = {"initial.sto": STO, "initial.c_e": C_E}


class Leaves(NamedTuple):
    """What a run is a function of: the float arrays of the `model` (others None), its `initial` fields (4, nz, ny, nx)
    and the `numbers` of the protocol that are varied, (m,)."""

    model: CellModel
    initial: Array
    numbers: Array


class Problem(NamedTuple):
    """Everything else: the `cell` as it was built, with the `fixed` part of its varied model, the `steps`, the keys of
    the varied `numbers` of the protocol, `outputs`, and how to solve."""

    cell: Cell
    fixed: CellModel
    steps: tuple[Step, ...]
    keys: tuple[tuple[int, str], ...]
    outputs: tuple[Output, ...]
    times: np.ndarray
    rtol: float
    options: SolverOptions
    adjoint_rtol: float

    def varied_cell(self, leaves: Leaves) -> Cell:
        """The cell with the arrays of `leaves`."""
        return dataclasses.replace(self.cell, model=eqx.combine(leaves.model, self.fixed))

    def varied_steps(self, values: Array) -> list[Step]:
        """The protocol with the numbers `values` (m,)."""
        steps = list(self.steps)
        for (position, name), value in zip(self.keys, np.asarray(values, float), strict=True):
            steps[position] = dataclasses.replace(steps[position], **{name: float(value)})  # type: ignore[type-var]
        return steps


def evaluate(
    params: Mapping[str, Any],
    cell: Cell,
    protocol: Protocol,
    outputs: Sequence[Output],
    *,
    rtol: float = 1e-3,
    options: SolverOptions | None = None,
    adjoint_rtol: float = TOLERANCE,
    tape_limit: float | None = None,
    tape_folder: str | Path | None = None,
    checkpoints: int | None = None,
) -> tuple[Array, ...]:
    """Run `protocol` on `cell` with `params` and return what `outputs` read off it, one array each.

    Differentiable with `jax.grad` and `jax.vjp`, outside of `jit`: the gradient of one number with respect to all
    parameters costs about as much as the run. It is the exact derivative of the run at fixed time steps: a step that
    ends on a cut-off keeps doing so, the steps towards a time that is met share the way to it.

    **Arguments:** `params`: by dotted name; parameters of the set (`kinetics.j0_ref`, `am.D_s`, `contact.fraction`,
    `sto_init`, also arrays by particle or face where the set takes them), coefficients of material functions
    (`am.ocp.values[3]`), `initial.sto` or `initial.c_e` (nz, ny, nx) of the electrode, and `protocol.N.FIELD`, a number
    of step N (from 1): `value`, `duration`, `voltage_limit`, `voltage`, `rate`, `current_limit`. Currents given in C
    mean the 1C current of `cell` as it was built. `rtol`, `options` as in `simulate`; `adjoint_rtol`: what each
    transposed problem may leave. `tape_limit` [B]: stages of the run that may be kept in memory, by default half of
    what is free. What does not fit goes into a temporary file in `tape_folder`; without one it is computed again on the
    way back, from so many `checkpoints`, by default as many as fit into half of the limit. The gradient is the same.

    **Errors:** ConfigError before anything is compiled; RunStopped if the run ends before an output can be read, or the
    disk is full; TransformError under `jit`, `vmap` or `jvp`.
    """
    _refuse_transforms(params)
    keeping = Keeping(tape_limit, None if tape_folder is None else Path(tape_folder), checkpoints)
    problem, leaves = prepare(
        params, cell, protocol, outputs, rtol=rtol, options=options or SolverOptions(), adjoint_rtol=adjoint_rtol
    )

    @jax.custom_vjp
    def run(leaves: Leaves) -> tuple[Array, ...]:
        return forward(leaves)[0]

    def forward(leaves: Leaves) -> tuple[tuple[Array, ...], Any]:
        _refuse_transforms(leaves)
        tape = record(problem, leaves, keeping)
        return read(problem, tape, leaves), (tape, leaves)

    def backward(kept: tuple[Tape, Leaves], bars: tuple[Array, ...]) -> tuple[Leaves]:
        _refuse_transforms(bars)
        return (pull_back(problem, *kept, bars),)

    run.defvjp(forward, backward)
    return run(leaves)


def prepare(
    params: Mapping[str, Any],
    cell: Cell,
    protocol: Protocol,
    outputs: Sequence[Output],
    *,
    rtol: float,
    options: SolverOptions,
    adjoint_rtol: float,
) -> tuple[Problem, Leaves]:
    """What `evaluate` solves, and the values that it is solved for; see there."""
    if options.cycle_jump:
        raise ConfigError(
            f"solver.cycle_jump = {options.cycle_jump}: cycles that were jumped over have no derivative. Set it to 0."
        )
    outputs = tuple(outputs)
    for output in outputs:
        if not isinstance(output, Output):
            raise ConfigError(f"outputs must be like VoltageAt([3600.0]) or CapacityAt(step=1), got {output!r}.")
    if not outputs:
        raise ConfigError("outputs is empty. Ask for something, for example VoltageAt([3600.0]).")
    asked = sorted({t for output in outputs for t in output.times() if t > 0.0})
    steps, times = check_arguments(cell, protocol, asked or None, None, rtol, 1)
    fixed, leaves, keys, functions = _leaves(cell, params, steps)
    # the range of their data is asked for during the run
    cell = dataclasses.replace(cell, parameters=cell.parameters | functions)
    return Problem(cell, fixed, tuple(steps), keys, outputs, times, rtol, options, adjoint_rtol), leaves


def sensitivities(
    params: Mapping[str, Any],
    cell: Cell,
    protocol: Protocol,
    outputs: Sequence[Output],
    directions: Sequence[Mapping[str, Any]] | None = None,
    *,
    rtol: float = 1e-3,
    options: SolverOptions | None = None,
    tangent_rtol: float = TOLERANCE,
    tape_limit: float | None = None,
    tape_folder: str | Path | None = None,
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Outputs of a run, and their derivatives along `directions`: (outputs, derivatives), of which each has the
    directions as its first axis.

    Forwards in time, all directions at once: for few parameters and many outputs, where `jax.grad` of `evaluate` is for
    many parameters and few outputs. The derivative is the same one.

    **Arguments:** as in `evaluate`; `directions`: what each of `params` changes by, {name: change} of the shape of the
    parameter; those that are left out stay. None: one direction for each of `params`, which must be numbers.

    **Errors:** as in `evaluate`; ConfigError for a direction of a name that is not among `params`.
    """
    options = options or SolverOptions()
    keeping = Keeping(tape_limit, None if tape_folder is None else Path(tape_folder))
    values = {name: jnp.asarray(value, float) for name, value in sorted(params.items())}
    chosen = _directions(values, directions)
    problem, leaves = prepare(values, cell, protocol, outputs, rtol=rtol, options=options, adjoint_rtol=tangent_rtol)
    tape = record(problem, leaves, keeping)

    def leaves_of(values: dict[str, Array]) -> Leaves:
        return _leaves(cell, values, problem.steps)[1]

    moved = [jax.jvp(leaves_of, (values,), (direction,))[1] for direction in chosen]
    return read(problem, tape, leaves), push_forward(problem, tape, leaves, moved)


def _directions(values: Mapping[str, Array], directions: Sequence[Mapping[str, Any]] | None) -> list[dict[str, Array]]:
    if directions is None:
        spread = [name for name, value in values.items() if value.shape != ()]
        if spread:
            raise ConfigError(
                f"{spread[0]} is an array: say along which directions, for example directions=[{{{spread[0]!r}: "
                "array_of_changes}]."
            )
        directions = [{name: 1.0} for name in values]
    if not directions:
        raise ConfigError("directions is empty. Give at least one, or None for one for each parameter.")
    found = []
    for direction in directions:
        for name, change in direction.items():
            if name not in values:
                raise ConfigError(f"Unknown parameter {name!r} of a direction." + did_you_mean(name, values))
            if np.shape(change) not in ((), values[name].shape):
                raise ConfigError(
                    f"The change of {name} has the shape {np.shape(change)}, the parameter {values[name].shape}."
                )
        found.append(
            {
                name: jnp.broadcast_to(jnp.asarray(direction.get(name, 0.0), float), value.shape)
                for name, value in values.items()
            }
        )
    return found


def _refuse_transforms(tree: Any) -> None:
    """TransformError where host code cannot follow; `jax.grad` and `jax.vjp` may pass."""
    for leaf in jax.tree.leaves(tree):
        kind = type(leaf).__name__ if isinstance(leaf, jax.core.Tracer) else "LinearizeTracer"
        if kind == "LinearizeTracer":
            continue
        if kind == "JVPTracer":
            raise TransformError("sim.evaluate has no jvp: for forward sensitivities use sim.sensitivities.")
        if kind == "BatchTracer":
            raise TransformError(
                "sim.evaluate cannot be mapped (vmap, jacrev, jacfwd): call it once for each case, and take a Jacobian "
                "with one jax.vjp a row or with sim.sensitivities."
            )
        raise TransformError(
            "sim.evaluate cannot be compiled (jit, scan, second derivatives): it runs on the host and compiles its "
            "own programs. Call it outside of jit; for several directions at once use sim.sensitivities."
        )


def _leaves(
    cell: Cell, params: Mapping[str, Any], steps: Sequence[Step]
) -> tuple[CellModel, Leaves, tuple[tuple[int, str], ...], dict[str, Parameter]]:
    """The fixed part of the model with these parameters, the leaves, the keys of their numbers of the protocol, and the
    material functions; may be traced."""
    overrides, fields, keys, values = {}, {}, [], []
    for name, value in params.items():
        if name.startswith("protocol."):
            keys.append(protocol_key(name, steps))
            values.append(jnp.asarray(value, float))
        elif name in INITIAL:
            fields[name] = jnp.asarray(value, float)
        elif name.startswith("initial."):
            raise ConfigError(f"Unknown initial field {name!r}." + did_you_mean(name, INITIAL))
        elif name in OF_THE_CELL:
            raise ConfigError(f"{name} belongs to the cell and cannot be varied here. Give it to build_cell.")
        else:
            overrides[name] = value
    varied = build_cell(cell.electrode, cell.parameters, overrides) if overrides else cell
    initial, layers = varied.initial_fields(), varied.model.grid.separator_layers
    for name, given in fields.items():
        inside = initial[INITIAL[name], layers:]
        if given.shape not in ((), inside.shape):
            raise ConfigError(f"{name} must be one number or of the shape {inside.shape}, got {given.shape}.")
        initial = initial.at[INITIAL[name], layers:].set(given)
    arrays, fixed = eqx.partition(varied.model, eqx.is_inexact_array)
    numbers = jnp.stack(values) if values else jnp.zeros(0)
    functions = {name: p for name, p in varied.parameters.items() if isinstance(p.value, MaterialFunction)}
    return fixed, Leaves(arrays, initial, numbers), tuple(keys), functions


def record(problem: Problem, leaves: Leaves, keeping: Keeping | None = None) -> Tape:
    """Run, and keep every stage, or what it is computed from again."""
    cell, steps = problem.varied_cell(leaves), problem.varied_steps(leaves.numbers)
    again, packing = Again(cell, steps, problem.options.newton()), Packing(leaves.initial, cell.model)
    looked_at = sorted({t for output in problem.outputs if output.fields for t in output.times()})
    kept = (keeping or Keeping()).stages(again, packing, looked_at)
    tape = Tape(leaves.initial, cell.initial_side(), cell.model, kept)
    make_room_for_programs()
    run = Run(
        cell,
        steps,
        problem.options,
        problem.rtol,
        problem.times,
        fields=(),
        snapshots=1,
        recorder=None,
        callback=None,
        fingerprint="",
        tape=tape,
    )
    try:
        run.march()
    except Stop as stop:
        tape.end(f"{stop.message} ({stop.status})")
    else:
        tape.end()
    if not tape.entries:
        raise RunStopped(f"The run ended before its first time step: {tape.ended}")
    return tape


def replay(problem: Problem, tape: Tape, leaves: Leaves) -> Tape:
    """Take the switches and time steps of `tape` again with other values."""
    steps, options = problem.varied_steps(leaves.numbers), problem.options.newton()
    return Replay(tape, problem.varied_cell(leaves), steps, leaves.initial, options).run()


def _needed(problem: Problem, tape: Tape) -> tuple[list[list[int]], dict[int, View]]:
    """The entries that each output looks at, and what it sees there."""
    try:
        moments = [output.moments(tape) for output in problem.outputs]
    except RunStopped as error:
        raise RunStopped(f"{error} {tape.ended}") from None
    looks = {k for output, ks in zip(problem.outputs, moments, strict=True) if output.fields for k in ks}
    views = {}
    for k in sorted({k for ks in moments for k in ks}):
        entry = tape.entries[k]
        u = side = None
        if k in looks:
            u, _, side = tape.stage(k)
        t, charge, passed, voltage, current = jax.tree.map(
            lambda x: jnp.asarray(x, float),
            (entry.t, entry.charge, entry.passed, entry.stage.voltage, entry.stage.current),
        )
        views[k] = View(t, charge, passed, voltage, current, u, side)
    return moments, views


def read(problem: Problem, tape: Tape, leaves: Leaves) -> tuple[Array, ...]:
    """The outputs, from a tape."""
    moments, views = _needed(problem, tape)
    return _look(problem, moments, views, leaves.model)


def pull_back(problem: Problem, tape: Tape, leaves: Leaves, bars: tuple[Array, ...]) -> Leaves:
    """Cotangents of the leaves from those of the outputs."""
    moments, views = _needed(problem, tape)

    def look(views: dict[int, View], arrays: CellModel) -> tuple[Array, ...]:
        return _look(problem, moments, views, arrays)

    _, back = jax.vjp(look, views, leaves.model)
    by_view, by_model = back(bars)
    timetable = Timetable(problem.varied_steps(leaves.numbers), problem.cell.basis)
    reverse = Reverse(
        tape, problem.varied_cell(leaves).model, timetable, problem.options.newton(), problem.adjoint_rtol
    )
    found = reverse.sweep(by_view)
    numbers: Numbers = found.numbers
    return Leaves(
        jax.tree.map(lambda a, b: a + b, by_model, found.cell),
        found.initial,
        jnp.asarray([numbers.get(key, 0.0) for key in problem.keys], float).reshape(len(problem.keys)),
    )


def push_forward(problem: Problem, tape: Tape, leaves: Leaves, moved: Sequence[Leaves]) -> tuple[Array, ...]:
    """Tangents (directions, ...) of the outputs from those of the leaves."""
    moments, views = _needed(problem, tape)
    timetable = Timetable(problem.varied_steps(leaves.numbers), problem.cell.basis)
    model = problem.varied_cell(leaves).model
    directions = [
        Direction(m.model, m.initial, dict(zip(problem.keys, map(float, m.numbers), strict=True))) for m in moved
    ]
    forward = Forward(tape, model, timetable, problem.options.newton(), problem.adjoint_rtol)
    found = forward.sweep(directions, views)

    def look(views: dict[int, View], arrays: CellModel) -> tuple[Array, ...]:
        return _look(problem, moments, views, arrays)

    rows = [jax.jvp(look, (views, leaves.model), (seen, m.model))[1] for seen, m in zip(found, moved, strict=True)]
    return tuple(map(jnp.stack, zip(*rows, strict=True)))


def _look(problem: Problem, moments: list[list[int]], views: dict[int, View], arrays: CellModel) -> tuple[Array, ...]:
    """What the outputs make of their moments; traced."""
    model = eqx.combine(arrays, problem.fixed)
    return tuple(
        output.read([views[k] for k in ks], model) for output, ks in zip(problem.outputs, moments, strict=True)
    )
