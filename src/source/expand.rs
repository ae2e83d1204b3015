//! Names to inputs: `-`, paths and globs. Looks at directories and sizes, opens nothing.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result, did_you_mean};
use crate::source::{Input, printable};

/// How many names of a directory are looked at for one that was meant.
const NAMES_LOOKED_AT_MAX: usize = 10_000;

/// The inputs that patterns name: in the order of the patterns, and for a glob sorted by name.
///
/// A path that exists is taken literally, whatever characters it has. Globs do not match hidden files or directories.
/// A file that is named twice is an error, since its rows would be read twice.
pub fn expand(patterns: &[String]) -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    let mut named_by: HashMap<PathBuf, &str> = HashMap::new();
    for pattern in patterns {
        for input in expand_one(pattern)? {
            // Pipes have no canonical path; they are compared as written.
            let identity = match &input.path {
                Some(path) => fs::canonicalize(path).unwrap_or_else(|_| path.clone()),
                None => PathBuf::from("-"),
            };
            if let Some(earlier) = named_by.insert(identity, pattern) {
                let message = format!("{} is named twice, by `{earlier}` and by `{pattern}`", input.name);
                return Err(Error::new(ErrorKind::Input, message).help("each file is read once: name it once"));
            }
            inputs.push(input);
        }
    }
    Ok(inputs)
}

fn expand_one(pattern: &str) -> Result<Vec<Input>> {
    if pattern == "-" {
        return Ok(vec![Input { name: "-".into(), path: None, size: None }]);
    }
    let path = Path::new(pattern);
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let help = format!("name the files in it, such as `{}`", path.join("*.csv").display());
            Err(Error::new(ErrorKind::Input, format!("{pattern} is a directory")).help(help))
        }
        Ok(metadata) => Ok(vec![file(path.to_owned(), &metadata)]),
        Err(_) if pattern.contains(['*', '?', '[']) => matches(pattern),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Err(missing(path)),
        Err(cause) => Err(Error::io(ErrorKind::Input, "read", path, &cause)),
    }
}

fn file(path: PathBuf, metadata: &fs::Metadata) -> Input {
    let size = metadata.is_file().then_some(metadata.len());
    Input { name: printable(&path.to_string_lossy()).into(), path: Some(path), size }
}

fn matches(pattern: &str) -> Result<Vec<Input>> {
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
    let paths = glob::glob_with(pattern, options)
        .map_err(|cause| Error::new(ErrorKind::Input, format!("`{pattern}` is not a glob: {cause}")))?;
    let mut inputs = Vec::new();
    for path in paths {
        let path = path.map_err(|cause| Error::io(ErrorKind::Input, "read", cause.path(), cause.error()))?;
        let metadata = fs::metadata(&path).map_err(|cause| Error::io(ErrorKind::Input, "read", &path, &cause))?;
        if !metadata.is_dir() {
            inputs.push(file(path, &metadata));
        }
    }
    if inputs.is_empty() {
        let help = "it is taken from where feedmill runs, or from --dir; `*` does not match `/` or hidden files";
        return Err(Error::new(ErrorKind::Input, format!("no file matches `{pattern}`")).help(help));
    }
    inputs.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(inputs)
}

fn missing(path: &Path) -> Error {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let error = |what: &str| Error::new(ErrorKind::Input, format!("cannot find {}: {what}", path.display()));
    let Ok(entries) = fs::read_dir(directory) else {
        return error(&format!("there is no directory {}", directory.display()));
    };
    let names: Vec<String> = entries
        .take(NAMES_LOOKED_AT_MAX)
        .filter_map(|entry| Some(printable(&entry.ok()?.file_name().to_string_lossy())))
        .collect();
    let typed = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let error = error(&format!("there is no such file in {}", directory.display()));
    match did_you_mean(&typed, names.iter().map(String::as_str)) {
        Some(hint) => error.help(hint),
        None => error,
    }
}
