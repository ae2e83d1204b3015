"""The orders pipeline in polars: the first of the orders with an id, in the order of the feed, to SQLite.

  orders_polars.py FEED OUT
"""

import sqlite3
import sys
from pathlib import Path

import polars as pl

COLUMNS = "id created_at email amount currency status".split()


def main() -> None:
    feed, out = map(Path, sys.argv[1:])
    texts = {name: pl.String for name in COLUMNS if name != "amount"}
    orders = pl.read_csv(feed, schema_overrides={"amount": pl.Float64} | texts)
    first = orders.unique(subset="id", keep="first", maintain_order=True).select(COLUMNS)
    out.unlink(missing_ok=True)
    connection = sqlite3.connect(out)
    with connection:
        connection.execute(f"CREATE TABLE orders ({', '.join(COLUMNS)})")
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)", first.iter_rows())
    connection.close()


if __name__ == "__main__":
    main()
