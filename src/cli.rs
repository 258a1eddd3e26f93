//! The command line: one file per command.
//!
//! Results go to stdout, messages to stderr, secrets nowhere. Exit codes: 0 well, 1 findings or
//! differences, 2 could not tell.

mod check;
mod completions;
mod crosswalk;
mod demo;
mod explain;
mod journal;
mod key;
mod limits;
mod matrix;
mod operator;
mod serve;
mod signals;
mod sim;
mod state;
mod test;

use std::fmt;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::app::StartError;
use crate::cli::signals::Stops;
use crate::diag::{self, Diagnostic, Severity};

/// Findings, or differences.
const FINDINGS: u8 = 1;
/// Warnings of what is so and of nothing to mend: lossy words, dropped fields, words that no client
/// can say, and what no page attests, which is shown only to who asks.
const REMARKS: [&str; 4] = ["M101", "M102", "M103", "M104"];
/// What these tell.
const TOLD: &str = "they tell what gets lost between systems (by pair: `latimer matrix`), or what no \
                    page attests";
/// Could not tell: usage, an unreadable file, an address that is taken.
const COULD_NOT_TELL: u8 = 2;

/// An API gateway that interprets between ticket systems.
#[derive(Debug, Parser)]
#[command(name = "latimer", version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Five simulated vendors, the gateway and a call per vendor; nothing to configure
    Demo(demo::Demo),
    /// Run the gateway
    Serve(serve::Serve),
    /// Check mappings and configuration
    Check(check::Check),
    /// Run the examples of mappings, and try the laws on them
    Test(test::Test),
    /// Show what gets lost between each client and each upstream
    Matrix(matrix::Matrix),
    /// Show every stage of a call, and the mapping line of each field
    Explain(explain::Explain),
    /// Run one simulated vendor
    Sim(sim::Sim),
    /// Make or hash a consumer's key
    Key(key::Key),
    /// Which ticket of one system is which of another
    Crosswalk(crosswalk::Crosswalk),
    /// What calls were about to change, and what came of it
    Journal(journal::Journal),
    /// Show how limits stand in the running gateway, or give calls back
    Limits(limits::Limits),
    /// Print completions for a shell
    Completions(completions::Completions),
}

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { COULD_NOT_TELL } else { 0 };
            // With stdout or stderr closed there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let done = match cli.command {
        Command::Demo(command) => command.run(),
        Command::Serve(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Test(command) => command.run(),
        Command::Matrix(command) => command.run(),
        Command::Explain(command) => command.run(),
        Command::Sim(command) => command.run(),
        Command::Key(command) => command.run(),
        Command::Crosswalk(command) => command.run(),
        Command::Journal(command) => command.run(),
        Command::Limits(command) => command.run(),
        Command::Completions(command) => command.run(),
    };
    ExitCode::from(done)
}

/// Prints a result.
fn print(text: &str) {
    // A closed pipe means that nobody reads on.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Prints a message.
fn tell(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Tells whoever sits at a terminal what is waited for; a file or a pipe needs no word.
fn ask(text: &str) {
    if std::io::stdin().is_terminal() {
        tell(&format!("{text}\n"));
    }
}

/// Shows findings on stderr, and how many there are.
fn show(found: &[Diagnostic]) {
    tell(&listed(found, std::io::stderr().is_terminal()));
}

/// Findings as text, and how many there are. What is to be mended is shown with its lines; what is so
/// between any two systems is one line each, after it: a sound folder must not look like a broken one.
fn listed(found: &[Diagnostic], color: bool) -> String {
    let (remarks, faults): (Vec<_>, Vec<_>) =
        found.iter().partition(|finding| REMARKS.contains(&finding.code));
    let mut text: String = faults.iter().map(|fault| diag::render(fault, color) + "\n").collect();
    text.extend(remarks.iter().map(|remark| diag::render_line(remark) + "\n"));
    text + &summary(found)
}

fn summary(found: &[Diagnostic]) -> String {
    let count = |severity| found.iter().filter(|finding| finding.severity == severity).count();
    let plural = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    match (count(Severity::Error), count(Severity::Warning)) {
        (0, 0) => String::new(),
        (0, warnings) if found.iter().all(|finding| REMARKS.contains(&finding.code)) => {
            let count = plural(warnings, "warning");
            format!("{count}, nothing to mend: {TOLD}\n")
        }
        (0, warnings) => format!("{}\n", plural(warnings, "warning")),
        (errors, 0) => format!("{}\n", plural(errors, "error")),
        (errors, warnings) => {
            format!("{}, {}\n", plural(errors, "error"), plural(warnings, "warning"))
        }
    }
}

/// Tells why the program does not start.
fn fail(error: &StartError) -> u8 {
    match error {
        StartError::Unreadable(why) => told(why),
        StartError::Findings(found) => {
            show(found);
            FINDINGS
        }
        StartError::Bind(address, why) => told(format_args!("cannot listen on {address}: {why}")),
        StartError::Tls(why) => could_not(why),
        StartError::State(why) => could_not(why),
        StartError::Limits(why) => could_not(why),
        StartError::Random(why) => {
            told(format_args!("the operating system gives no random numbers: {why}"))
        }
    }
}

/// Tells an error with its cause.
fn could_not(why: &dyn std::error::Error) -> u8 {
    let cause = why.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    told(format_args!("{why}{cause}"))
}

/// Tells why a command cannot do what it is for.
fn told(why: impl fmt::Display) -> u8 {
    tell(&format!("error: {why}\n"));
    COULD_NOT_TELL
}

/// A runtime for commands that serve. It has this thread and no other: the gateway's workers bring their own.
fn runtime() -> Result<tokio::runtime::Runtime, u8> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| told(format_args!("cannot start the runtime: {error}")))
}

/// Listens for Ctrl-C and SIGTERM from now on, which is before anybody is told that we are there; the
/// future ends when one came.
fn told_to_stop() -> impl Future<Output = ()> {
    let mut stops = Stops::listen();
    async move {
        stops.next().await;
    }
}
