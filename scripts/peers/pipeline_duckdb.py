"""Runs a pipeline file in DuckDB: the column declarations and SELECT texts as they stand. It shows that they are plain
SQL, and what they are to give. Knows no `nullify`, no counters and no dialects but the default one.

python pipeline_duckdb.py PIPELINE FOLDER OUT
"""

import argparse
import datetime
import decimal
import re
import sqlite3
import tempfile
import tomllib
import zipfile
from pathlib import Path

import duckdb


def run(pipeline: dict, folder: Path) -> duckdb.DuckDBPyConnection:
    """Makes the tables of the pipeline in memory."""
    connection = duckdb.connect()
    for name, lookup in pipeline.get("lookup", {}).items():
        load(connection, name, lookup["columns"], [folder / lookup["file"]])
    for name, feed in pipeline["feed"].items():
        files = [path for pattern in feed["files"] for path in sorted(folder.glob(pattern))]
        load(connection, f"{name}_0", feed["columns"], files)
        derived = list(feed.get("derive", {}).items())
        for step, (column, sql) in enumerate(derived, 1):
            sql = with_params(pipeline, sql)
            connection.execute(f"CREATE VIEW {name}_{step} AS SELECT *, {sql} AS {column} FROM {name}_{step - 1}")
        connection.execute(f"CREATE VIEW {name} AS FROM {name}_{len(derived)}")
    for name, table in pipeline["table"].items():
        connection.execute(f"CREATE TABLE {name} AS {with_params(pipeline, table['sql'])}")
    return connection


def load(connection: duckdb.DuckDBPyConnection, name: str, columns: str, files: list[Path]) -> None:
    """Reads CSV files, or zip archives of one each, into a table that is declared as the pipeline declares it."""
    connection.execute(f"CREATE TABLE {name} ({columns})")
    with tempfile.TemporaryDirectory() as extracted:
        for file in files:
            if file.suffix == ".zip":
                with zipfile.ZipFile(file) as archive:
                    file = Path(archive.extract(archive.namelist()[0], extracted))
            connection.execute(f"COPY {name} FROM {literal(str(file))} (HEADER, AUTO_DETECT false)")


def with_params(pipeline: dict, sql: str) -> str:
    """The SQL with its $names replaced by their values: DuckDB takes parameters in queries, but not in CREATE."""
    return re.sub(r"\$(\w+)", lambda name: literal(pipeline["params"][name[1]]), sql)


def literal(value) -> str:
    """A value in SQL."""
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def write(connection: duckdb.DuckDBPyConnection, tables: list[str], out: Path) -> None:
    """Copies tables into a new SQLite database."""
    out.unlink(missing_ok=True)
    database = sqlite3.connect(out)
    with database:
        for table in tables:
            result = connection.execute(f"FROM {table}")
            columns = [column[0] for column in result.description]
            database.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
            rows = ([stored(value) for value in row] for row in result.fetchall())
            database.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})", rows)
    database.close()


def stored(value):
    """A value as feedmill stores it: dates as ISO 8601 text, decimals as doubles, booleans as 0 and 1."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("pipeline", type=Path)
    parser.add_argument("folder", type=Path, help="what the paths in the pipeline start from")
    parser.add_argument("out", type=Path, help="the SQLite database to write")
    args = parser.parse_args()
    pipeline = tomllib.loads(args.pipeline.read_text())
    write(run(pipeline, args.folder), list(pipeline["table"]), args.out)


if __name__ == "__main__":
    main()
