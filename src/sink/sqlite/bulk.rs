//! Tables that are built as pages: rows to records to trees, which the schema learns of when they are complete. How the
//! trees look is `btree`'s business, and how pages reach the file that of `pages`.

use std::path::Path;

use crate::chunk::{ColumnView, DataType, Selection};
use crate::error::{Error, ErrorKind, Result};
use crate::sink::btree::Format;
use crate::sink::btree::key::{self, Keys, NullInKey};
use crate::sink::btree::page::PageBuffer;
use crate::sink::btree::record::Record;
use crate::sink::btree::records::Records;
use crate::sink::btree::tree::{IndexTree, TableTree};
use crate::sink::direct_file::DirectFile;
use crate::sink::new_file::NewFile;
use crate::sink::sqlite::connection::database_error;
use crate::sink::sqlite::pages::BuiltTable;
use crate::sink::sqlite::{RowWriter, SqliteSink, Target, column_types, pages, refused};
use crate::sink::stored::{Stored, StoredColumn};
use crate::sink::{RowError, TableId, TableLayout, Writer};
use crate::sort::Sorter;

/// A table under construction.
#[derive(Debug)]
pub(super) struct BulkTable {
    format: Format,
    types: Vec<DataType>,
    /// The places of the columns in the order in which a record has them.
    order: Vec<usize>,
    /// The places of the key's columns.
    key: Vec<usize>,
    /// Whether the rows lie in the key.
    without_rowid: bool,
    key_names: Vec<String>,
    name: String,
    rows: Rows,
    /// Those of the rows that are being written.
    records: Records,
    keys: Keys,
    scratch: Vec<u8>,
}

/// Where the rows are.
#[derive(Debug)]
enum Rows {
    /// In the tree, in the order in which they came. Their keys wait, with the rowids.
    AsTheyCame { tree: TableTree, rows: i64, keys: Option<Sorter> },
    /// Waiting, to be sorted by their keys.
    ByKey(Sorter),
}

/// The roots of a table that is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Roots {
    /// That of the table.
    pub(super) table: u32,
    /// That of the index of its key.
    pub(super) key: Option<u32>,
}

/// The memory of a sort, and where its files go.
#[derive(Debug, Clone, Copy)]
pub(super) struct SortSpace<'a> {
    pub(super) bytes: usize,
    pub(super) temp_dir: &'a Path,
}

/// Whose order the rows of a table have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowOrder {
    /// The order in which they come.
    Input,
    /// That of the primary key.
    Key,
}

/// Pages are written when there are so many bytes of them.
const WRITE_BYTES: usize = 1 << 20;

impl SqliteSink {
    /// Finds out once how the pages of the database look, if new tables are to be written as such.
    pub(super) fn find_page_format(&mut self) -> Result<()> {
        if self.pages.is_none() && self.writer != Writer::Insert {
            match pages::format(&self.connection).map_err(|error| self.fail(&error))? {
                Ok(format) => self.pages = Some(PageBuffer::new(format)),
                Err(_) if self.writer == Writer::Auto => {}
                Err(why) => {
                    let message = format!("cannot write whole pages into {}: {why}", self.path.display());
                    return Err(Error::new(ErrorKind::Output, message).help("use --writer auto or insert"));
                }
            }
        }
        Ok(())
    }

    /// Takes the rows of a new table, to build it as pages; `None` where the database takes none. The schema learns of it
    /// when it is complete.
    pub(super) fn add_bulk_target(&mut self, layout: &TableLayout, order: RowOrder) -> Result<Option<TableId>> {
        let Some(pages) = self.pages.as_ref() else { return Ok(None) };
        let types = column_types(layout)?;
        pages::try_declaration(&pages::declaration(layout)).map_err(|error| refused(layout, &error))?;
        let sort = SortSpace { bytes: self.sort_bytes, temp_dir: &self.temp_dir };
        let table = BulkTable::new(layout, types.clone(), order, pages.format(), sort);
        Ok(Some(self.add_target(types, RowWriter::Bulk(Some(Box::new(table))), Some(layout))))
    }

    /// Takes rows of a table that is built as pages.
    pub(super) fn push_rows(
        &mut self,
        table: TableId,
        columns: &[ColumnView<'_>],
        selection: &Selection,
    ) -> std::result::Result<(), RowError> {
        let failed = |error: Error| RowError { row: 0, error };
        let fail = |error: rusqlite::Error| failed(database_error("write", &self.path, &error));
        let (Some(Target { rows: RowWriter::Bulk(Some(bulk)), .. }), Some(pages)) =
            (self.targets.get_mut(table.0), self.pages.as_mut())
        else {
            return Err(failed(Error::new(ErrorKind::Internal, format!("{table:?} is complete"))));
        };
        let direct = self.new_file.as_mut().and_then(NewFile::unseen);
        if !(1..WRITE_BYTES).contains(&pages.bytes()) {
            pages::write(&self.connection, pages, direct).map_err(fail)?;
        }
        bulk.push(columns, selection, pages)
    }

    /// Writes the pages that wait, before a statement adds others.
    pub(super) fn write_pages(&mut self) -> Result<()> {
        let Some(pages) = &mut self.pages else { return Ok(()) };
        let direct = self.new_file.as_mut().and_then(NewFile::unseen);
        pages::write(&self.connection, pages, direct).map_err(|error| database_error("write", &self.path, &error))
    }

    /// Brings a table that is built as pages to its end, if it is one and that has not been done.
    pub(super) fn complete(&mut self, table: TableId, with_key: bool) -> Result<()> {
        let Some(Target { rows: RowWriter::Bulk(bulk), layout: Some(layout), .. }) = self.targets.get_mut(table.0)
        else {
            return Ok(());
        };
        let (Some(bulk), Some(pages)) = (bulk.take(), self.pages.as_mut()) else { return Ok(()) };
        let layout = layout.clone();
        let (connection, path) = (&self.connection, &self.path);
        let fail = |error: rusqlite::Error| database_error("write", path, &error);
        let mut direct = self.new_file.as_mut().and_then(NewFile::unseen);
        let mut write = |pages: &mut PageBuffer| pages::write(connection, pages, direct.as_deref_mut()).map_err(fail);
        if pages.bytes() == 0 {
            write(pages)?;
        }
        let Roots { table, key } = bulk.complete(with_key, pages, &mut write)?;
        write(pages)?;
        // From here on SQLite may read them.
        direct.map_or(Ok(()), DirectFile::finish).map_err(|cause| fail(pages::disk_error(&cause)))?;
        let unkeyed = layout.without_key();
        let is_keyed = with_key || layout.without_rowid || layout.primary_key.is_empty();
        let declaration = pages::declaration(if is_keyed { &layout } else { &unkeyed });
        let built = BuiltTable { name: &layout.name, declaration: &declaration, root: table, key_root: key };
        pages::add_to_schema(connection, &built).map_err(fail)?;
        self.remember(&layout)
    }
}

impl BulkTable {
    /// A table without rows.
    pub(super) fn new(
        layout: &TableLayout,
        types: Vec<DataType>,
        order: RowOrder,
        format: Format,
        sort: SortSpace<'_>,
    ) -> Self {
        let key = layout.key_places();
        let sorter = || Sorter::new(sort.bytes, sort.temp_dir);
        let mut columns: Vec<usize> = (0..types.len()).collect();
        if layout.without_rowid {
            // The columns of the key come first, in its order; sorting by that keeps the order of the others.
            columns.sort_by_key(|column| key.iter().position(|place| place == column).unwrap_or(key.len()));
        }
        let is_by_key = !key.is_empty() && order == RowOrder::Key;
        BulkTable {
            format,
            order: columns,
            without_rowid: layout.without_rowid,
            types,
            key_names: layout.primary_key.clone(),
            name: layout.name.clone(),
            rows: if is_by_key {
                Rows::ByKey(sorter())
            } else {
                let keys = (!key.is_empty()).then(sorter);
                Rows::AsTheyCame { tree: TableTree::new(format), rows: 0, keys }
            },
            key,
            records: Records::default(),
            keys: Keys::default(),
            scratch: Vec::new(),
        }
    }

    /// Appends rows. Pages that are done go to `out`.
    pub(super) fn push(
        &mut self,
        columns: &[ColumnView<'_>],
        selection: &Selection,
        out: &mut PageBuffer,
    ) -> std::result::Result<(), RowError> {
        let columns = StoredColumn::all(columns, &self.types);
        let mut selected = Vec::with_capacity(selection.len());
        selection.for_each(|row| selected.push(row as u32));
        let BulkTable { order, key, without_rowid, key_names, name, rows, records, keys, scratch, .. } = self;
        for (batch, selected) in selected.chunks(Records::ROWS).enumerate() {
            let failed = |nth, error| RowError { row: batch * Records::ROWS + nth, error };
            // All of these are written before the first one is read: the processor is slow to read as a whole what it has
            // just written in parts.
            records.build(&columns, order, selected, scratch);
            keys.build(&columns, key, !*without_rowid, selected, scratch)
                .map_err(|NullInKey { nth, value }| failed(nth, null_key(name, &key_names[value])))?;
            match rows {
                Rows::AsTheyCame { tree, rows, keys: sorter } => {
                    for (nth, rowid) in (0..selected.len()).zip(*rows + 1..) {
                        tree.push(rowid, records.get(nth, &columns, order, selected, scratch), out);
                    }
                    for ((nth, key), rowid) in keys.iter().enumerate().zip(*rows + 1..) {
                        let Some(sorter) = sorter else { break };
                        sorter.push(key, &rowid.to_be_bytes()).map_err(|error| failed(nth, error))?;
                    }
                    *rows += selected.len() as i64;
                }
                Rows::ByKey(sorter) => {
                    for (nth, key) in keys.iter().enumerate() {
                        let record = records.get(nth, &columns, order, selected, scratch);
                        sorter.push(key, record).map_err(|error| failed(nth, error))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Ends the table, with the index of its key or without it, and returns the roots. `write` takes pages that are done
    /// and empties the buffer.
    ///
    /// # Errors
    /// When two rows have the same key, and those of sorting and of `write`.
    pub(super) fn complete(
        self,
        with_key: bool,
        out: &mut PageBuffer,
        write: &mut dyn FnMut(&mut PageBuffer) -> Result<()>,
    ) -> Result<Roots> {
        let BulkTable { format, key, key_names, name, rows, mut scratch, .. } = self;
        let mut record = Record::default();
        let mut index = IndexTree::new(format);
        let check_key = |key_of_row: &[u8], repeats: bool| {
            let is_unique = !repeats || key::has_null(key_of_row, key.len());
            if is_unique { Ok(()) } else { Err(duplicate_key(&name, &key_names, key_of_row)) }
        };
        let mut push_key = |key_of_row: &[u8], rowid: i64, index: &mut IndexTree, out: &mut PageBuffer| {
            if key.len() == 1 && index.push_short(key::last(key_of_row), rowid) {
                return;
            }
            record.begin(key.len() + 1);
            key::read(key_of_row, key.len(), &mut scratch, |value| record.push(value));
            record.push(Stored::Integer(rowid));
            index.push(record.finish(), out);
        };
        let mut write_full = |out: &mut PageBuffer| if out.bytes() < WRITE_BYTES { Ok(()) } else { write(out) };
        let table = match rows {
            Rows::AsTheyCame { tree, keys, .. } => {
                let root = tree.finish(out);
                let Some(keys) = keys.filter(|_| with_key) else { return Ok(Roots { table: root, key: None }) };
                keys.for_each(|key, rowid, repeats| {
                    let rowid = rowid.try_into().map_or(0, i64::from_be_bytes);
                    check_key(key, repeats)?;
                    push_key(key, rowid, &mut index, out);
                    write_full(out)
                })?;
                root
            }
            Rows::ByKey(sorter) if self.without_rowid => {
                sorter.for_each(|key, row, repeats| {
                    check_key(key, repeats)?;
                    index.push(row, out);
                    write_full(out)
                })?;
                return Ok(Roots { table: index.finish(out), key: None });
            }
            Rows::ByKey(sorter) => {
                let mut tree = TableTree::new(format);
                let mut rowid = 0;
                sorter.for_each(|key, row, repeats| {
                    rowid += 1;
                    tree.push(rowid, row, out);
                    check_key(key, repeats)?;
                    push_key(key, rowid, &mut index, out);
                    write_full(out)
                })?;
                tree.finish(out)
            }
        };
        Ok(Roots { table, key: Some(index.finish(out)) })
    }
}

fn null_key(table: &str, column: &str) -> Error {
    let message = format!("`{column}` is NULL in a row of table `{table}`, whose rows lie in their primary key");
    Error::new(ErrorKind::Input, message).help("leave such rows out, or take `without_rowid` out of the pipeline")
}

/// What to say of two rows with the same key.
fn duplicate_key(table: &str, names: &[String], key: &[u8]) -> Error {
    let mut values = Vec::new();
    key::read(key, names.len(), &mut Vec::new(), |value| values.push(value.in_words()));
    let value: Vec<String> = names.iter().zip(values).map(|(name, value)| format!("{name} = {value}")).collect();
    duplicate_key_error(table, &value)
}

/// What to say of two rows with the same key, whose values are given in words.
pub(super) fn duplicate_key_error(table: &str, key: &[String]) -> Error {
    let message = format!("two rows of table `{table}` have the same primary key ({})", key.join(", "));
    Error::new(ErrorKind::Input, message)
        .help("add the columns that tell the rows apart to its primary_key, or make its SELECT return one row a key")
}
