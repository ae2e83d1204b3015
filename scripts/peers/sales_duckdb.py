"""The sales pipeline in DuckDB.  sales_duckdb.py FEED OUT"""

import duckdb

import sales

TYPES = {"order_date": "DATE", "quantity": "BIGINT", "unit_price": "DOUBLE", "discount": "DOUBLE"}


def main() -> None:
    args = sales.arguments()
    columns = ", ".join(f"{name}: '{TYPES.get(name, 'VARCHAR')}'" for name in sales.ALL)
    feed = f"read_csv($feed, header = true, auto_detect = false, delim = ',', quote = '\"', escape = '\"', columns = {{{columns}}})"
    query = sales.QUERY.format(feed=feed, month="strftime(order_date, '%Y-%m')", day="order_date::VARCHAR")
    connection = duckdb.connect()
    connection.execute("SET preserve_insertion_order = false")
    sales.write_sets(args.out, connection.execute(query, {"feed": str(args.feed)}).fetchall())


if __name__ == "__main__":
    main()
