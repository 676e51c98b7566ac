"""Models of data that stay where they are: sources, sums over their rows, predictions in pieces."""

from bimixed.streaming.build import summed_design
from bimixed.streaming.lazy import LazyPredictions
from bimixed.streaming.protocols import Source
from bimixed.streaming.sources import as_source, sample_rows, scan_duckdb, scan_parquet

__all__ = [
    "LazyPredictions",
    "Source",
    "as_source",
    "sample_rows",
    "scan_duckdb",
    "scan_parquet",
    "summed_design",
]
