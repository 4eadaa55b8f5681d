//! `tapline rules`.
use std::io::Write as _;

use schemars::JsonSchema;
use serde::Serialize;
use tapline_analysis::lint::rules::ALL;
use tapline_analysis::lint::{Confidence, Severity};

use crate::args::{OfRules, Rules, TextOrJson};
use crate::config;
use crate::error::{Result, Status};
use crate::render::severity_style;
use crate::schema as shape;
use crate::terminal::{self, Terminal, style};

#[derive(JsonSchema, Serialize)]
pub(crate) struct Document {
    #[schemars(extend("const" = "tapline.rules/1"))]
    schema: &'static str,
    rules: Vec<Row>,
}

#[derive(JsonSchema, Serialize)]
struct Row {
    code: &'static str,
    id: &'static str,
    #[schemars(with = "shape::Severity")]
    severity: Severity,
    #[schemars(with = "shape::Confidence")]
    confidence: Confidence,
    summary: &'static str,
    /// Cannot be turned off without a word.
    core: bool,
    /// Written by the user.
    own: bool,
}

pub(crate) fn run(args: &Rules, terminal: &Terminal) -> Result<Status> {
    if let Some(OfRules::Test(args)) = &args.action {
        return super::rules_test::run(args, terminal);
    }
    let catalogue = config::load(&args.config, None)?.catalogue;
    let built_in = |code: &str| ALL.iter().any(|it| it.code == code);
    let mut out = terminal::out();
    match args.format {
        TextOrJson::Json => {
            let rules = catalogue
                .rules()
                .map(|it| Row {
                    code: it.code,
                    id: it.id,
                    severity: it.severity,
                    confidence: it.confidence,
                    summary: it.summary,
                    core: it.traits.core,
                    own: !built_in(it.code),
                })
                .collect();
            let document = Document { schema: "tapline.rules/1", rules };
            serde_json::to_writer_pretty(&mut out, &document)?;
            writeln!(out)?;
        }
        TextOrJson::Text => {
            let paint = terminal.stdout();
            let widest = |of: fn(&tapline_analysis::lint::Rule) -> usize| {
                catalogue.rules().map(of).max().unwrap_or_default()
            };
            let (code, id) = (widest(|it| it.code.len()), widest(|it| it.id.len()));
            for rule in catalogue.rules() {
                let severity = rule.severity.to_string();
                writeln!(
                    out,
                    "{}  {:id$}  {}  {}",
                    paint.of(style::STRONG, format_args!("{:code$}", rule.code)),
                    rule.id,
                    paint.of(severity_style(rule.severity), format_args!("{severity:7}")),
                    rule.summary,
                )?;
            }
        }
    }
    out.flush()?;
    Ok(Status::Clean)
}
