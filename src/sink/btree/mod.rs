//! The b-trees of SQLite's file format, built from rows that come in order: records and pages. Pure bytes: which page lies
//! where in which file, and what the schema says of it, is the caller's business.
//!
//! # Why SQLite trusts what is built here
//!
//! What has to be true of a b-tree is written in <https://www.sqlite.org/fileformat2.html>; the sections are those of
//! that document.
//!
//! - *Section 1.3.2 and 1.3.4*: a page has `page_size` bytes, of which the reserved ones at the end are not used. All
//!   bounds follow from the usable size, never from the page size.
//! - *Section 1.2, "lock-byte page"*: the page with the byte at 1 GiB belongs to the system's locks and is never part of a
//!   tree. [`PageBuffer`] skips its number.
//! - *Section 1.6*: a page begins with its kind, 0 (no free block), the number of cells, where they begin (0 stands for
//!   65,536), 0 (no fragments), and in interior pages the right-most child. Then come the places of the cells, in key
//!   order. Cells fill the page from its end, without gaps, so that there is neither a free block nor a fragment. A
//!   cell has at least four bytes, because a freed one has to hold a free block.
//! - *Section 1.6, "overflow"*: how much of a long payload stays in its cell is a formula ([`Format::local`]), and the rest is a
//!   chain of pages that nothing else uses.
//! - *Section 1.6*: a table's rows lie in its leaves only, by ascending rowid; an interior cell has the greatest rowid below
//!   its child. The entries of an index lie in leaves and interior pages alike: an interior cell is an entry that
//!   stands between those of the children on its sides, and is nowhere else.
//! - *Section 1.6*: all leaves have the same depth, and an interior page has at least one cell (in an index two children
//!   without a cell between them would not be ordered by anything). A page that is full is therefore only closed when
//!   it is certain that its successor gets a cell; at the end the last page takes one from the page before it.
//! - *Section 2.1*: a record is the length of its header, a type for each value, then the values. Integers are as short
//!   as they can be. A number in a column of REAL affinity that is a whole one is an integer on disk where that is
//!   shorter ([`record`]).
//! - *Section 2.3 to 2.5*: the record of an index is the key's columns and then the rowid; a WITHOUT ROWID table is an
//!   index whose records are its rows, the columns of the primary key first.
//! - *Section 2.2*: entries of an index are ordered as their values compare: NULL, numbers, text by its bytes. The order of
//!   [`key`]s, compared byte by byte, is the same one.
//!
//! The file must be UTF-8, of schema format 4 (integers 0 and 1 without a byte) and without pointer maps, which a database
//! with auto-vacuum has; whoever opens it checks that.

mod bytes;
pub(super) mod key;
pub(super) mod page;
pub(super) mod record;
pub(super) mod records;
pub(super) mod tree;

#[cfg(test)]
mod tests;

/// The sizes that the format of a tree depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    /// A power of two from 512 to 65,536.
    pub(super) page_size: usize,
    /// The page without the bytes that are reserved at its end.
    pub(super) usable: usize,
}

impl Format {
    /// How many bytes of a payload stay in the cell of a table's leaf.
    fn local_in_table(self, payload: usize) -> usize {
        self.local(payload, self.usable - 35)
    }

    /// How many bytes of a payload stay in the cell of an index.
    fn local_in_index(self, payload: usize) -> usize {
        self.local(payload, (self.usable - 12) * 64 / 255 - 23)
    }

    /// Section 1.6: all of it up to `max`, or else as much as leaves the last overflow page full, and `least` at least.
    fn local(self, payload: usize, max: usize) -> usize {
        if payload <= max {
            return payload;
        }
        let least = (self.usable - 12) * 32 / 255 - 23;
        let fitting = least + (payload - least) % (self.usable - 4);
        if fitting <= max { fitting } else { least }
    }

    /// The page that nothing may lie on.
    fn lock_byte_page(self) -> u32 {
        ((1usize << 30) / self.page_size) as u32 + 1
    }
}
