//! The command: what was typed becomes a call of the library, and what comes back is shown. The only place that knows
//! clap, terminals and progress bars.

mod arguments;
mod check;
mod compare;
mod demo;
mod explain;
mod generate;
mod progress;
mod replay;
mod run;
mod summary;
mod text;
mod verify;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use arguments::{Arguments, Command, When};

/// How a command ended, if it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Clean,
    Rejects,
    Differences,
    Interrupted,
}

impl Ending {
    fn exit_code(self) -> u8 {
        match self {
            Ending::Clean => 0,
            Ending::Differences => 1,
            Ending::Rejects => 3,
            Ending::Interrupted => 130,
        }
    }
}

/// What every command needs to know about how to speak.
#[derive(Debug, Clone, Copy)]
struct Manner {
    quiet: bool,
    verbose: bool,
    progress: bool,
    colour: bool,
}

/// Runs the command that was typed and returns the exit code.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let manner = Manner {
        quiet: arguments.quiet,
        verbose: arguments.verbose,
        progress: !arguments.quiet && decide(arguments.progress, std::io::stderr().is_terminal()),
        colour: decide(arguments.color, std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()),
    };
    install_error_style(manner.colour);
    match dispatch(arguments.command, manner) {
        Ok(ending) => ExitCode::from(ending.exit_code()),
        Err(error) => {
            let code = exit_code(error.kind());
            eprintln!("{:?}", miette::Report::new(error));
            ExitCode::from(code)
        }
    }
}

fn dispatch(command: Command, manner: Manner) -> Result<Ending> {
    match command {
        Command::Run(arguments) => run::run(&arguments, manner),
        Command::Check(arguments) => check::check(&arguments, manner),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::Verify(arguments) => verify::verify(&arguments, manner),
        Command::Compare(arguments) => compare::compare(&arguments, manner),
        Command::Replay(arguments) => replay::replay(&arguments, manner),
        Command::Init(arguments) => print(arguments.preset.text),
        Command::Generate(arguments) => generate::generate(&arguments, manner),
        Command::Demo(arguments) => demo::demo(&arguments, manner),
    }
}

fn decide(when: When, terminal: bool) -> bool {
    match when {
        When::Auto => terminal,
        When::Always => true,
        When::Never => false,
    }
}

fn install_error_style(colour: bool) {
    // The hook can be set only once, and is set only here.
    let _ = miette::set_hook(Box::new(move |_| {
        let theme = if colour { miette::GraphicalTheme::unicode() } else { miette::GraphicalTheme::none() };
        Box::new(miette::GraphicalReportHandler::new_themed(theme).with_width(110))
    }));
}

fn exit_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Usage | ErrorKind::Pipeline => 2,
        ErrorKind::Input | ErrorKind::Output | ErrorKind::Internal => 1,
        ErrorKind::Limit => 4,
        ErrorKind::Interrupted => 130,
    }
}

/// A folder that is removed when it is dropped.
fn temporary_folder() -> Result<tempfile::TempDir> {
    tempfile::tempdir()
        .map_err(|cause| Error::new(ErrorKind::Output, format!("cannot make a temporary folder: {cause}")))
}

/// Writes results to stdout. A reader that has gone away wants no more, which is no failure.
fn print(text: &str) -> Result<Ending> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(cause) if cause.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::new(ErrorKind::Output, format!("cannot write to stdout: {cause}")))
        }
        _ => Ok(Ending::Clean),
    }
}
