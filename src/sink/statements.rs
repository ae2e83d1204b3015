//! SQL as text: what the sink writes itself, with names quoted and layouts spelled out, and places in what users write.
//! Runs nothing.

use std::ops::Range;

use crate::chunk::{DataType, quoted_name};
use crate::error::{Error, ErrorKind, Excerpt, Result, did_you_mean};
use crate::sink::TableLayout;

/// Rows of a multi-row VALUES; more gain nothing, and fewer pay for the start of a statement more often.
const MAX_ROWS_PER_INSERT: usize = 50;

/// SQLite's default bound on the parameters of one statement (SQLITE_MAX_VARIABLE_NUMBER).
const MAX_PARAMETERS: usize = 32_766;

/// How many rows of so many columns go into one INSERT.
pub(super) fn rows_per_insert(columns: usize) -> usize {
    (MAX_PARAMETERS / columns.max(1)).clamp(1, MAX_ROWS_PER_INSERT)
}

/// Names separated by commas.
pub(super) fn names(names: &[String]) -> String {
    names.iter().map(|name| quoted_name(name)).collect::<Vec<_>>().join(", ")
}

/// SELECT of a key that more than one row has. NULLs are never equal in a key.
pub(super) fn duplicate_keys(rows: &str, primary_key: &[String]) -> String {
    let key = names(primary_key);
    let not_null: Vec<String> = primary_key.iter().map(|name| format!("{} IS NOT NULL", quoted_name(name))).collect();
    format!("SELECT {key} FROM {rows} WHERE {} GROUP BY {key} HAVING count(*) > 1 LIMIT 1", not_null.join(" AND "))
}

/// INSERT of so many rows, every value a parameter. `table` is quoted.
pub(super) fn insert(table: &str, columns: usize, rows: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    format!("INSERT INTO {table} VALUES {}", vec![row; rows].join(","))
}

/// What stands behind an INSERT that updates the rows whose keys are there already.
pub(super) fn on_conflict(columns: &[String], primary_key: &[String]) -> String {
    let is_key = |name: &&String| primary_key.iter().any(|key| key.eq_ignore_ascii_case(name));
    let set: Vec<String> = columns
        .iter()
        .filter(|name| !is_key(name))
        .map(|name| format!("{0} = excluded.{0}", quoted_name(name)))
        .collect();
    let action = if set.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", set.join(", ")) };
    format!(" ON CONFLICT ({}) DO {action}", names(primary_key))
}

/// SELECT of a row if there is one with a key, whose columns are parameters; empty without a key.
pub(super) fn find_key(table: &str, primary_key: &[String]) -> String {
    let conditions: Vec<String> = primary_key.iter().map(|name| format!("{} = ?", quoted_name(name))).collect();
    if conditions.is_empty() {
        String::new()
    } else {
        format!("SELECT 1 FROM {table} WHERE {}", conditions.join(" AND "))
    }
}

/// Names as a line of CSV, which `csv_fields` reads.
pub(super) fn csv_line(names: &[String]) -> String {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    // Writing to memory does not fail.
    let _ = writer.write_record(names);
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default().trim_end_matches('\n').to_owned()
}

/// The names in a line of CSV.
pub(super) fn csv_fields(line: &str) -> Vec<String> {
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
    let record = reader.records().next().and_then(std::result::Result::ok);
    record.map(|record| record.iter().map(str::to_owned).collect()).unwrap_or_default()
}

/// CREATE TABLE for a layout. `table` is quoted.
pub(super) fn create_table(table: &str, layout: &TableLayout) -> String {
    let mut parts: Vec<String> = layout
        .columns
        .iter()
        .map(|(name, data_type)| match declared_type(layout, name, *data_type) {
            Some(declared) => format!("{} {declared}", quoted_name(name)),
            None => quoted_name(name),
        })
        .collect();
    if !layout.primary_key.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", names(&layout.primary_key)));
    }
    let without_rowid = if layout.without_rowid { " WITHOUT ROWID" } else { "" };
    format!("CREATE TABLE {table} ({}){without_rowid}", parts.join(", "))
}

fn declared_type(layout: &TableLayout, name: &str, data_type: Option<DataType>) -> Option<&'static str> {
    let declared = data_type?.sqlite_name();
    let is_key = matches!(layout.primary_key.as_slice(), [only] if only.eq_ignore_ascii_case(name));
    // A single key column declared INTEGER would be SQLite's rowid, for which a NULL becomes some unused number.
    Some(if is_key && declared == "INTEGER" { "INT" } else { declared })
}

/// A layout for a SELECT whose columns have these names: they are the layout's where that has none.
pub(super) fn resolve(layout: &TableLayout, names: Vec<String>) -> Result<TableLayout> {
    let mut layout = layout.clone();
    if layout.columns.is_empty() {
        layout.columns = names.into_iter().map(|name| (name, None)).collect();
    } else if layout.columns.len() != names.len() {
        let (name, wanted, found) = (&layout.name, layout.columns.len(), names.len());
        let message = format!("the SELECT of `{name}` has {found} columns instead of {wanted}");
        return Err(Error::new(ErrorKind::Internal, message));
    }
    check_layout(&layout)?;
    Ok(layout)
}

/// Refuses what SQLite would refuse in words that help less: columns of the same name, keys that are no columns.
pub(super) fn check_layout(layout: &TableLayout) -> Result<()> {
    let table = &layout.name;
    for (index, (name, _)) in layout.columns.iter().enumerate() {
        if layout.columns[..index].iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            let message = format!("two columns of table `{table}` have the name `{name}`");
            return Err(Error::new(ErrorKind::Pipeline, message)
                .help("give one of them another name with AS; upper and lower case do not count"));
        }
    }
    for key in &layout.primary_key {
        if !layout.columns.iter().any(|(name, _)| name.eq_ignore_ascii_case(key)) {
            let message = format!("table `{table}` has no column `{key}`, which its primary key names");
            let names = layout.columns.iter().map(|(name, _)| name.as_str());
            let help = did_you_mean(key, names.clone())
                .unwrap_or_else(|| format!("its columns are {}", names.collect::<Vec<_>>().join(", ")));
            return Err(Error::new(ErrorKind::Pipeline, message).help(help));
        }
    }
    Ok(())
}

/// A place in a SELECT.
pub(super) fn excerpt(title: &str, sql: &str, span: Range<usize>) -> Excerpt {
    Excerpt { name: format!("the SELECT of `{title}`"), text: sql.into(), span, label: String::new() }
}

/// The name, number or sign that begins at `offset`.
pub(super) fn token_at(sql: &str, offset: i32) -> Range<usize> {
    let start = usize::try_from(offset).unwrap_or(0);
    let Some(rest) = sql.get(start..) else { return 0..sql.len() };
    let mut characters = rest.char_indices();
    let len = match characters.next() {
        None => 0,
        Some((_, quote @ ('"' | '\'' | '`'))) => {
            characters.find(|(_, character)| *character == quote).map_or(rest.len(), |(at, _)| at + 1)
        }
        Some((_, first)) => {
            let is_word = |character: char| character.is_alphanumeric() || character == '_';
            let word = rest.find(|character| !is_word(character)).unwrap_or(rest.len());
            word.max(first.len_utf8())
        }
    };
    start..start + len
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(columns: &[(&str, Option<DataType>)], primary_key: &[&str]) -> TableLayout {
        TableLayout {
            name: "t".to_owned(),
            columns: columns.iter().map(|(name, data_type)| ((*name).to_owned(), *data_type)).collect(),
            primary_key: primary_key.iter().map(|name| (*name).to_owned()).collect(),
            ..TableLayout::default()
        }
    }

    #[test]
    fn statements_are_spelled_out() {
        let columns = [("id", Some(DataType::Integer)), ("a\"b", None), ("day", Some(DataType::Date))];
        assert_eq!(
            create_table("\"t\"", &layout(&columns, &["id", "day"])),
            r#"CREATE TABLE "t" ("id" INTEGER, "a""b", "day" TEXT, PRIMARY KEY ("id", "day"))"#
        );
        assert_eq!(
            create_table("\"t\"", &layout(&columns[..1], &["ID"])),
            r#"CREATE TABLE "t" ("id" INT, PRIMARY KEY ("ID"))"#
        );
        assert_eq!(insert("\"t\"", 2, 3), "INSERT INTO \"t\" VALUES (?,?),(?,?),(?,?)");
    }

    #[test]
    fn the_token_at_an_offset_is_underlined() {
        for (offset, token) in [(0, "SELECT"), (7, "\"a b\""), (13, "f\u{e4}"), (16, "("), (17, "'x"), (19, "")] {
            let sql = "SELECT \"a b\" f\u{e4}('x";
            assert_eq!(&sql[token_at(sql, offset)], token, "{offset}");
        }
        assert_eq!(token_at("SELECT", 99), 0..6);
    }

    #[test]
    fn inserts_stay_within_the_parameters_of_a_statement() {
        for (columns, rows) in [(1, 50), (655, 50), (656, 49), (2000, 16), (32_766, 1), (40_000, 1)] {
            assert_eq!(rows_per_insert(columns), rows, "{columns}");
        }
    }

    #[test]
    fn wrong_layouts_are_refused_with_names() {
        let columns = [("sku_id", None), ("day", None)];
        assert!(check_layout(&layout(&columns, &["DAY"])).is_ok());
        let missing = check_layout(&layout(&columns, &["sku"])).unwrap_err();
        assert_eq!(missing.to_string(), "table `t` has no column `sku`, which its primary key names");
        assert_eq!(missing.help_text(), Some("its columns are sku_id, day"));
        let twice = check_layout(&layout(&[("day", None), ("x", None), ("Day", None)], &[])).unwrap_err();
        assert_eq!(twice.to_string(), "two columns of table `t` have the name `Day`");
        assert_eq!(twice.kind(), ErrorKind::Pipeline);
    }
}
