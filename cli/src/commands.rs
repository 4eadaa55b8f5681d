//! The commands, one file each.
mod collect;
mod completions;
mod coverage;
mod diff;
mod explain;
pub(crate) mod graph;
mod info;
mod init;
mod lint;
mod man;
mod reach;
mod records;
mod report;
pub(crate) mod rules;
mod rules_test;
mod schema;
mod show;
mod snapshot;
mod trace;
mod verify;

use crate::args::Command;
use crate::error::{Result, Status};
use crate::terminal::Terminal;

/// Runs one command.
pub(crate) fn run(command: Command, terminal: &Terminal) -> Result<Status> {
    match command {
        Command::Lint(args) => lint::run(&args, terminal),
        Command::Report(args) => report::run(&args, terminal),
        Command::Info(args) => info::run(&args, terminal),
        Command::Show(args) => show::run(&args, terminal),
        Command::Snapshot(args) => snapshot::run(&args, terminal),
        Command::Trace(args) => trace::run(*args, terminal),
        Command::Reach(args) => reach::run(&args, terminal),
        Command::Verify(args) => verify::run(&args, terminal),
        Command::Graph(args) => graph::run(&args, terminal),
        Command::Diff(args) => diff::run(&args, terminal),
        Command::Records(args) => records::run(&args, terminal),
        Command::Coverage(args) => coverage::run(&args, terminal),
        Command::Collect => collect::run(terminal),
        Command::Init(args) => init::run(&args, terminal),
        Command::Rules(args) => rules::run(&args, terminal),
        Command::Explain(args) => explain::run(&args, terminal),
        Command::Schema(args) => schema::run(&args, terminal),
        Command::Completions(args) => completions::run(&args, terminal),
        Command::Man(args) => man::run(&args, terminal),
    }
}
