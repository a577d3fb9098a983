"""Rows of a query as a pandas frame, each column of the type that its kind asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from batuta.warehouse.connection import Connection

if TYPE_CHECKING:
    import pandas as pd

Kind: TypeAlias = Literal["text", "category", "day", "moment", "count", "percent", "flag", "exact", "object"]

DTYPES: Final[Mapping[Kind, str]] = {
    "text": "string",
    "category": "category",
    "count": "Int64",
    "flag": "boolean",
    "exact": "object",
    "object": "object",
}


def frame(
    conn: Connection, query: str, parameters: Mapping[str, Any], columns: Mapping[str, Kind]
) -> pd.DataFrame:
    """What a query gives, with its columns named and typed; without rows, they still have their types."""
    import pandas as pd

    rows = conn.execute(query.encode(), parameters).fetchall()
    values = zip(*rows, strict=True) if rows else ((),) * len(columns)
    return pd.DataFrame(
        {name: column(list(found), kind) for (name, kind), found in zip(columns.items(), values, strict=True)}
    )


def column(values: list[Any], kind: Kind) -> pd.Series:
    """Values of a column as its kind asks; None is what is not known."""
    import pandas as pd

    match kind:
        case "moment":
            return pd.to_datetime(pd.Series(values, dtype=object), utc=True).astype("datetime64[us, UTC]")
        case "day":
            return pd.to_datetime(pd.Series(values, dtype=object)).astype("datetime64[us]")
        case "percent":
            # Exact out of the database; a share is a float here, and nothing money is made of.
            return pd.Series([None if v is None else float(v) for v in values], dtype="Float64")
        case _:
            return pd.Series(values, dtype=DTYPES[kind])
