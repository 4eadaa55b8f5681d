//! `tapline snapshot`.
use std::io::Write as _;

use tapline_analysis::diff::{By, Class, Side};
use tapline_analysis::lint::{Report, Settings};
use tapline_network::Network;

use super::diff::{self, Question, Read};
use crate::args::{DiffFormat, Snapshot};
use crate::error::{Result, Status};
use crate::terminal::Terminal;
use crate::{golden, pipeline};

pub(crate) fn run(args: &Snapshot, terminal: &Terminal) -> Result<Status> {
    if let Some(path) = &args.check {
        let expected = Read::golden(path)?;
        let actual = Read::captured(&args.inputs, terminal)?;
        let key = args.inputs.anonymize.as_deref();
        let (expected, actual) = diff::replaced(expected, actual, key, terminal)?;
        let question = Question {
            by: By::Identity,
            format: DiffFormat::Text,
            least: Some(Class::Cosmetic),
            all: false,
        };
        return diff::compare(&expected, &actual, question, terminal);
    }
    let captured = pipeline::read(&args.inputs, terminal)?;
    let topology = pipeline::topology(&captured);
    let (settings, report) = (Settings::default(), Report::default());
    let network = Network::new(&topology, None, &settings.env);
    let text = golden::write(&Side::new(&network, &report))?;
    let mut out = terminal.out();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(Status::Clean)
}
