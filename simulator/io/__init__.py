"""Result files (VTKHDF), curves (Battery Data Format) and tables (CSV)."""

from simulator.io.checkpoint import StoredCheckpoint, read_checkpoint, write_checkpoint
from simulator.io.curve import accumulate_capacity, read_bdf_csv, write_bdf_csv
from simulator.io.histories import HistoryTable, ParticleHistories
from simulator.io.result import RunResult, collect_provenance, read_result
from simulator.io.table import write_table
from simulator.io.vtkhdf import BASE_COLUMNS, ResultWriter

__all__ = [
    "BASE_COLUMNS",
    "ParticleHistories",
    "ResultWriter",
    "RunResult",
    "StoredCheckpoint",
    "HistoryTable",
    "accumulate_capacity",
    "collect_provenance",
    "read_bdf_csv",
    "read_checkpoint",
    "read_result",
    "write_bdf_csv",
    "write_checkpoint",
    "write_table",
]
