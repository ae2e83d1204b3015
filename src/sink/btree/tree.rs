//! Trees from rows and entries in ascending order, leaf by leaf, with the interior pages stacked on top.

use crate::sink::btree::Format;
use crate::sink::btree::page::{Page, PageBuffer, PageKind};
use crate::sink::btree::record::{SHORT_TYPE_MAX, VARINT_MAX, encode, put_varint, write_varint};
use crate::sink::stored::Stored;

/// Builds the tree of a table from its rows.
#[derive(Debug)]
pub(in crate::sink) struct TableTree {
    leaf: Page,
    interior: Levels,
    last_rowid: i64,
}

/// The header of a record of two values whose types have one byte each.
const SHORT_HEADER_BYTES: usize = 3;

/// Builds the tree of an index, or of a WITHOUT ROWID table, from its entries.
#[derive(Debug)]
pub(in crate::sink) struct IndexTree {
    levels: Levels,
}

impl TableTree {
    /// A table without rows.
    pub(in crate::sink) fn new(format: Format) -> Self {
        TableTree {
            leaf: Page::new(PageKind::TableLeaf, format),
            interior: Levels { format, kinds: [PageKind::TableInterior; 2], levels: Vec::new() },
            last_rowid: 0,
        }
    }

    /// Appends a row. Rowids ascend.
    #[inline]
    pub(in crate::sink) fn push(&mut self, rowid: i64, record: &[u8], out: &mut PageBuffer) {
        let (local, overflow) = record.split_at(out.format().local_in_table(record.len()));
        let mut head = [0; 2 * VARINT_MAX];
        let len_bytes = put_varint(record.len() as u64, &mut head);
        let head_bytes = len_bytes + put_varint(rowid as u64, &mut head[len_bytes..]);
        let head = &head[..head_bytes];
        let bytes = head.len() + local.len() + if overflow.is_empty() { 0 } else { 4 };
        if !self.leaf.fits(bytes) {
            let child = self.leaf.close(None, out);
            let mut greatest = Vec::new();
            write_varint(self.last_rowid as u64, &mut greatest);
            self.interior.add(0, Some(child), &[&greatest], out);
        }
        if overflow.is_empty() {
            self.leaf.push(&[head, local]);
        } else {
            self.leaf.push(&[head, local, &write_overflow(overflow, out).to_be_bytes()]);
        }
        self.last_rowid = rowid;
    }

    /// Ends the tree and returns its root.
    pub(in crate::sink) fn finish(mut self, out: &mut PageBuffer) -> u32 {
        let last = self.leaf.close(None, out);
        self.interior.finish(Some(last), out)
    }
}

impl IndexTree {
    /// An index without entries.
    pub(in crate::sink) fn new(format: Format) -> Self {
        let kinds = [PageKind::IndexLeaf, PageKind::IndexInterior];
        IndexTree { levels: Levels { format, kinds, levels: Vec::new() } }
    }

    /// Appends the entry of an index on one column, if it is short, and says whether it has done so. Entries ascend.
    ///
    /// The record comes to be in the page: the processor is slow to read as a whole what it has just written in parts.
    #[inline]
    pub(in crate::sink) fn push_short(&mut self, value: Stored<'_>, rowid: i64) -> bool {
        let ((value_type, value), (rowid_type, rowid)) = (encode(value), encode(Stored::Integer(rowid)));
        let mut room = [[0; size_of::<u64>()]; 2];
        let [value_room, rowid_room] = &mut room;
        let (value, rowid) = (value.bytes(value_room), rowid.bytes(rowid_room));
        // With such a type it has so few bytes that all of them are local, on a page of any size.
        let record_bytes = SHORT_HEADER_BYTES + value.len() + rowid.len();
        match self.levels.leaf_with_room(1 + record_bytes).filter(|_| value_type <= SHORT_TYPE_MAX) {
            Some(leaf) => {
                let head = [record_bytes as u8, SHORT_HEADER_BYTES as u8, value_type as u8, rowid_type as u8];
                leaf.push(&[&head, value, rowid]);
                true
            }
            None => false,
        }
    }

    /// Appends an entry. Entries ascend.
    #[inline]
    pub(in crate::sink) fn push(&mut self, record: &[u8], out: &mut PageBuffer) {
        let (local, overflow) = record.split_at(out.format().local_in_index(record.len()));
        let mut head = [0; VARINT_MAX];
        let head_bytes = put_varint(record.len() as u64, &mut head);
        let head = &head[..head_bytes];
        if overflow.is_empty() {
            match self.levels.leaf_with_room(head.len() + local.len()) {
                Some(leaf) => leaf.push(&[head, local]),
                None => self.levels.add(0, None, &[head, local], out),
            }
        } else {
            self.levels.add(0, None, &[head, local, &write_overflow(overflow, out).to_be_bytes()], out);
        }
    }

    /// Ends the tree and returns its root.
    pub(in crate::sink) fn finish(mut self, out: &mut PageBuffer) -> u32 {
        self.levels.at(0);
        self.levels.finish(None, out)
    }
}

/// Writes a chain of overflow pages and returns the first. The last one comes first, since a page names its successor.
fn write_overflow(rest: &[u8], out: &mut PageBuffer) -> u32 {
    let Format { page_size, usable } = out.format();
    let mut next = 0;
    for chunk in rest.chunks(usable - 4).rev() {
        let mut page = vec![0; page_size];
        page[..4].copy_from_slice(&u32::to_be_bytes(next));
        page[4..4 + chunk.len()].copy_from_slice(chunk);
        next = out.append(&page);
    }
    next
}

/// The pages of a tree of which one is open at each level, the lowest one first. A cell that does not fit into its page
/// moves up and separates the page from the next one.
#[derive(Debug)]
struct Levels {
    format: Format,
    /// Of the lowest level, and of those above.
    kinds: [PageKind; 2],
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    page: Page,
    /// A cell that did not fit. Whether it separates this page from the next one is not known before the next cell.
    waiting: Option<(Option<u32>, Vec<u8>)>,
}

impl Level {
    fn push(&mut self, child: Option<u32>, cell: &[&[u8]]) {
        match child {
            Some(child) => self.page.push(&[&child.to_be_bytes(), &cell.concat()]),
            None => self.page.push(cell),
        }
    }

    /// Takes the last cell back.
    fn pop(&mut self, has_children: bool) -> (Option<u32>, Vec<u8>) {
        let mut cell = self.page.pop();
        if !has_children {
            return (None, cell);
        }
        let rest = cell.split_off(4);
        (cell.try_into().ok().map(u32::from_be_bytes), rest)
    }
}

impl Levels {
    /// The open leaf, where `add` would only append a cell of so many bytes to it, as it nearly always does.
    #[inline]
    fn leaf_with_room(&mut self, bytes: usize) -> Option<&mut Page> {
        match self.levels.first_mut() {
            Some(Level { page, waiting: None }) if page.fits(bytes) => Some(page),
            _ => None,
        }
    }

    /// The level at a height, which may be the first one above the others.
    fn at(&mut self, height: usize) -> &mut Level {
        if height == self.levels.len() {
            let kind = self.kinds[height.min(1)];
            self.levels.push(Level { page: Page::new(kind, self.format), waiting: None });
        }
        &mut self.levels[height]
    }

    /// Appends a cell, given in parts, with the child on its left.
    #[inline]
    fn add(&mut self, height: usize, child: Option<u32>, cell: &[&[u8]], out: &mut PageBuffer) {
        let level = self.at(height);
        if let Some((last_child, separator)) = level.waiting.take() {
            let closed = level.page.close(last_child, out);
            level.push(child, cell);
            self.add(height + 1, Some(closed), &[&separator], out);
        } else if level.page.fits(cell.iter().map(|part| part.len()).sum::<usize>() + child.map_or(0, |_| 4)) {
            level.push(child, cell);
        } else {
            level.waiting = Some((child, cell.concat()));
        }
    }

    /// Closes all pages, given the last child of the lowest level, and returns the root.
    fn finish(&mut self, mut last_child: Option<u32>, out: &mut PageBuffer) -> u32 {
        let mut height = 0;
        while height < self.levels.len() {
            let level = &mut self.levels[height];
            if let Some((child, cell)) = level.waiting.take() {
                let (left_child, separator) = level.pop(child.is_some());
                let closed = level.page.close(left_child, out);
                level.push(child, &[&cell]);
                self.add(height + 1, Some(closed), &[&separator], out);
            }
            last_child = Some(self.levels[height].page.close(last_child, out));
            height += 1;
        }
        // A table of one leaf has no other level: that leaf is its root.
        last_child.unwrap_or_default()
    }
}
