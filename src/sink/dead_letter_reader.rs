//! The dead-letter file, read again: one letter after the other, in bounded memory. Does not decide what becomes of them.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ::csv::ByteRecord;

use crate::chunk::RejectCode;
use crate::error::{Error, ErrorKind, Position, Result};
use crate::sink::dead_letter::{DeadLetter, HEADER};

/// Reads dead letters in the order of their file.
#[derive(Debug)]
pub struct DeadLetterReader {
    path: PathBuf,
    size: u64,
    file: ::csv::Reader<Metered>,
    row: ByteRecord,
    position: Position,
}

/// What a row has besides the record itself, with room to spare: paths, a value, a reason, names of columns. And what is
/// read ahead of it.
const ROW_EXTRA_BYTES: u64 = 1 << 20;

/// In the file every quote of a record is doubled.
const ROW_BYTES_PER_RECORD_BYTE: u64 = 2;

const BUFFER_BYTES: usize = 64 << 10;

impl DeadLetterReader {
    /// Opens a dead-letter file whose records have at most `max_record_bytes`. Memory is bounded by a small multiple of
    /// that, whatever is in the file.
    ///
    /// # Errors
    /// When it cannot be read, or is no dead-letter file.
    pub fn open(path: &Path, max_record_bytes: usize) -> Result<Self> {
        let fail = |error: io::Error| Error::io(ErrorKind::Input, "read", path, &error);
        let file = File::open(path).map_err(fail)?;
        let metadata = file.metadata().map_err(fail)?;
        if metadata.is_dir() {
            return Err(Error::io(ErrorKind::Input, "read", path, &"it is a directory"));
        }
        let row_bytes_max = max_record_bytes as u64 * ROW_BYTES_PER_RECORD_BYTE + ROW_EXTRA_BYTES;
        let metered = Metered { file, since_row: 0, row_bytes_max };
        let mut reader = DeadLetterReader {
            path: path.to_owned(),
            size: metadata.len(),
            file: ::csv::ReaderBuilder::new()
                .has_headers(false)
                .flexible(true)
                .buffer_capacity(BUFFER_BYTES)
                .from_reader(metered),
            row: ByteRecord::new(),
            position: Position { input: String::new(), member: None, line: 0, record: 0, byte_offset: 0 },
        };
        if !reader.read_row()? {
            let message = format!("{} is empty: it has no dead letters", path.display());
            return Err(Error::new(ErrorKind::Input, message));
        }
        if reader.row.iter().ne(HEADER.map(str::as_bytes)) {
            let message = format!("{} is not a dead-letter file of feedmill", path.display());
            return Err(Error::new(ErrorKind::Input, message)
                .help(format!("the first line of a dead-letter file is {}", HEADER.join(","))));
        }
        Ok(reader)
    }

    /// The next letter; `None` at the end.
    ///
    /// # Errors
    /// When the file cannot be read, or holds what feedmill does not write.
    pub fn read(&mut self) -> Result<Option<DeadLetter<'_>>> {
        if !self.read_row()? {
            return Ok(None);
        }
        if self.row.len() != HEADER.len() {
            return Err(self.malformed(&format!("{} fields instead of {}", self.row.len(), HEADER.len())));
        }
        let Position { input, member, line, record, byte_offset } = &mut self.position;
        let row = Row(&self.row);
        let parsed = (|| {
            input.clear();
            input.push_str(row.text(0)?);
            *member = Some(row.text(1)?).filter(|member| !member.is_empty()).map(str::to_owned);
            [*line, *record, *byte_offset] = [row.number(2)?, row.number(3)?, row.number(4)?];
            let code = RejectCode::parse(row.text(6)?).ok_or_else(|| row.wrong(6, "a code"))?;
            Ok((row.number(5)?, code, row.text(7)?, row.text(9)?))
        })();
        let (byte_length, code, column, reason) = parsed.map_err(|what: String| self.malformed(&what))?;
        let position = &self.position;
        let (value, raw) = (&self.row[8], &self.row[10]);
        Ok(Some(DeadLetter { position, byte_length, code: code.as_str(), column, value, reason, raw }))
    }

    /// How many bytes of the file were read, and how many it has.
    pub fn progress(&self) -> (u64, u64) {
        (self.file.position().byte(), self.size)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read_row(&mut self) -> Result<bool> {
        // What was read ahead of the last row counts for the next one as well: never more than the buffer.
        self.file.get_mut().since_row = 0;
        self.file.read_byte_record(&mut self.row).map_err(|error| match error.into_kind() {
            ::csv::ErrorKind::Io(cause) if cause.kind() == io::ErrorKind::FileTooLarge => self.too_long(),
            ::csv::ErrorKind::Io(cause) => Error::io(ErrorKind::Input, "read", &self.path, &cause),
            kind => self.malformed(&format!("{kind:?}")),
        })
    }

    fn too_long(&self) -> Error {
        let line = self.file.position().line();
        let message = format!("{}: the row on line {line} is longer than any dead letter", self.path.display());
        Error::new(ErrorKind::Input, message).help(format!(
            "max_record_bytes of the feed allows rows of {} bytes: is a quote missing, or was it larger then?",
            self.file.get_ref().row_bytes_max
        ))
    }

    fn malformed(&self, what: &str) -> Error {
        let line = self.row.position().map_or(0, ::csv::Position::line);
        let message =
            format!("{}: the row on line {line} is not one of a dead-letter file: {what}", self.path.display());
        Error::new(ErrorKind::Input, message)
            .help("was the file cut or edited? replay takes it as feedmill has written it")
    }
}

/// A row with all its fields.
struct Row<'a>(&'a ByteRecord);

impl<'a> Row<'a> {
    fn text(&self, place: usize) -> std::result::Result<&'a str, String> {
        std::str::from_utf8(&self.0[place]).map_err(|_| self.wrong(place, "UTF-8"))
    }

    fn number(&self, place: usize) -> std::result::Result<u64, String> {
        let digits = std::str::from_utf8(&self.0[place]).unwrap_or_default();
        digits.parse().map_err(|_| self.wrong(place, "a number"))
    }

    fn wrong(&self, place: usize, wanted: &str) -> String {
        let shown: Vec<u8> = self.0[place].iter().copied().take(SHOWN_BYTES).collect();
        format!("{} is not {wanted} but `{}`", HEADER[place], shown.escape_ascii())
    }
}

/// How much of a wrong field is shown.
const SHOWN_BYTES: usize = 40;

/// A file that fails before a single row takes all memory.
#[derive(Debug)]
struct Metered {
    file: File,
    /// Bytes read since the reader asked for the row that it is at.
    since_row: u64,
    row_bytes_max: u64,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since_row > self.row_bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let read = self.file.read(buffer)?;
        self.since_row += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::DeadLetterWriter;

    use tempfile::TempDir;

    const LIMIT: usize = 100;

    fn open(content: &[u8]) -> Result<DeadLetterReader> {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("errors.csv");
        std::fs::write(&path, content).unwrap();
        DeadLetterReader::open(&path, LIMIT)
    }

    /// The error of a file that begins well and goes on with this.
    fn refused(rows: &[u8]) -> String {
        let mut reader = open(&[HEADER.join(",").as_bytes(), b"\n", rows].concat()).unwrap();
        loop {
            match reader.read() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{} was read", rows.escape_ascii()),
                Err(error) => return error.to_string(),
            }
        }
    }

    #[test]
    fn letters_come_back_as_they_were_written() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("errors.csv");
        let raws: [&[u8]; 8] =
            [b"a,b", b"\"a\nb\",\"c\"\"d\"", b"\xff\xfe,\x80", b"a\r\nb", b"\r", b"\0 nul", b"", b" x "];
        let places = [(None, 0), (Some("day \"1\",\n.csv"), u64::MAX)];
        let position = |record: u64| {
            let (member, byte_offset) = places[record as usize % 2];
            let member = member.map(str::to_owned);
            Position { input: "in,put.zip".to_owned(), member, line: record + 1, record, byte_offset }
        };
        let mut writer = DeadLetterWriter::new(&path, Path::new("out.db")).unwrap();
        for (record, raw) in (0..).zip(raws) {
            let (code, byte_length) = (RejectCode::CheckFailed.as_str(), raw.len() as u64);
            let (column, reason, position) = ("a \"column\"", "a reason, or two", &position(record));
            writer.write(&DeadLetter { position, byte_length, code, column, value: raw, reason, raw }).unwrap();
        }
        writer.publish().unwrap();

        let mut reader = DeadLetterReader::open(&path, LIMIT).unwrap();
        for (record, raw) in (0..).zip(raws) {
            let letter = reader.read().unwrap().unwrap();
            assert_eq!(*letter.position, position(record));
            assert_eq!((letter.byte_length, letter.code), (raw.len() as u64, "check_failed"));
            assert_eq!((letter.column, letter.reason), ("a \"column\"", "a reason, or two"));
            assert_eq!((letter.value, letter.raw), (raw, raw));
        }
        assert!(reader.read().unwrap().is_none());
        let (read, size) = reader.progress();
        assert_eq!((read, size), (size, std::fs::metadata(&path).unwrap().len()));
    }

    #[test]
    fn other_files_are_refused() {
        for content in [&b"id,name\n1,x\n"[..], b"\0\0\0", b"\"", &HEADER[..10].join(",").into_bytes()] {
            let error = open(content).unwrap_err();
            assert!(error.to_string().contains("is not a dead-letter file"), "{error}");
        }
        assert!(open(b"").unwrap_err().to_string().contains("is empty"));
        let directory = TempDir::new().unwrap();
        assert!(DeadLetterReader::open(directory.path(), LIMIT).is_err());
        assert!(DeadLetterReader::open(&directory.path().join("none.csv"), LIMIT).is_err());
    }

    #[test]
    fn hostile_rows_are_refused_with_their_line() {
        let good = b"a.csv,,2,1,8,3,null_value,a,,why,raw\n";
        for (row, wanted) in [
            (&b"a.csv,,2\n"[..], "3 fields instead of 11"),
            (b"a.csv,,-2,1,8,3,null_value,a,,why,raw\n", "line is not a number but `-2`"),
            (b"a.csv,,2,one,8,3,null_value,a,,why,raw\n", "record is not a number but `one`"),
            (b"a.csv,,2,1,18446744073709551616,3,null_value,a,,why,raw\n", "byte_offset is not a number"),
            (b"a.csv,,2,1,8,\0,null_value,a,,why,raw\n", "byte_length is not a number but `\\x00`"),
            (b"a.csv,,2,1,8,3,no_such_code,a,,why,raw\n", "code is not a code but `no_such_code`"),
            (b"\xff,,2,1,8,3,null_value,a,,why,raw\n", "input is not UTF-8"),
            (b"a.csv,,2,1,8,3,null_value,a,,why,raw,more\n", "12 fields"),
        ] {
            let error = refused(&[good, row].concat());
            assert!(error.contains(wanted) && error.contains("line 3"), "{error}");
        }
    }

    #[test]
    fn a_row_without_end_takes_no_more_memory_than_the_longest_letter() {
        let endless = b"a.csv,,2,1,8,3,null_value,a,,why,\"";
        let error = refused(&[&endless[..], &vec![b'x'; 8 << 20]].concat());
        assert!(error.contains("longer than any dead letter"), "{error}");
        let reader = open(&vec![b'x'; 8 << 20]).unwrap_err();
        assert!(reader.to_string().contains("longer than any dead letter"), "{reader}");
    }
}
