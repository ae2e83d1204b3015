"""What the sales tables have to be: DuckDB with revenue in whole ten-thousandths, which fit integers, so that every figure
is the double nearest to the exact one. It shows what is right, not how fast one can be.  sales_exact.py FEED OUT
"""

import duckdb

import sales

TYPES = {"order_date": "DATE", "quantity": "BIGINT", "unit_price": "DECIMAL(10,2)", "discount": "DECIMAL(3,2)"}


def main() -> None:
    args = sales.arguments()
    columns = ", ".join(f"{name}: '{TYPES.get(name, 'VARCHAR')}'" for name in sales.ALL)
    feed = f"""(
        SELECT * REPLACE (CAST(unit_price * 100 AS BIGINT) AS unit_price),
               CAST(100 * (1 - discount) AS BIGINT) AS percent
        FROM read_csv($feed, header = true, auto_detect = false, delim = ',', quote = '"', escape = '"',
                      columns = {{{columns}}})
    )"""
    query = sales.QUERY.format(feed=feed, month="strftime(order_date, '%Y-%m')", day="order_date::VARCHAR")
    query = query.replace("quantity * unit_price * (1 - discount)", "quantity * unit_price * percent")
    rows = duckdb.execute(query, {"feed": str(args.feed)}).fetchall()
    # Python rounds the quotient of two integers once, to the nearest double.
    exact = (
        (*keys, orders, int(units), int(revenue) / 10_000, int(revenue) / (10_000 * orders))
        for *keys, orders, units, revenue, _ in rows
    )
    sales.write_sets(args.out, exact)


if __name__ == "__main__":
    main()
