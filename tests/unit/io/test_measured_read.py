"""Files of cyclers: headings, units, rows written twice, and what is refused."""

import builtins
import sys
import types
import zlib
from pathlib import Path

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.io.measured import read_curve

DATA = Path(__file__).parent / "data"
#: rest, charge, rest: time [s], voltage [V], current [A]
ROWS = [(0, 3.6, 0), (60, 3.65, 0.002), (120, 3.7, 0.002), (180, 3.75, 0.002), (240, 3.74, 0)]


@pytest.fixture
def written(tmp_path):
    """Function that writes a file and returns its path."""

    def write(text, name="cell.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_text(text, encoding=encoding)
        return path

    return write


def lines(head, rows=ROWS, scale=(1, 1, 1), sep=","):
    body = [sep.join(f"{v * s:.9g}" for v, s in zip(row, scale, strict=True)) for row in rows]
    return "\n".join([head, *body]) + "\n"


def assert_is_the_curve(curve, factor=1.0, unit="A"):
    # texts carry nine digits
    time, voltage, current = np.array(ROWS, dtype=float).T
    np.testing.assert_allclose(curve.time, time, rtol=1e-8)
    np.testing.assert_allclose(curve.voltage, voltage, rtol=1e-8)
    np.testing.assert_allclose(curve.current, current * factor, rtol=1e-8)
    assert curve.current_unit == unit


@pytest.mark.parametrize(
    ("head", "scale"),
    [
        ("Test Time / s,Voltage / V,Current / A", (1, 1, 1)),
        ("test_time_second,voltage_volt,current_ampere", (1, 1, 1)),
        ("Total Time(min),Voltage(V),Current(mA)", (1 / 60, 1, 1e3)),
        ("Test_Time(s),Voltage(V),Current(A)", (1, 1, 1)),
        ("Test Time (sec),Volts,Amps", (1, 1, 1)),
        ("~Time[h],U[V],I[A]", (1 / 3600, 1, 1)),
        ("Time [s],Voltage [V],Current [A]", (1, 1, 1)),
        ("time_s,voltage_mV,current_uA", (1, 1e3, 1e6)),
        ("time/s,Ecell/V,<I>/mA", (1, 1, 1e3)),
        ("Test Time / ms,Cell voltage (V),I {µA}", (1e3, 1, 1e6)),
    ],
)
def test_headings_of_cyclers_and_their_units_are_understood(written, head, scale):
    assert_is_the_curve(read_curve(written(lines(head, scale=scale))))


@pytest.mark.parametrize(
    ("heading", "factor", "unit"),
    [
        ("Current / mA cm-2", 10, "A/m2"),
        ("current_A_m-2", 1, "A/m2"),
        ("current_mA_cm2", 10, "A/m2"),
        ("Specific current [A/g]", 1e3, "mA/g"),
        ("Current / C", 1, "C"),
        ("C-rate (C)", 1, "C"),
    ],
)
def test_currents_per_area_mass_or_capacity_keep_their_kind(written, heading, factor, unit):
    assert_is_the_curve(read_curve(written(lines(f"Time / s,Voltage / V,{heading}"))), factor, unit)


@pytest.mark.parametrize(("sep", "decimal"), [("\t", ","), (";", ","), (";", "."), ("\t", ".")])
def test_other_separators_and_decimal_commas_are_read_below_lines_about_the_test(written, sep, decimal):
    head = sep.join(["Time / s", "Voltage / V", "Current / A"])
    text = f"Today's Date{sep}07/11/2025\nFilename: x.042\n\n" + lines(head, sep=sep).replace(".", decimal)
    assert_is_the_curve(read_curve(written(text, encoding="latin-1")))
    assert_is_the_curve(read_curve(written(text, encoding="utf-16")))


@pytest.mark.parametrize("name", ["Time", "Total Time"])
@pytest.mark.parametrize("clock", ["0:{:02}:00", "00:{:02}:00.0", "0d 00:{:02}:00.00", "0-0:{:02}:00"])
def test_times_as_clocks_are_seconds(written, clock, name):
    rows = [f"{clock.format(k)},{v},{i}" for k, (_, v, i) in enumerate(ROWS)]
    assert_is_the_curve(read_curve(written("\n".join([f"{name},Voltage(V),Current(A)", *rows]))))


def test_days_and_hours_count_in_clocks(written):
    rows = [f"{t},3.{k},1" for k, t in enumerate(["1d 02:03:04.5", "27:00:00", "30:00:01"])]
    curve = read_curve(written("\n".join(["Total Time,Voltage(V),Current(A)", *rows])))
    assert curve.time.tolist() == [86400 + 7384.5, 97200, 108001]


def test_time_since_the_begin_of_the_test_wins_over_that_of_the_step(written):
    text = (
        "Time,Total Time,Voltage(V),Current(A)\n0:00:00,0:00:00,3.6,1\n0:00:00,0:01:00,3.7,1\n0:00:01,0:02:00,3.8,1\n"
    )
    assert read_curve(written(text)).time.tolist() == [0, 60, 120]


def test_temperature_and_step_come_along(written):
    text = "Test Time / s,Voltage / V,Current / A,Step Index / 1,Ambient Temperature / degC\n"
    curve = read_curve(written(text + "0,3.5,1,7,25\n1,3.6,1,7,26\n2,3.7,1,8,27\n"))
    np.testing.assert_allclose(curve.temperature, [298.15, 299.15, 300.15], rtol=1e-14)
    assert curve.step.tolist() == [7, 7, 8]
    named = read_curve(written("time_s,voltage_V,current_A,step\n0,3.5,1,a\n1,3.6,1,b\n2,3.7,1,b\n"))
    assert named.step.tolist() == [0, 1, 1] and "numbered by the texts under 'step'" in named.notes[0]


def test_a_temperature_that_is_not_all_there_is_left_out_unless_it_was_asked_for(written):
    path = written("time_s,voltage_V,current_A,T_C,temperature_C\n0,3.5,1,1,25\n1,3.6,1,1,\n2,3.7,1,1,27\n")
    curve = read_curve(path)
    assert curve.temperature is None and "line 3: the temperature" in curve.notes[0]
    with pytest.raises(ConfigError, match="line 3: the temperature under 'temperature_C' is missing"):
        read_curve(path, columns={"temperature": "temperature_C"})
    assert read_curve(path, columns={"temperature": "T_C"}).temperature[0] == 274.15


def test_units_and_columns_of_the_caller_fill_what_the_headings_lack(written):
    path = written(lines("Test Time (sec),Voltage,Current", scale=(1, 1e3, 1e3)))
    assert_is_the_curve(read_curve(path, units={"voltage": "mV", "current": "mA"}))
    with pytest.raises(ConfigError, match=r"'Voltage' \(voltage\) has no known unit.*units=.*'voltage': 'V'.*heading"):
        read_curve(path, units={"current": "mA"})
    path = written(lines("time_s,WE_vs_Li_V,current_A"))
    assert_is_the_curve(read_curve(path, columns={"voltage": "WE_vs_Li_V"}))


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("", {}, "is empty"),
        ("Time / s,Voltage / V,Current / A\n", {}, "headings and no rows"),
        ("a,b\n1,2\n", {}, r"no column for the time; its headings are \['a', 'b'\].*columns=\{'time': HEADING\}"),
        ("Time / s,Current / A\n0,1\n", {}, "no column for the voltage"),
        ("time/s,Ewe/V,control/mA\n0,3,1\n", {}, "no column for the current.*'control/mA' is what was asked for"),
        ("time_s,p_potential_V,cell_voltage_V,current_A\n0,3,3,1\n", {}, r"several.*\['p_potential_V', 'cell_volt"),
        ("time_s,I/mA,<I>/mA,Ewe/V\n0,3,3,1\n", {}, "several columns that may be the current"),
        ("time_s,voltage_V,time_s\n0,1,2\n", {}, "two columns 'time_s'"),
        ("Time,Voltage / V,Current / A\n0,1,2\n", {}, r"'Time' \(time\) has no known unit"),
        ("Time / s,Voltage / V,Current / W\n0,1,2\n", {}, r"'Current / W' \(current\) has no known unit"),
        ("Time / s,Voltage / V,Current\n0,1,2\n", {"units": {"current": "V"}}, "'V'} is no unit of current"),
        ("Time / s,Voltage / V,Current / A\n", {"units": {"current": "mA"}}, "says A, but units="),
        ("Time / s,Voltage / V,Current / A\n", {"units": {"curent": "mA"}}, "units= has no quantity 'curent'. Did"),
        ("Time / s,Voltage / V,Current / A\n", {"columns": {"volts": "x"}}, "columns= has no quantity 'volts'"),
        (
            "Time / s,Voltage / V,Current / A\n",
            {"columns": {"voltage": "Voltage / mV"}},
            "no column 'Voltage / mV'.*Did",
        ),
        ("Time / s,Voltage / V,Current / A\n", {"current_sign": "positive"}, "current_sign = 'positive' must be"),
        ("Time / s,Voltage / V,Current / A\n0,3,1\n1,x,1\n2,3,1\n", {}, "line 3: 'x' under 'Voltage / V' is no number"),
        ("Time / s,Voltage / V,Current / A\n0,3,1\n1,3,nan\n2,3,1\n", {}, "line 3: the current is empty or not finite"),
        ("Time / s,Voltage / V,Current / A\n0,3,1\n1,,1\n2,3,1\n", {}, "line 3: the voltage is empty"),
        ("Time / s,Voltage / V,Current / A\n0,3,1\n,3,1\n2,3,1\n", {}, "line 3: the time is empty"),
        ("Time / s,Voltage / V,Current / A\n0,3,1\n\n1,3,1,4\n", {}, "line 4: 4 cells under 3 headings"),
        ("Time / s,Voltage / V,Current / A\n0,3,1\n1,4,1\n", {}, "has 2 rows from begin"),
        ("Time / s,Voltage / V,Current / A\n0,3,1\n5,3,1\n4,4,1\n", {}, "line 4: the time goes back, from 5 s to 4 s"),
        ("Time / s,Voltage / V,Current / A\n0,3,1\n5,3,1\n5,4,1\n", {}, "line 4: the time 5 s repeats though no new"),
        ("Time / s,Voltage / V,Current / A\n0,3,1\n1,3800,1\n2,4,1\n", {}, "line 3: a voltage of 3800 V.*units=.*'mV'"),
        ("Time / s,Voltage / V,Current / A\n0,3,1\n1,12,1\n2,4,1\n", {}, "line 3: a voltage of 12 V.*no stack"),
        (
            "Time,Voltage / V,Current / A\n0:00:00,3,1\n2025-01-02 03:04:05,3,1\n",
            {},
            "line 3: '2025.*dates are not read",
        ),
        (
            "Time / s,Voltage / V,Current / A\n0,3,1\n1,3,1\n2,4,1\n",
            {"begin": 5},
            "0 rows from begin = 5.*from 0 to 2 s",
        ),
    ],
)
def test_what_is_not_clear_is_refused_by_place_and_cure(written, text, arguments, said):
    with pytest.raises(ConfigError, match=said):
        read_curve(written(text), **arguments)


def test_rows_of_one_time_keep_the_end_of_the_old_step(written):
    # Neware, Arbin: the first row of a step carries the time at which the one before ended
    rows = "0,3.5,0,1\n10,3.5,0,1\n10,3.6,1,2\n20,3.7,1,2\n20,3.65,0,3\n30,3.64,0,3\n"
    for text in ("time_s,voltage_V,current_A,step\n" + rows, "time_s,voltage_V,current_A,x\n" + rows):
        curve = read_curve(written(text))
        assert curve.time.tolist() == [0, 10, 20, 30] and curve.voltage.tolist() == [3.5, 3.5, 3.7, 3.64]
        assert curve.notes == (
            "2 rows that repeat the time of the row before, as at the change of a step, were dropped.",
        )
    twice = "time_s,voltage_V,current_A\n0,3.5,1\n0,3.5,1\n10,3.6,1\n20,3.7,1\n"
    assert len(read_curve(written(twice))) == 3


def test_rows_outside_begin_and_end_are_not_judged(written):
    text = lines("time_s,voltage_V,current_A", [(-100, 99, 0), (-50, 3, float("nan")), *ROWS, (300, 99, 0)])
    curve = read_curve(written(text), begin=0, end="4 min")
    assert_is_the_curve(curve)


MPT = (
    "EC-Lab ASCII FILE\nNb header lines : 6\n\nElectrode material : NMC\nCycle Definition : Charge\xb5\n"
    "mode\tNs\ttime/s\tcontrol/mA\tEwe/V\t<I>/mA\tQ charge/mA.h\t\n"
)


@pytest.mark.parametrize("decimal", [".", ","])
def test_ec_lab_text_is_read(written, decimal):
    body = "".join(f"1\t{k // 3}\t{t}\t0\t{v}\t{i * 1e3}\t0\n" for k, (t, v, i) in enumerate(ROWS))
    curve = read_curve(written(MPT + body.replace(".", decimal), "cell.mpt", "latin-1"))
    assert_is_the_curve(curve)
    assert curve.step.tolist() == [0, 0, 0, 1, 1]


def test_ec_lab_text_needs_its_header_lines(written):
    with pytest.raises(ConfigError, match="is cut off"):
        read_curve(written("EC-Lab ASCII FILE\nNb header lines : 60\n", "cell.mpt"))


def test_a_neware_file_is_read_with_fastnda():
    pytest.importorskip("fastnda")
    usual = zlib.decompressobj
    curve = read_curve(DATA / "lgm50t_cut.ndax")
    assert zlib.decompressobj is usual  # fastnda replaces it
    assert len(curve) == 19300 and curve.time[-1] == 19297.7 and sorted(set(curve.step)) == [1, 2, 3, 4, 5, 6]
    thinned = read_curve(DATA / "lgm50t_thinned.csv")  # of the same test, by another library, in A
    both = np.isin(thinned.time, curve.time)
    at = np.searchsorted(curve.time, thinned.time[both])
    # written with seven digits, the current in A; float32 in the binary file
    np.testing.assert_allclose(curve.voltage[at], thinned.voltage[both], atol=2e-6)
    np.testing.assert_allclose(curve.current[at], thinned.current[both], atol=2e-6)
    np.testing.assert_allclose(curve.temperature[at], thinned.temperature[both], atol=2e-3)
    assert both.sum() > 900


def test_columns_of_fastnda_are_converted_from_milliamperes(tmp_path, monkeypatch):
    time, voltage, current = np.array(ROWS, dtype=float).T

    class Frame(dict):
        columns = property(lambda self: list(self))
        __len__ = lambda self: time.size  # noqa: E731

        def __getitem__(self, name):
            return types.SimpleNamespace(to_numpy=lambda: self.get(name))

    states = np.array(["Rest", "CC_Chg", "CC_Chg", "CC_Chg", "Rest"], dtype=object)
    frame = Frame(voltage_V=voltage, current_mA=1e3 * current, step_time_s=time, total_time_s=time, step_type=states)
    path = tmp_path / "cell.nda"
    path.write_bytes(b"NEWARE\0")
    monkeypatch.setitem(sys.modules, "fastnda", types.SimpleNamespace(read=lambda path: frame))
    assert_is_the_curve(read_curve(path))

    def broken(path):
        raise KeyError("data.ndc")

    monkeypatch.setitem(sys.modules, "fastnda", types.SimpleNamespace(read=broken))
    with pytest.raises(ConfigError, match="cannot be read as a Neware file .KeyError"):
        read_curve(path)


def test_a_neware_file_without_fastnda_names_the_command(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "fastnda":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    path = tmp_path / "cell.ndax"
    path.write_bytes(b"PK\0")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install 'voxelyte\[cycler\]'"):
        read_curve(path)


@pytest.mark.parametrize(("name", "cure"), [("a.mpr", "export it as text"), ("a.xlsx", "as CSV"), ("a.bin", "as CSV")])
def test_other_binary_files_are_refused_with_a_way_out(tmp_path, name, cure):
    (tmp_path / name).write_bytes(b"\x01\0\x02")
    with pytest.raises(ConfigError, match=f"of no known kind.*{cure}"):
        read_curve(tmp_path / name)
    with pytest.raises(ConfigError, match="does not exist .working directory"):
        read_curve(tmp_path / "nothing.csv")
