"""The sales pipeline in DuckDB, which keeps one scan for three queries: faster than GROUPING SETS.

sales_duckdb.py FEED OUT
"""

import duckdb

import sales

TYPES = {"order_date": "DATE", "quantity": "BIGINT", "unit_price": "DOUBLE", "discount": "DOUBLE"}
MEASURES = "count(*), sum(quantity), sum(revenue), avg(revenue)"


def main() -> None:
    args = sales.arguments()
    columns = ", ".join(f"{name}: '{TYPES.get(name, 'VARCHAR')}'" for name in sales.ALL)
    query = f"""
        WITH sales AS MATERIALIZED (
            SELECT region || '/' || category AS segment, strftime(order_date, '%Y-%m') AS month, product_id, product_name,
                   category, store_id, order_date, quantity, quantity * unit_price * (1 - discount) AS revenue
            FROM read_csv($feed, header = true, auto_detect = false, delim = ',', quote = '"', escape = '"',
                          columns = {{{columns}}})
        )
        SELECT segment, month, NULL, NULL, NULL, NULL, NULL, {MEASURES} FROM sales GROUP BY segment, month
        UNION ALL
        SELECT NULL, NULL, product_id, product_name, category, NULL, NULL, {MEASURES} FROM sales
        GROUP BY product_id, product_name, category
        UNION ALL
        SELECT NULL, NULL, NULL, NULL, NULL, store_id, order_date::VARCHAR, {MEASURES} FROM sales
        GROUP BY store_id, order_date
    """
    connection = duckdb.connect()
    connection.execute("SET preserve_insertion_order = false")
    sales.write_sets(args.out, connection.execute(query, {"feed": str(args.feed)}).fetchall())


if __name__ == "__main__":
    main()
