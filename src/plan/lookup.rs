//! Lookups: their declarations, and their rows read into memory. A lookup that is wrong anywhere ends the run.

use std::path::{Path, PathBuf};

use crate::chunk::{Cell, ColumnBuilder, DataType, Field, parse};
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::error::did_you_mean;
use crate::expr::Lookup;
use crate::expr::sql::{SourceFile, SqlText};
use crate::plan::LookupPlan;
use crate::plan::feed::{Declaration, declarations};
use crate::plan::spec::LookupSpec;

/// The memory that lookups may take together.
#[derive(Debug, Clone, Copy)]
pub(super) struct LookupSpace {
    memory_limit_bytes: Option<u64>,
    used: u64,
}

/// Lookups may take one byte in so many of the memory limit.
const LOOKUP_SHARE: u64 = 2;

/// Where the texts of a lookup lie in memory is said in 32 bits.
const BYTES_MAX: u64 = u32::MAX as u64;

impl LookupSpace {
    /// The share of a memory limit, if there is one.
    pub(super) fn new(memory_limit_bytes: Option<u64>) -> Self {
        LookupSpace { memory_limit_bytes, used: 0 }
    }

    /// Complains when a lookup of so many bytes does not fit beside those that are read already.
    fn check(&self, name: &str, bytes: u64) -> Result<()> {
        let share = self.memory_limit_bytes.map_or(u64::MAX, |limit| limit / LOOKUP_SHARE);
        if bytes <= BYTES_MAX && self.used + bytes <= share {
            return Ok(());
        }
        let megabytes = |bytes: u64| bytes / 1_000_000;
        let most = match self.memory_limit_bytes {
            Some(limit) if self.used + bytes > share => {
                format!("the {} MB that --memory {}MB leaves for lookups", megabytes(share), megabytes(limit))
            }
            _ => format!("{} MB, the most that a lookup may have", megabytes(BYTES_MAX)),
        };
        let message = format!("the lookup `{name}` needs more than {most}; nothing was read or published");
        Err(Error::new(ErrorKind::Limit, message).help("give --memory more, or declare fewer columns of the lookup"))
    }
}

/// Reads a lookup.
pub(super) fn load(
    file: &SourceFile,
    name: &str,
    spec: &LookupSpec,
    path: PathBuf,
    space: &mut LookupSpace,
) -> Result<LookupPlan> {
    let text = SqlText::columns(file.clone(), spec.columns.span(), spec.columns.get_ref().clone());
    let (definitions, constraints) = text.parse_columns()?;
    if let Some(constraint) = constraints.first() {
        return Err(text
            .error_whole(format!("the constraint `{constraint}` is not supported in a lookup"))
            .help("declare the key behind its column: sku_id TEXT PRIMARY KEY"));
    }
    let declarations = declarations(&text, &definitions)?;
    if let Some(checked) = declarations.iter().position(|declaration| !declaration.checks.is_empty()) {
        return Err(text.error(definitions[checked].name.span, "a CHECK is not supported in a lookup"));
    }
    let mut keys = declarations.iter().enumerate().filter(|(_, declaration)| declaration.primary_key);
    let key = match (keys.next(), keys.next()) {
        (Some((key, _)), None) => key,
        (None, _) => return Err(text.error_whole("a lookup is found by its PRIMARY KEY, and this one has none")),
        (Some(_), Some((second, _))) => {
            return Err(text.error(definitions[second].name.span, "a lookup has one PRIMARY KEY column"));
        }
    };
    if declarations[key].column.data_type == DataType::Double {
        return Err(text.error(definitions[key].name.span, "a DOUBLE is no key: equality of doubles is luck"));
    }
    let data = read(name, &declarations, key, &path, space)?;
    space.used += data.memory_bytes() as u64;
    let fingerprint = fingerprint(&text, &path)?;
    Ok(LookupPlan { name: name.to_owned(), path, data, fingerprint })
}

/// The hash of what is declared of a lookup and of its file.
fn fingerprint(text: &SqlText, path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(text.as_str().as_bytes()).update(&[0]);
    let hashed = std::fs::File::open(path).and_then(|file| hasher.update_reader(file).map(|hasher| hasher.finalize()));
    let hash = hashed.map_err(|cause| Error::io(ErrorKind::Input, "read", path, &cause))?;
    Ok(hash.to_hex().to_string())
}

fn read(name: &str, declarations: &[Declaration], key: usize, path: &Path, space: &LookupSpace) -> Result<Lookup> {
    let failed = |cause: &dyn std::fmt::Display| {
        Error::io(ErrorKind::Input, &format!("read the lookup `{name}` from"), path, cause)
    };
    let mut reader = ::csv::ReaderBuilder::new().from_path(path).map_err(|cause| {
        failed(&cause).help(format!("--input {name}=PATH says where it is, --dir DIR where relative paths start from"))
    })?;
    let header = reader.headers().map_err(|cause| failed(&cause))?.clone();
    let header: Vec<&str> =
        header.iter().enumerate().map(|(i, n)| if i == 0 { n.trim_start_matches('\u{feff}') } else { n }).collect();
    let mut places = Vec::new();
    for declaration in declarations {
        let wanted = declaration.column.name.as_str();
        match header.iter().position(|name| *name == wanted) {
            Some(place) => places.push(place),
            None => {
                let error = failed(&format!("its header lacks the column `{wanted}`"));
                return Err(match did_you_mean(wanted, header.iter().copied()) {
                    Some(help) => error.help(help),
                    None => error.help(format!("the header is: {}", header.join(", "))),
                });
            }
        }
    }
    let mut builders: Vec<ColumnBuilder> = declarations
        .iter()
        .map(|declaration| ColumnBuilder::compact(declaration.column.data_type.physical()))
        .collect();
    let mut rows = 0usize;
    let mut record = ::csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|cause| failed(&cause))? {
        let line = record.position().map_or(0, ::csv::Position::line);
        rows += 1;
        if rows.is_multiple_of(ROWS_PER_CHECK) {
            let columns: usize = builders.iter().map(ColumnBuilder::memory_bytes).sum();
            space.check(name, (columns + rows * Lookup::BYTES_PER_ROW) as u64)?;
        }
        for ((declaration, builder), place) in declarations.iter().zip(&mut builders).zip(&places) {
            let column = &declaration.column;
            let text = record.get(*place).unwrap_or_default();
            if text.is_empty() {
                if column.not_null {
                    return Err(failed(&format!("line {line}: `{}` is NULL", column.name)));
                }
                builder.push(Cell::Null);
                continue;
            }
            let value = parse::parse(text.as_bytes(), column.data_type).map_err(|code| {
                let reason = parse::reason(code, column.data_type);
                failed(&format!("line {line}: `{}`: '{text}' is {reason}", column.name))
            })?;
            builder.push(value.as_cell());
        }
    }
    let fields = declarations.iter().map(|d| Field::new(d.column.name.clone(), d.column.data_type)).collect();
    let columns = builders.into_iter().map(ColumnBuilder::finish).collect();
    let lookup = Lookup::new(fields, columns, key).map_err(|row| {
        let key = &declarations[key].column.name;
        failed(&format!("line {}: its key `{key}` was there before", line_of(path, row)))
    })?;
    space.check(name, lookup.memory_bytes() as u64).map(|()| lookup)
}

/// So many rows are read before their memory is looked at.
const ROWS_PER_CHECK: usize = 1024;

/// The line of a row, which nobody has kept, since it is asked for at most once.
fn line_of(path: &Path, row: usize) -> u64 {
    let record = ::csv::Reader::from_path(path).ok().and_then(|reader| reader.into_records().nth(row)?.ok());
    record.as_ref().and_then(::csv::StringRecord::position).map_or(0, ::csv::Position::line)
}
