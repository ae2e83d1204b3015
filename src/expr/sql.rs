//! SQL text and its place in a pipeline file: parsing by sqlparser, and errors that underline the right bytes.
//! Gives syntax trees; what their names mean is `bind`'s business.

use std::ops::Range;
use std::sync::Arc;

use sqlparser::ast::{ColumnDef, CreateTable, Expr, Query, Statement, TableConstraint};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span, Token};

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Excerpt;
use crate::error::Result;

/// A file that SQL stands in.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Its name, for messages.
    pub name: String,
    /// Its whole text.
    pub text: Arc<str>,
}

impl SourceFile {
    /// An error about a span of the file.
    pub fn error(&self, span: Range<usize>, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Pipeline, message).at(Excerpt {
            name: self.name.clone(),
            text: Arc::clone(&self.text),
            span,
            label: String::new(),
        })
    }
}

/// A piece of SQL and where it stands.
#[derive(Debug, Clone)]
pub struct SqlText {
    file: SourceFile,
    /// The bytes of the file that the SQL was read from, quotes included.
    literal: Range<usize>,
    /// Where the SQL itself begins, if it stands in the file to the letter.
    start: Option<usize>,
    sql: String,
    /// How many characters stand in front of the first line when it is parsed.
    shift: usize,
}

/// Put in front of column declarations to make a statement of them; on the same line, so that only columns shift.
const COLUMNS_PREFIX: &str = "CREATE TABLE t (";

impl SqlText {
    /// The SQL of a string in the file; `literal` spans the string with its quotes.
    pub fn new(file: SourceFile, literal: Range<usize>, sql: String) -> Self {
        let start = file.text.get(literal.clone()).and_then(|quoted| quoted.find(&sql)).map(|at| literal.start + at);
        SqlText { file, literal, start, sql, shift: 0 }
    }

    /// The same for column declarations and table constraints, as between the parentheses of a CREATE TABLE.
    pub fn columns(file: SourceFile, literal: Range<usize>, sql: String) -> Self {
        SqlText { shift: COLUMNS_PREFIX.len(), ..SqlText::new(file, literal, sql) }
    }

    /// The SQL itself.
    pub fn as_str(&self) -> &str {
        &self.sql
    }

    /// The file that it stands in.
    pub fn file(&self) -> &SourceFile {
        &self.file
    }

    /// Parses an expression.
    ///
    /// # Errors
    /// When it is not one.
    pub fn parse_expr(&self) -> Result<Expr> {
        let mut parser = self.parser(&self.sql)?;
        let expr = parser.parse_expr().map_err(|error| self.parse_error(&error))?;
        self.expect_end(&mut parser)?;
        Ok(expr)
    }

    /// Parses a SELECT, without a semicolon or with one.
    ///
    /// # Errors
    /// When it is not one.
    pub fn parse_query(&self) -> Result<Query> {
        let mut parser = self.parser(&self.sql)?;
        let query = parser.parse_query().map_err(|error| self.parse_error(&error))?;
        let _ = parser.consume_token(&Token::SemiColon);
        self.expect_end(&mut parser)?;
        Ok(*query)
    }

    /// Parses column declarations and table constraints.
    ///
    /// # Errors
    /// When they are not that.
    pub fn parse_columns(&self) -> Result<(Vec<ColumnDef>, Vec<TableConstraint>)> {
        let declarations = self.sql.trim_end().trim_end_matches(',');
        let statement = format!("{COLUMNS_PREFIX}{declarations}\n)");
        let statements = Parser::parse_sql(&GenericDialect {}, &statement).map_err(|error| self.parse_error(&error))?;
        match <[Statement; 1]>::try_from(statements) {
            Ok([Statement::CreateTable(CreateTable { columns, constraints, .. })]) => Ok((columns, constraints)),
            _ => Err(self.file.error(self.literal.clone(), "expected column declarations")),
        }
    }

    /// An error about a part of what was parsed.
    pub fn error(&self, span: Span, message: impl Into<String>) -> Error {
        self.file.error(self.locate(span), message)
    }

    /// An error about a range of bytes of the SQL.
    pub fn error_at(&self, range: Range<usize>, message: impl Into<String>) -> Error {
        match self.start {
            Some(start) => self.file.error(start + range.start..start + range.end, message),
            None => self.error_whole(message),
        }
    }

    /// An error about the SQL as a whole.
    pub fn error_whole(&self, message: impl Into<String>) -> Error {
        self.file.error(self.literal.clone(), message)
    }

    /// The SQL with the parts at the given spans put in place of what stands there.
    pub fn replace(&self, mut parts: Vec<(Span, String)>) -> String {
        parts.sort_by_key(|(span, _)| (span.start.line, span.start.column));
        let mut sql = self.sql.clone();
        for (span, text) in parts.iter().rev() {
            let start = offset(&self.sql, span.start);
            sql.replace_range(start..end_offset(&self.sql, *span), text);
        }
        sql
    }

    fn parser(&self, sql: &str) -> Result<Parser<'static>> {
        Parser::new(&GenericDialect {}).try_with_sql(sql).map_err(|error| self.parse_error(&error))
    }

    fn expect_end(&self, parser: &mut Parser<'_>) -> Result<()> {
        let token = parser.peek_token();
        if token.token == Token::EOF {
            return Ok(());
        }
        let span = self.locate(token.span);
        Err(self.file.error(span, format!("unexpected `{}` behind the end", token.token)))
    }

    fn parse_error(&self, error: &ParserError) -> Error {
        let message = match error {
            ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.clone(),
            ParserError::RecursionLimitExceeded => "the SQL is nested too deeply".to_owned(),
        };
        // sqlparser hands out the place of an error only as text: "... at Line: 1, Column: 15".
        match message.rsplit_once(" at Line: ") {
            Some((what, place)) => {
                let mut numbers = place.split(", Column: ").map(|number| number.trim().parse().unwrap_or(0));
                let location = Location { line: numbers.next().unwrap_or(0), column: numbers.next().unwrap_or(0) };
                let span = self.locate(Span::new(location, location));
                self.file.error(span, format!("this is not valid SQL: {what}"))
            }
            None => self.error_whole(format!("this is not valid SQL: {message}")),
        }
    }

    /// The bytes of the file that a span of the SQL means; the whole literal where that is not known.
    fn locate(&self, span: Span) -> Range<usize> {
        let Some(start) = self.start.filter(|_| span.start.line > 0) else { return self.literal.clone() };
        let shifted = |location: Location| {
            let shift = if location.line == 1 { self.shift as u64 } else { 0 };
            Location { line: location.line, column: location.column.saturating_sub(shift).max(1) }
        };
        let span = Span::new(shifted(span.start), shifted(span.end));
        let from = offset(&self.sql, span.start);
        let to = end_offset(&self.sql, span).max(word_end(&self.sql, from));
        start + from..start + to
    }
}

/// The byte offset of a line and column, both from 1, columns in characters.
fn offset(sql: &str, location: Location) -> usize {
    let line = (location.line as usize).saturating_sub(1);
    let line_start: usize = sql.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = &sql[line_start..];
    let column = (location.column as usize).saturating_sub(1);
    line_start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at)
}

/// The byte offset behind a span. sqlparser's spans end behind their last character.
fn end_offset(sql: &str, span: Span) -> usize {
    offset(sql, span.end).max(offset(sql, span.start))
}

/// The end of the word that begins at `from`, for errors that come with a point instead of a span.
fn word_end(sql: &str, from: usize) -> usize {
    let word = |character: char| character.is_alphanumeric() || character == '_';
    let rest = &sql[from..];
    let len = rest.find(|character| !word(character)).unwrap_or(rest.len());
    from + len.max(rest.chars().next().map_or(0, char::len_utf8))
}

#[cfg(test)]
mod tests {
    use sqlparser::ast::Spanned;

    use super::*;

    fn literal(file: &str) -> (SourceFile, Range<usize>) {
        let literal = file.find('"').unwrap()..file.rfind('"').unwrap() + 1;
        (SourceFile { name: "p.toml".into(), text: file.into() }, literal)
    }

    fn text(file: &str, sql: &str) -> SqlText {
        let (file, literal) = literal(file);
        SqlText::new(file, literal, sql.to_owned())
    }

    fn underlined(error: &Error) -> String {
        let excerpt = error.excerpt().unwrap();
        excerpt.text[excerpt.span.clone()].to_owned()
    }

    #[test]
    fn errors_underline_the_place_in_the_file() {
        let sql = text("x = \"a +* b\"", "a +* b");
        assert_eq!(underlined(&sql.parse_expr().unwrap_err()), "*");
        let sql = text("x = \"\"\"\nSELECT a,\n  b FROM\n\"\"\"", "SELECT a,\n  b FROM\n");
        assert!(sql.parse_query().is_err());
        let sql = text("x = \"a b\"", "a b");
        assert_eq!(underlined(&sql.parse_expr().unwrap_err()), "b");
    }

    #[test]
    fn parts_of_declarations_are_found() {
        for (file, declarations) in [
            ("columns = \"a INTEGER, bc TEXT\"", "a INTEGER, bc TEXT"),
            ("columns = \"\"\"\n  a INTEGER,\n  bc TEXT,\n\"\"\"", "  a INTEGER,\n  bc TEXT,\n"),
        ] {
            let (file, literal) = literal(file);
            let sql = SqlText::columns(file, literal, declarations.to_owned());
            let (columns, _) = sql.parse_columns().unwrap();
            assert_eq!(underlined(&sql.error(columns[1].name.span, "no")), "bc");
        }
    }

    #[test]
    fn parts_are_replaced_by_their_spans() {
        let sql = text("x = \"a + bb\"", "a + bb");
        let Expr::BinaryOp { left, right, .. } = sql.parse_expr().unwrap() else { panic!() };
        assert_eq!(sql.replace(vec![(left.span(), "1".into()), (right.span(), "'two'".into())]), "1 + 'two'");
    }
}
