"""Tables as Parquet files, whose columns keep their types."""

import io

import pandas as pd

from spaceprobe.errors import SpaceprobeError
from spaceprobe.results.readings import DECLARED


def parquet_file(name: str, frame: pd.DataFrame) -> bytes:
    """Return a table as the bytes of a Parquet file: whole numbers stay whole beside empty cells.

    Args:
        name: of the table, which declares the types of its columns; those of swept settings stay as they are.
        frame: the table.

    Raises:
        SpaceprobeError: pyarrow is not installed.
    """
    try:
        import pyarrow  # noqa: F401  # what pandas writes them with
    except ImportError as error:
        raise SpaceprobeError(
            "Parquet files need pyarrow: install it with: pip install 'spaceprobe[parquet]'"
        ) from error
    dtypes = DECLARED[name].pandas_dtypes()
    file = io.BytesIO()
    frame.astype({column: dtypes[column] for column in frame if column in dtypes}).to_parquet(
        file, engine="pyarrow", index=False
    )
    return file.getvalue()
