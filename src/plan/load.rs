//! From a pipeline file to a plan: the order in which its parts are resolved, and what the command line puts in place.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::chunk::parse;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::error::did_you_mean;
use crate::expr::Program;
use crate::expr::bind::{Binder, Parameters, Scope};
use crate::expr::sql::{SourceFile, SqlText};
use crate::plan::lookup::LookupSpace;
use crate::plan::spec::{Spanned, Spec};
use crate::plan::{FeedPlan, Limits, LookupPlan, Only, Plan, ReportPlan, feed, incremental, lookup, rowload, tables};

/// What the command line puts in place of what the pipeline file says.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Values of parameters: `--param NAME=VALUE`.
    pub parameters: Vec<(String, String)>,
    /// Paths of feeds and lookups: `--input NAME=PATH`.
    pub inputs: Vec<(String, String)>,
    /// Files of the only feed.
    pub files: Vec<String>,
    /// Where relative paths in the pipeline file start from; the folder of the file if not given.
    pub dir: Option<PathBuf>,
    /// The most memory that the process may use, in bytes: lookups have to fit into a share of it.
    pub memory_limit_bytes: Option<u64>,
    /// Columns and the values that rows are to have in them: `--only COLUMN=VALUE,VALUE`.
    pub only: Vec<(String, String)>,
}

/// What the parts of a pipeline are resolved with.
pub(super) struct Context<'a> {
    pub(super) file: &'a SourceFile,
    pub(super) parameters: &'a Parameters,
    pub(super) lookups: &'a [LookupPlan],
    pub(super) only: Option<&'a Only>,
    pub(super) warnings: Vec<Error>,
}

impl Context<'_> {
    pub(super) fn sql(&self, literal: &Spanned<String>) -> SqlText {
        SqlText::new(self.file.clone(), literal.span(), literal.get_ref().clone())
    }

    pub(super) fn binder<'b>(
        &'b mut self,
        program: &'b mut Program,
        scope: &'b Scope,
        text: &'b SqlText,
    ) -> Binder<'b> {
        Binder { program, scope, parameters: self.parameters, text, warnings: &mut self.warnings }
    }
}

impl Plan {
    /// Reads and resolves a pipeline file and loads its lookups.
    ///
    /// # Errors
    /// The first thing that is wrong with it, underlined, or a lookup that cannot be read.
    pub fn load(path: &Path, settings: &Settings) -> Result<Plan> {
        let text = std::fs::read_to_string(path).map_err(|cause| {
            Error::io(ErrorKind::Usage, "read the pipeline file", path, &cause)
                .help("`feedmill init --preset transactions > transactions.toml` writes one to start from")
        })?;
        let file = SourceFile { name: path.display().to_string(), text: Arc::from(text) };
        let spec = Spec::parse(&file)?;
        let names = Names::check(&file, &spec)?;
        for (name, _) in &settings.inputs {
            names.expect_input(name)?;
        }
        let dir = match &settings.dir {
            Some(dir) => dir.clone(),
            None => path.parent().map(Path::to_path_buf).unwrap_or_default(),
        };
        let parameters = parameters(&file, &spec, &settings.parameters)?;
        let mut lookups = Vec::new();
        let mut space = LookupSpace::new(settings.memory_limit_bytes);
        for (name, spec) in &spec.lookup {
            let given = settings.inputs.iter().find(|(input, _)| input == name.get_ref());
            let path = match given {
                Some((_, path)) => PathBuf::from(path),
                None => dir.join(spec.file.get_ref()),
            };
            lookups.push(lookup::load(&file, name.get_ref(), spec, path, &mut space)?);
        }
        let only = Only::new(&settings.only)?;
        let mut context = Context {
            file: &file,
            parameters: &parameters,
            lookups: &lookups,
            only: only.as_ref(),
            warnings: Vec::new(),
        };
        let mut feeds = Vec::new();
        for (name, spec) in &spec.feed {
            let mut plan = feed::resolve(&mut context, name.get_ref(), spec)?;
            plan.files = files(spec.files.iter().map(|file| file.get_ref().as_str()), name.get_ref(), &dir, settings);
            feeds.push(plan);
        }
        if !settings.files.is_empty() && feeds.len() != 1 {
            let names: Vec<&str> = feeds.iter().map(|feed| feed.name.as_str()).collect();
            return Err(Error::new(ErrorKind::Usage, "the pipeline has several feeds, so FILES could be any of them")
                .help(format!("say which: --input {}=PATH", names.join("=PATH --input "))));
        }
        let (mut tables, sql_lookups) = tables::resolve(&mut context, &spec, &mut feeds)?;
        rowload::resolve(&file, &spec, &mut feeds, &mut tables)?;
        tables::check_keys(&file, &spec, &tables)?;
        tables::check_temporary(&file, &spec, &feeds, &tables)?;
        let text = feed::parameters(&parameters);
        incremental::resolve(&file, &spec, &text, &lookups, &mut feeds, &tables)?;
        for feed in &mut feeds {
            feed::mark_used(feed);
            if only.is_some() {
                // What is kept for the next run are the groups of all rows.
                feed.incremental = None;
            }
        }
        let mut reports = Vec::new();
        for report in &spec.report {
            let text = context.sql(&report.sql);
            let query = text.parse_query()?;
            let sql = tables::put_in_parameters(&context, &text, &query)?;
            let reads_temporary = tables::reads_temporary(&query, &tables);
            reports.push(ReportPlan { title: report.title.clone(), sql, text, reads_temporary });
        }
        let limits = limits(&file, &spec)?;
        let mut warnings = context.warnings;
        // An expression that is bound twice, for its type and for its value, is one surprise.
        let mut seen = HashSet::new();
        warnings
            .retain(|warning| seen.insert((warning.to_string(), warning.excerpt().map(|place| place.span.clone()))));
        Ok(Plan {
            path: path.to_path_buf(),
            parameters,
            lookups,
            feeds,
            tables,
            sql_lookups,
            reports,
            limits,
            only,
            warnings,
        })
    }
}

/// The paths that a feed reads: from the command line, or from the pipeline file and then relative to `dir`.
fn files<'a>(written: impl Iterator<Item = &'a str>, feed: &str, dir: &Path, settings: &Settings) -> Vec<String> {
    let given: Vec<String> =
        settings.inputs.iter().filter(|(name, _)| name == feed).map(|(_, path)| path.clone()).collect();
    if !given.is_empty() {
        return given;
    }
    if !settings.files.is_empty() {
        return settings.files.clone();
    }
    written
        .map(|path| if path == "-" { path.to_owned() } else { dir.join(path).to_string_lossy().into_owned() })
        .collect()
}

/// The names of feeds, lookups and tables: all different, since SQL knows them by name.
struct Names {
    inputs: Vec<String>,
}

impl Names {
    fn check(file: &SourceFile, spec: &Spec) -> Result<Names> {
        let all = spec.feed.keys().chain(spec.lookup.keys()).chain(spec.table.keys()).chain(spec.rules.keys());
        let mut seen: Vec<&str> = Vec::new();
        for name in all {
            let text = name.get_ref().as_str();
            if seen.iter().any(|other| other.eq_ignore_ascii_case(text)) {
                return Err(file.error(name.span(), format!("`{text}` is the name of two things")));
            }
            if text.is_empty()
                || text.to_lowercase().starts_with("_feedmill")
                || text.to_lowercase().starts_with("sqlite_")
            {
                return Err(file.error(name.span(), format!("`{text}` is not a name that a table can have")));
            }
            seen.push(text);
        }
        if spec.feed.is_empty() {
            return Err(file
                .error(0..0, "the pipeline has no feed")
                .help("add [feed.NAME] with `files` and `columns`"));
        }
        if spec.table.is_empty() {
            return Err(file.error(0..0, "the pipeline has no table").help("add [table.NAME] with `sql`"));
        }
        Ok(Names { inputs: spec.feed.keys().chain(spec.lookup.keys()).map(|name| name.get_ref().clone()).collect() })
    }

    fn expect_input(&self, name: &str) -> Result<()> {
        if self.inputs.iter().any(|input| input == name) {
            return Ok(());
        }
        let error = Error::new(ErrorKind::Usage, format!("--input {name}: there is no feed or lookup of that name"));
        Err(match did_you_mean(name, self.inputs.iter().map(String::as_str)) {
            Some(help) => error.help(help),
            None => error.help(format!("there are {}", self.inputs.join(", "))),
        })
    }
}

fn parameters(file: &SourceFile, spec: &Spec, given: &[(String, String)]) -> Result<Parameters> {
    let mut parameters = Parameters::new();
    for (name, value) in &spec.params {
        let parameter = value.get_ref().to_parameter().map_err(|message| file.error(value.span(), message))?;
        parameters.insert(name.clone(), parameter);
    }
    for (name, text) in given {
        let Some(parameter) = parameters.get_mut(name) else {
            let error = Error::new(ErrorKind::Usage, format!("--param {name}: there is no such parameter"));
            return Err(match did_you_mean(name, parameters.keys().map(String::as_str)) {
                Some(help) => error.help(help),
                None => error.help("parameters are declared, with a default, under [params] in the pipeline file"),
            });
        };
        parameter.value = parse::parse(text.as_bytes(), parameter.data_type).map_err(|code| {
            let reason = parse::reason(code, parameter.data_type);
            Error::new(ErrorKind::Usage, format!("--param {name}: `{text}` is {reason}"))
        })?;
    }
    Ok(parameters)
}

fn limits(file: &SourceFile, spec: &Spec) -> Result<Limits> {
    let rate = spec.limits.max_error_rate.as_ref();
    if let Some(rate) = rate.filter(|rate| !(0.0..=1.0).contains(rate.get_ref())) {
        return Err(file.error(rate.span(), "a rate goes from 0 to 1"));
    }
    Ok(Limits { max_errors: spec.limits.max_errors, max_error_rate: rate.map(|rate| *rate.get_ref()) })
}

/// The feed of that name.
pub(super) fn find_feed<'a>(feeds: &'a mut [FeedPlan], name: &str) -> Option<&'a mut FeedPlan> {
    feeds.iter_mut().find(|feed| feed.name.eq_ignore_ascii_case(name))
}
