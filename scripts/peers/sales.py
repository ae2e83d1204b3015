"""What the peers of the sales pipeline share: their command line, the tables that they write, and the SQL for those that
take SQL.

Revenue is a sum of doubles, as one writes it with each of them; only `sales_exact.py` has it in whole ten-thousandths.
"""

import argparse
import sqlite3
from collections.abc import Iterable
from pathlib import Path

# The keys of each table. It is sorted by them, and the products by revenue, the greatest first.
TABLES = {
    "sales_by_segment_month": ["segment", "month"],
    "sales_by_product": ["product_id", "product_name", "category"],
    "sales_by_store_day": ["store_id", "order_date"],
}
MEASURES = ["orders", "units", "revenue", "avg_order_value"]
# What the tables are made from, in the order of the feed.
USED = "order_date store_id region product_id product_name category quantity unit_price discount".split()
ALL = (
    "order_id order_date store_id region product_id product_name category customer_id quantity unit_price discount "
    "payment note"
).split()

# All tables in one pass over the file.
QUERY = """
SELECT segment, month, product_id, product_name, category, store_id, {day},
       count(*), sum(quantity), sum(revenue), avg(revenue)
FROM (
    SELECT region || '/' || category AS segment, {month} AS month, product_id, product_name, category, store_id,
           order_date, quantity, quantity * unit_price * (1 - discount) AS revenue
    FROM {feed}
) AS sales
GROUP BY GROUPING SETS ((segment, month), (product_id, product_name, category), (store_id, order_date))
"""


def arguments() -> argparse.Namespace:
    """FEED OUT."""
    parser = argparse.ArgumentParser()
    parser.add_argument("feed", type=Path)
    parser.add_argument("out", type=Path, help="the SQLite database to write")
    return parser.parse_args()


def write_sets(out: Path, rows: Iterable[tuple]) -> None:
    """Writes the rows of QUERY, which belong to the table whose keys they have."""
    tables = {table: [] for table in TABLES}
    for segment, month, product, name, category, store, day, *measures in rows:
        if segment is not None:
            tables["sales_by_segment_month"].append((segment, month, *measures))
        elif product is not None:
            tables["sales_by_product"].append((product, name, category, *measures))
        else:
            tables["sales_by_store_day"].append((store, day, *measures))
    write(out, tables)


def write(out: Path, tables: dict[str, list[tuple]]) -> None:
    """Writes the tables, sorted, into a new database, in one transaction."""
    out.unlink(missing_ok=True)
    connection = sqlite3.connect(out)
    with connection:
        for table, keys in TABLES.items():
            by = (lambda row: (-row[5], row[0])) if table == "sales_by_product" else (lambda row: row[:2])
            names = [*keys, *MEASURES]
            connection.execute(f"CREATE TABLE {table} ({', '.join(names)}, PRIMARY KEY ({', '.join(keys)}))")
            places = ", ".join("?" * len(names))
            connection.executemany(f"INSERT INTO {table} VALUES ({places})", sorted(tables[table], key=by))
    connection.close()
