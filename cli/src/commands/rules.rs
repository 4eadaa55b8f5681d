//! `tapline rules`.
use std::io::Write as _;

use schemars::JsonSchema;
use serde::Serialize;
use tapline_analysis::lint::{Confidence, RuleRef, Severity};

use crate::args::{OfRules, Rules, TextOrJson};
use crate::config;
use crate::error::{Result, Status};
use crate::render::severity_style;
use crate::schema as shape;
use crate::terminal::{Terminal, style};

#[derive(JsonSchema, Serialize)]
pub(crate) struct Document<'a> {
    #[schemars(extend("const" = "tapline.rules/1"))]
    schema: &'static str,
    rules: Vec<Row<'a>>,
}

#[derive(JsonSchema, Serialize)]
struct Row<'a> {
    code: &'a str,
    id: &'a str,
    #[schemars(with = "shape::Severity")]
    severity: Severity,
    #[schemars(with = "shape::Confidence")]
    confidence: Confidence,
    summary: &'a str,
    /// Cannot be turned off without a word.
    core: bool,
    /// Written by the user.
    own: bool,
}

fn row(rule: &RuleRef) -> Row<'_> {
    Row {
        code: &rule.code,
        id: &rule.id,
        severity: rule.severity,
        confidence: rule.confidence,
        summary: &rule.summary,
        core: rule.traits.core,
        own: matches!(rule, RuleRef::Own(_)),
    }
}

pub(crate) fn run(args: &Rules, terminal: &Terminal) -> Result<Status> {
    if let Some(OfRules::Test(args)) = &args.action {
        return super::rules_test::run(args, terminal);
    }
    let catalogue = config::load(&args.config, None)?.catalogue;
    let all: Vec<RuleRef> = catalogue.rules().collect();
    let mut out = terminal.out();
    match args.format {
        TextOrJson::Json => {
            let rules = all.iter().map(row).collect();
            let document = Document { schema: "tapline.rules/1", rules };
            serde_json::to_writer_pretty(&mut out, &document)?;
            writeln!(out)?;
        }
        TextOrJson::Text => {
            let paint = terminal.stdout();
            let widest = |of: fn(&RuleRef) -> usize| all.iter().map(of).max().unwrap_or_default();
            let (code, id) = (widest(|rule| rule.code.len()), widest(|rule| rule.id.len()));
            for rule in &all {
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
