"""A sweep on a real Slurm: one node on this machine, started for these tests and ended after them.

Off unless VOXELYTE_TEST_SLURM=1, as root, with Slurm and munge installed (Debian, Ubuntu: `apt-get install
--no-install-recommends slurm-wlm slurm-client munge`). It touches no Slurm that may run on the machine: configuration,
key and sockets are in a folder of its own.
"""

import os
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from simulator.cli import main
from simulator.workflows.sweep_table import read_record, read_records

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch")
READY = os.environ.get("VOXELYTE_TEST_SLURM") == "1" and os.geteuid() == 0 and all(map(shutil.which, PROGRAMS))
pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(not READY, reason="VOXELYTE_TEST_SLURM=1, root and Slurm are needed"),
]

CONF = """ClusterName=onebox
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
MinJobAge=3600
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=4000 State=UNKNOWN
PartitionName=debug Nodes={host} Default=YES MaxTime=60 State=UP
"""
#: stands for Slurm's accounting, without which submitit does not learn that a job was killed
SACCT = """#!/usr/bin/env python3
import subprocess
print("JobID|State|NodeList")
seen = set()
command = ["squeue", "-h", "-a", "-t", "all", "-r", "-o", "%F|%K|%T|%N"]
for line in subprocess.run(command, capture_output=True, text=True).stdout.splitlines():
    job, task, state, node = line.split("|")
    name = job if task in ("N/A", "") else f"{job}_{task}"
    if name not in seen:
        seen.add(name)
        print(f"{name}|{state}|{node}")
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An idle node, and the environment that leads Slurm's programs to it."""
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool", "log", "munge", "bin"):
        (folder / name).mkdir()
    (folder / "munge").chmod(0o700)
    host = socket.gethostname().partition(".")[0]
    (folder / "slurm.conf").write_text(CONF.format(host=host, folder=folder, cores=os.cpu_count()))
    sacct = folder / "bin" / "sacct"
    sacct.write_text(SACCT)
    sacct.chmod(sacct.stat().st_mode | stat.S_IXUSR)
    key = folder / "munge" / "key"
    munged = [f"--key-file={key}", f"--socket={folder}/munge.sock", f"--pid-file={folder}/munged.pid"]
    munged += [f"--log-file={folder}/log/munged.log", f"--seed-file={folder}/munge/seed"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        patch.setenv("PATH", str(folder / "bin"), prepend=os.pathsep)
        patch.setenv("JAX_PLATFORMS", "cpu")
        try:
            subprocess.run(["mungekey", "--create", f"--keyfile={key}"], check=True)
            subprocess.run(["munged", "--force", "--num-threads=1", *munged], check=True)
            subprocess.run(["slurmctld", "-i"], check=True)
            time.sleep(1.0)
            subprocess.run(["slurmd"], check=True)
            for _ in range(60):
                state = subprocess.run(["sinfo", "-h", "-o", "%t"], capture_output=True, text=True, check=False).stdout
                if state.strip() == "idle":
                    break
                time.sleep(0.5)
            else:
                pytest.fail(f"the node is {state.strip() or 'not there'}: see {folder}/log")
            yield
        finally:
            for name in ("slurmd", "slurmctld", "munged"):
                with suppress(OSError, ValueError):
                    os.kill(int((folder / f"{name}.pid").read_text()), signal.SIGTERM)


def words(stack: Path, folder: Path, *more: str) -> list[str]:
    launcher = ["hydra/launcher=slurm_cpu", "hydra.launcher.partition=debug", "hydra.launcher.timeout_min=5"]
    launcher += ["hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=1"]
    quiet = ["output.pictures=false", "output.particles=false", "output.fields=[]"]
    labels = "geometry.labels={electrolyte: 0, am: 1, cbd: 2}"
    image = [] if any(word.startswith("geometry.path=") for word in more) else [f"geometry.path={stack}"]
    return ["run", "-m", "geometry=file", *image, labels, f"output.dir={folder}", *quiet, *launcher, *more]


def test_runs_are_jobs_and_one_that_fails_does_not_stop_the_others(
    cluster: None, tiny_stack: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    broken, folder = tmp_path / "broken.tif", tmp_path / "sweep"
    broken.write_bytes(tiny_stack.read_bytes()[:200])
    paths = f"geometry.path={tiny_stack},{broken}"
    assert main(words(tiny_stack, folder, paths, "protocol.steps=[Charge at C/2 for 10 min]")) == 3
    found = {Path(record.values["geometry.path"]).name: record for record in read_records(folder)}
    assert found["tiny.tif"].status == "finished"
    assert found["broken.tif"].status == "failed" and "broken.tif" in found["broken.tif"].reason
    assert "1 failed, 1 finished" in capfd.readouterr().out
    assert any((folder / ".submitit").glob("*_0/*.out"))


def test_a_job_that_is_killed_is_told_as_failed_and_the_others_are_waited_for(
    cluster: None, tiny_stack: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "sweep"

    def kill() -> None:
        for _ in range(600):
            record = read_record(folder / "kappa-0.05") if folder.is_dir() else None
            if record is not None and record.status == "running":
                os.kill(record.pid, signal.SIGKILL)
                return
            time.sleep(0.1)

    killer = threading.Thread(target=kill)
    killer.start()
    steps = "protocol.steps=[Charge at C/2 for 30 min, Rest for 1 h, Charge at C/2 for 10 min]"
    assert main(words(tiny_stack, folder, steps, "cell.electrolyte.kappa=0.05,0.1,0.2")) == 3
    killer.join()
    assert [record.status for record in read_records(folder)] == ["failed", "finished", "finished"]
    assert "killed" in read_records(folder)[0].reason
    assert (
        main(words(tiny_stack, folder, steps, "cell.electrolyte.kappa=0.05,0.1,0.2")) == 0
    )  # once more, and it is done
