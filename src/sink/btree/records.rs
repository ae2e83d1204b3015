//! The records of many rows at once, column by column: what a column has is asked once and not for each value. Leaves those
//! with long headers to `record`, whose business the format is.

use crate::sink::btree::record::{Record, SHORT_TYPE_MAX, encode};
use crate::sink::stored::{Stored, StoredColumn, Visitor};

/// Some records.
#[derive(Debug, Default)]
pub(in crate::sink) struct Records {
    /// All of them, `stride` bytes from one to the next. What lies behind the end of one means nothing.
    bytes: Vec<u8>,
    stride: usize,
    /// Where each of them ends among all bytes.
    ends: Vec<usize>,
    /// One that has a long header.
    long: Record,
}

/// The end of a record that is not there.
const LONG: usize = usize::MAX;

/// The most bytes of a value whose type has one byte.
const VALUE_MAX: usize = (SHORT_TYPE_MAX as usize - 13) / 2;

impl Records {
    /// Rows that are worked on together: as many as a first-level cache holds.
    pub(in crate::sink) const ROWS: usize = 128;

    /// Makes the records of some rows, with the columns at the places of `order`.
    pub(in crate::sink) fn build(
        &mut self,
        columns: &[StoredColumn<'_>],
        order: &[usize],
        rows: &[u32],
        scratch: &mut Vec<u8>,
    ) {
        let header = 1 + order.len();
        self.ends.clear();
        if header as u64 > SHORT_TYPE_MAX {
            self.ends.resize(rows.len(), LONG);
            return;
        }
        self.stride = header + order.len() * VALUE_MAX;
        self.ends.extend((0..rows.len()).map(|nth| nth * self.stride + header));
        if self.bytes.len() < rows.len() * self.stride {
            self.bytes.resize(rows.len() * self.stride, 0);
        }
        let Records { bytes, stride, ends, .. } = self;
        (0..rows.len()).for_each(|nth| bytes[nth * *stride] = header as u8);
        for (at, place) in (1..).zip(order) {
            columns[*place].for_each(rows, scratch, NextValues { bytes, stride: *stride, ends, at });
        }
    }

    /// The record of a row, by its number among the rows, which are those of `build`, as are the columns.
    #[inline(always)]
    pub(in crate::sink) fn get(
        &mut self,
        nth: usize,
        columns: &[StoredColumn<'_>],
        order: &[usize],
        rows: &[u32],
        scratch: &mut Vec<u8>,
    ) -> &[u8] {
        let end = self.ends[nth];
        if end != LONG {
            return &self.bytes[nth * self.stride..end];
        }
        self.long.begin(order.len());
        order.iter().for_each(|place| self.long.push(columns[*place].get(rows[nth] as usize, scratch)));
        self.long.finish()
    }
}

/// Appends the values of a column to records.
struct NextValues<'a> {
    bytes: &'a mut [u8],
    stride: usize,
    ends: &'a mut [usize],
    /// Where the types of the column are among the bytes of each record.
    at: usize,
}

impl Visitor for NextValues<'_> {
    #[inline(always)]
    fn visit(&mut self, nth: usize, value: Stored<'_>) {
        let end = &mut self.ends[nth];
        let (serial_type, body) = encode(value);
        if serial_type > SHORT_TYPE_MAX {
            *end = LONG;
        }
        if *end != LONG {
            self.bytes[nth * self.stride + self.at] = serial_type as u8;
            *end += body.put(&mut self.bytes[*end..]);
        }
    }
}
