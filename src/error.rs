//! What ends a run: one error type with a kind (which decides the exit code), a message, what to do about it and, for
//! pipeline files, the place underlined. Bad rows are not errors; they are `chunk::Reject`s.

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;

/// The result of everything that can end a run.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a run ended; the command maps each kind to an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A wrong command line: exit code 2.
    Usage,
    /// A pipeline file that says something wrong or unsupported: exit code 2.
    Pipeline,
    /// An input that is missing, unreadable, corrupt or not what the pipeline declares: exit code 1.
    Input,
    /// A database, dead-letter file or report that cannot be written: exit code 1.
    Output,
    /// A limit that the user set was passed and nothing was published: exit code 4.
    Limit,
    /// Ctrl-C or SIGTERM: exit code 130.
    Interrupted,
    /// A broken promise of feedmill itself: exit code 1.
    Internal,
}

/// Where a record lies: what every message about it begins with, and every dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The input, as the user named it.
    pub input: String,
    /// The member of the input, where that is an archive.
    pub member: Option<String>,
    /// The physical line on which the record starts, from 1, the header counted.
    pub line: u64,
    /// The data record, from 1.
    pub record: u64,
    /// The offset of its first byte in the (decompressed) input or member.
    pub byte_offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.input)?;
        if let Some(member) = &self.member {
            write!(f, "/{member}")?;
        }
        write!(f, ":{} (record {}, byte {})", self.line, self.record, self.byte_offset)
    }
}

/// A piece of a text with a span of it underlined.
#[derive(Debug, Clone)]
pub struct Excerpt {
    /// The file that the text came from.
    pub name: String,
    /// The whole text of that file.
    pub text: Arc<str>,
    /// The underlined bytes.
    pub span: Range<usize>,
    /// What is said under the line; may be empty.
    pub label: String,
}

/// What ended a run. One pointer wide.
pub struct Error(Box<Parts>);

struct Parts {
    kind: ErrorKind,
    message: String,
    help: Option<String>,
    excerpt: Option<(miette::NamedSource<Arc<str>>, Excerpt)>,
}

impl Error {
    /// An error of a kind, with the sentence that says what is wrong and where.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Parts { kind, message: message.into(), help: None, excerpt: None }))
    }

    /// An I/O failure on a path, phrased as "cannot VERB PATH: cause".
    pub fn io(kind: ErrorKind, verb: &str, path: &Path, cause: &dyn fmt::Display) -> Self {
        Error::new(kind, format!("cannot {verb} {}: {cause}", path.display()))
    }

    /// An I/O failure on the temporary files in a directory, phrased as "cannot VERB temporary files in DIR: cause".
    pub fn temporary_files(verb: &str, directory: &Path, cause: &dyn fmt::Display) -> Self {
        Error::io(ErrorKind::Output, &format!("{verb} temporary files in"), directory, cause)
            .help("make room there, or give --temp-dir a directory on another disk")
    }

    /// Puts the place in front of the message: "PLACE: message".
    #[must_use]
    pub fn within(mut self, place: &dyn fmt::Display) -> Self {
        self.0.message = format!("{place}: {}", self.0.message);
        self
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// Adds the place in a text.
    #[must_use]
    pub fn at(mut self, excerpt: Excerpt) -> Self {
        let source = miette::NamedSource::new(&excerpt.name, Arc::clone(&excerpt.text));
        self.0.excerpt = Some((source, excerpt));
        self
    }

    /// Why the run ended.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The underlined place, if the error has one.
    pub fn excerpt(&self) -> Option<&Excerpt> {
        self.0.excerpt.as_ref().map(|(_, excerpt)| excerpt)
    }

    /// What to do about it, if anything is known.
    pub fn help_text(&self) -> Option<&str> {
        self.0.help.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.0.message)?;
        match &self.0.help {
            Some(help) => write!(f, " (help: {help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl miette::Diagnostic for Error {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.0.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.0.excerpt.as_ref().map(|(source, _)| source as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        let (_, excerpt) = self.0.excerpt.as_ref()?;
        let label = (!excerpt.label.is_empty()).then(|| excerpt.label.clone());
        let span = miette::LabeledSpan::new(label, excerpt.span.start, excerpt.span.len());
        Some(Box::new(std::iter::once(span)))
    }
}

/// What a thread has returned; its panic goes on here.
pub fn joined<T>(result: std::result::Result<T, Box<dyn Any + Send>>) -> T {
    result.unwrap_or_else(|panic| resume_unwind(panic))
}

/// The known name nearest to a mistyped one, as `did you mean `x`?`, if one is near enough.
pub fn did_you_mean<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&typed.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= 1 + name.len().max(typed.len()) / 4)
        .min()
        .map(|(_, name)| format!("did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested_and_far_ones_are_not() {
        let known = ["transaction_date", "sku_id", "zip_code"];
        assert_eq!(did_you_mean("transaction_dat", known).as_deref(), Some("did you mean `transaction_date`?"));
        assert_eq!(did_you_mean("ZIPCODE", known).as_deref(), Some("did you mean `zip_code`?"));
        assert_eq!(did_you_mean("customer", known), None);
    }
}
