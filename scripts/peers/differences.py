"""Compares a table of two SQLite databases, row by row. The order of the rows means nothing."""

import math
import sqlite3
from collections import defaultdict
from pathlib import Path

# Doubles may differ in their last digits, because sums of doubles depend on their order. The absolute bound is for
# results that are zero but for rounding, such as a deviation of equal values.
RELATIVE = 1e-9
ABSOLUTE = 1e-12

Rows = list[tuple]


def differences(table: str, ours: Path, theirs: Path, exact: frozenset[str] = frozenset()) -> list[str]:
    """What differs, a line for each difference. Doubles in the columns `exact` have to be identical."""
    damage = damage_of(ours)
    if damage:
        return damage
    names, our_rows = read(table, ours)
    their_names, their_rows = read(table, theirs)
    if names != their_names:
        return [f"columns {names} against {their_names}"]
    rows = our_rows + their_rows
    doubles = [place for place in range(len(names)) if any(isinstance(row[place], float) for row in rows)]
    our_groups, their_groups = by_the_rest(our_rows, doubles), by_the_rest(their_rows, doubles)

    found = []
    for key in sorted(our_groups.keys() | their_groups.keys(), key=repr):
        ours_here, theirs_here = our_groups.get(key, []), their_groups.get(key, [])
        if len(ours_here) != len(theirs_here):
            found.append(f"{key}: {len(ours_here)} rows against {len(theirs_here)}")
            continue
        for our_values, their_values in zip(ours_here, theirs_here):
            for place, ours_, theirs_ in zip(doubles, our_values, their_values):
                if not same(ours_, theirs_, names[place] in exact):
                    found.append(f"{key}: {names[place]} is {ours_!r} against {theirs_!r}")
    return found


def damage_of(database: Path) -> list[str]:
    """What SQLite finds wrong with the pages that feedmill has formatted: not its own SQLite, but the one that Python has,
    which is mostly an older one."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check(10)")]
    finally:
        connection.close()
    return [] if found == ["ok"] else [f"SQLite {sqlite3.sqlite_version} finds: {line}" for line in found]


def same(ours, theirs, exact: bool = False) -> bool:
    """Whether two values are equal, and of one type."""
    if exact or not (isinstance(ours, float) and isinstance(theirs, float)):
        return ours == theirs and type(ours) is type(theirs)
    return math.isclose(ours, theirs, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def read(table: str, database: Path) -> tuple[list[str], Rows]:
    """The names of a table's columns, and its rows."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        cursor = connection.execute(f'SELECT * FROM "{table}"')
        return [column[0] for column in cursor.description], cursor.fetchall()
    finally:
        connection.close()


def by_the_rest(rows: Rows, doubles: list[int]) -> dict[tuple, Rows]:
    """The doubles of the rows, under the values that must be identical. Equal keys are rare, and sorted to pair up."""
    groups = defaultdict(list)
    for row in rows:
        rest = tuple(value for place, value in enumerate(row) if place not in doubles)
        groups[rest].append(tuple(row[place] for place in doubles))
    for values in groups.values():
        values.sort(key=lambda doubles: [(value is not None, value or 0.0) for value in doubles])
    return groups
