"""The transactions pipeline, the way one writes it with DuckDB, which does not read zip archives: the CSV file is
extracted to a temporary folder first. A pipe would save the file, but was no faster.

python transactions_duckdb.py FEED STATIC OUT
"""

import tempfile
import zipfile
from pathlib import Path

import duckdb

import processed_sales

QUERY = """
WITH transactions AS (
    SELECT transaction_date, sku_id, quantity_sold, revenue_usd,
           coalesce(nullif(regexp_extract(replace(zip_code_raw, ' ', ''), '^(?:US-)?([0-9]{5})(?:-[0-9]{4})?$', 1), ''),
                    '00000') AS zip_code,
           greatest(coalesce(try_cast(maturity_date AS DATE), transaction_date + 3), transaction_date) AS matures_on
    FROM read_csv($feed, header = true, auto_detect = false, delim = ',', quote = '"', escape = '"', columns = {
        transaction_id: 'VARCHAR', transaction_date: 'DATE', sku_id: 'VARCHAR', quantity_sold: 'BIGINT',
        revenue_usd: 'DECIMAL(12,2)', maturity_date: 'VARCHAR', zip_code_raw: 'VARCHAR'})
)
SELECT $client AS client_id, transaction_date::VARCHAR, matures_on::VARCHAR, sku_group,
       coalesce(state = 'CA', false)::INTEGER AS local,
       sum(quantity_sold), sum(revenue_usd)::DOUBLE, count(*), avg(quantity_sold), avg(revenue_usd),
       matures_on - transaction_date,
       sum(revenue_usd)::DOUBLE / sum(sum(revenue_usd)) OVER (PARTITION BY transaction_date),
       dense_rank() OVER (PARTITION BY transaction_date ORDER BY sum(revenue_usd) DESC)
FROM transactions
LEFT JOIN read_csv($skus) USING (sku_id)
LEFT JOIN read_csv($zips, types = {zip_code: 'VARCHAR'}) USING (zip_code)
GROUP BY transaction_date, matures_on, sku_group, local
"""


def aggregate(feed: Path, static: Path, client: str) -> list[tuple]:
    """The rows of processed_sales."""
    connection = duckdb.connect()
    connection.execute("SET preserve_insertion_order = false")
    files = {"feed": feed, "skus": static / "sku_groups.csv", "zips": static / "us_zip_codes.csv"}
    return connection.execute(QUERY, {name: str(path) for name, path in files.items()} | {"client": client}).fetchall()


def main() -> None:
    args = processed_sales.arguments()
    with tempfile.TemporaryDirectory() as folder:
        feed = args.feed
        if feed.suffix == ".zip":
            with zipfile.ZipFile(feed) as archive:
                feed = Path(archive.extract(archive.namelist()[0], folder))
        processed_sales.write(args.out, aggregate(feed, args.static, args.client))


if __name__ == "__main__":
    main()
