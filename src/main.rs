//! The bin: hands over to the command and exits with its code.

use std::process::ExitCode;

fn main() -> ExitCode {
    feedmill::cli::main()
}
