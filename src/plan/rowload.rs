//! Feeds that make one table of rows: which key they are de-duplicated by. Resolves no expression.

use crate::error::Result;
use crate::expr::sql::SourceFile;
use crate::plan::spec::Spec;
use crate::plan::{FeedPlan, Origin, OutputKind, RowLoad, TablePlan};

/// Finds the feeds that are loaded row by row, and gives their tables the keys that the feeds declare.
///
/// # Errors
/// When a key cannot be one: rows are de-duplicated only where one table takes them as they come.
pub(super) fn resolve(file: &SourceFile, spec: &Spec, feeds: &mut [FeedPlan], tables: &mut [TablePlan]) -> Result<()> {
    for feed in feeds {
        let is_alone = feed.outputs.len() == 1;
        for output in &feed.outputs {
            let table = &mut tables[output.table];
            let error = |message: String| {
                let place =
                    spec.table.keys().find(|name| *name.get_ref() == table.name).map_or(0..0, |name| name.span());
                file.error(place, message)
            };
            let Origin::Feed { columns, finish, .. } = &table.origin else { continue };
            let is_rows = matches!(output.kind, OutputKind::Rows { .. });
            if !feed.primary_key.is_empty() {
                if !is_rows {
                    let message =
                        format!("the feed `{}` has a PRIMARY KEY, so that it makes a table of rows", feed.name);
                    return Err(error(message).help(
                        "load the rows into a table first, then aggregate in a second table that selects FROM the first",
                    ));
                }
                let names = feed.primary_key.iter();
                let missing = names.clone().find(|name| !columns.iter().any(|column| column.name == **name));
                if let Some(missing) = missing {
                    let message = format!("the table lacks `{missing}`, which the feed's PRIMARY KEY names");
                    return Err(error(message).help("add it to the SELECT, or give the table its own `primary_key`"));
                }
                if table.primary_key.is_empty() {
                    table.primary_key = names.cloned().collect();
                }
            }
            if is_rows && is_alone && finish.is_none() && !table.is_temporary {
                let place = |name: &String| columns.iter().position(|column| column.name == *name);
                let key = table.primary_key.iter().filter_map(|name| Some((name.clone(), place(name)?)));
                feed.load = Some(RowLoad { key: key.collect() });
            } else if is_rows && !table.primary_key.is_empty() {
                if table.is_temporary {
                    let message = "a table of rows with a primary key is de-duplicated while it is loaded into the database, \
                                   and this one is temporary";
                    return Err(error(message.to_owned()).help("take `temporary` or the primary key out"));
                }
                let why = if is_alone {
                    "its rows are to be taken as they come, without ORDER BY, windows or the same expression twice"
                } else {
                    "it is to be the only table FROM its feed"
                };
                let message = format!("a table of rows with a primary key is de-duplicated by it, and {why}");
                return Err(error(message).help("make the others in tables that select FROM this one"));
            }
        }
    }
    Ok(())
}
