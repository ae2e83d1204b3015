//! The loops over the selected rows of a column: shapes are told apart once a chunk, values are never copied.

use crate::chunk::{Column, ColumnView, Selection, Text, Values};

/// Calls `visit` for each selected row, in order, with the place of its value among the values of the view's column;
/// `None` for NULL.
#[inline(always)]
pub(super) fn for_each_row(view: &ColumnView<'_>, selection: &Selection, mut visit: impl FnMut(Option<usize>)) {
    match view {
        ColumnView::Rows(column) => match &column.validity {
            None => selection.for_each(|row| visit(Some(row))),
            Some(valid) => selection.for_each(|row| visit(valid[row].then_some(row))),
        },
        ColumnView::Encoded { codes, entries, .. } => match &entries.validity {
            None => selection.for_each(|row| visit(Some(codes[row] as usize))),
            Some(valid) => selection.for_each(|row| {
                let code = codes[row] as usize;
                visit(valid[code].then_some(code));
            }),
        },
    }
}

/// Calls `visit` for each selected row that is not NULL, with its group and the place of its value.
#[inline(always)]
pub(super) fn for_each_value(
    groups: &[u32],
    view: &ColumnView<'_>,
    selection: &Selection,
    mut visit: impl FnMut(usize, usize),
) {
    let mut groups = groups.iter();
    for_each_row(view, selection, |place| {
        if let (Some(group), Some(place)) = (groups.next(), place) {
            visit(*group as usize, place);
        }
    });
}

/// The column that holds the values of a view.
pub(super) fn column<'a>(view: &ColumnView<'a>) -> &'a Column {
    match view {
        ColumnView::Rows(column) => column,
        ColumnView::Encoded { entries, .. } => entries,
    }
}

/// The values of a view of integers, decimals, dates or timestamps.
pub(super) fn ints<'a>(view: &ColumnView<'a>) -> &'a [i64] {
    match &column(view).values {
        Values::Int(values) => values,
        other => panic!("integers were announced, not {:?}", other.physical()),
    }
}

/// The values of a view of doubles.
pub(super) fn doubles<'a>(view: &ColumnView<'a>) -> &'a [f64] {
    match &column(view).values {
        Values::Double(values) => values,
        other => panic!("doubles were announced, not {:?}", other.physical()),
    }
}

/// The values of a view of booleans.
pub(super) fn bools<'a>(view: &ColumnView<'a>) -> &'a [bool] {
    match &column(view).values {
        Values::Bool(values) => values,
        other => panic!("booleans were announced, not {:?}", other.physical()),
    }
}

/// The values of a view of text.
pub(super) fn texts<'a>(view: &ColumnView<'a>) -> &'a Text {
    match &column(view).values {
        Values::Text(text) => text,
        other => panic!("text was announced, not {:?}", other.physical()),
    }
}
