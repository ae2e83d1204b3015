"""What the peers of the transactions pipeline share: their command line, and the SQLite table that they write."""

import argparse
import sqlite3
from collections.abc import Iterable
from pathlib import Path

TABLE = """
CREATE TABLE processed_sales (
  client_id TEXT, transaction_date TEXT, maturity_date TEXT, sku_group TEXT, local INTEGER,
  total_quantity INTEGER, total_revenue REAL, order_count INTEGER, avg_quantity_per_order REAL, avg_order_value REAL,
  days_to_maturity INTEGER, revenue_share_of_day REAL, revenue_rank INTEGER,
  PRIMARY KEY (client_id, transaction_date, maturity_date, sku_group, local)
)
"""


def arguments() -> argparse.Namespace:
    """FEED STATIC OUT [--client NAME]."""
    parser = argparse.ArgumentParser()
    parser.add_argument("feed", type=Path, help="a .csv file, or a .zip archive that holds one")
    parser.add_argument("static", type=Path, help="the folder of the lookup tables")
    parser.add_argument("out", type=Path, help="the SQLite database to write")
    parser.add_argument("--client", default="client_1")
    return parser.parse_args()


def write(out: Path, rows: Iterable[tuple]) -> None:
    """Writes the table into a new database, in one transaction."""
    out.unlink(missing_ok=True)
    connection = sqlite3.connect(out)
    with connection:
        connection.execute(TABLE)
        connection.executemany(f"INSERT INTO processed_sales VALUES ({', '.join('?' * 13)})", rows)
    connection.close()
