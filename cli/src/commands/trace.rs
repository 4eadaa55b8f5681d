//! `tapline trace`.
use std::io::{BufRead as _, Write as _};
use std::path::Path;

use rayon::prelude::*;
use tapline_network::Network;
use tapline_network::environment::Environment;
use tapline_network::trace::{Answered, EndError, Outcome, Question, Trace as Traced, Tracer};
use tapline_topology::Topology;

use crate::anonymous::Anonymous;
use crate::args::{Inputs, Trace, TraceFormat};
use crate::error::{CliError, Result, Status};
use crate::render::{trace_json, trace_svg, trace_text};
use crate::terminal::Terminal;
use crate::{find, pipeline, without};

/// Bytes of a file of questions.
const MOST_QUERIES: u64 = 1 << 30;
/// Words that start an end.
const PREFIXES: [&str; 8] = ["vm:", "ns:", "if:", "ovs:", "ip:", "mac:", "pod:", "port:"];
/// Words that are an end by themselves, of TO only.
const GOALS: [&str; 5] = ["outside", "gateway", "dhcp", "metadata", "broadcast"];

pub(crate) fn run(mut args: Trace, terminal: &Terminal) -> Result<Status> {
    let ends = split(&mut args.inputs, args.queries.is_some())?;
    let (snapshot, anonymous) = pipeline::read_with_words(&args.inputs, terminal)?;
    let topology = pipeline::topology(&snapshot);
    let environment = Environment::default();
    let network = Network::new(&topology, None, &environment);
    let tracer = Tracer::new(&network);
    if let Some(file) = &args.queries {
        let asked = Asked { topology: &topology, tracer: &tracer, anonymous: &anonymous };
        return many(file, args.verbose, asked, terminal);
    }
    let mut question = question(&args);
    let mut ends = ends.into_iter();
    question.from = ends.next().unwrap_or_default();
    question.to = ends.next();
    translate(&mut question, &anonymous);
    if let Some(word) = &question.without {
        let key = without::key(&topology, word);
        question.without = Some(key.map_err(|error| without::refuse(&topology, &error))?);
    }
    one(&args, &question, &topology, &tracer, terminal)
}

/// What questions are put to.
#[derive(Clone, Copy)]
struct Asked<'t, 'a, 'n> {
    topology: &'t Topology<'a>,
    tracer: &'t Tracer<'n, 'a>,
    anonymous: &'t Anonymous,
}

fn one(
    args: &Trace,
    question: &Question,
    topology: &Topology<'_>,
    tracer: &Tracer<'_, '_>,
    terminal: &Terminal,
) -> Result<Status> {
    let answered = tracer.ask(question).map_err(|error| refuse(topology, &error))?;
    let mut out = terminal.out();
    let format = if args.minimal { TraceFormat::Minimal } else { args.format };
    match format {
        TraceFormat::Text => {
            trace_text::render(&mut out, topology, &answered, args.verbose, terminal)?;
        }
        TraceFormat::Minimal => trace_text::minimal(&mut out, topology, &answered)?,
        TraceFormat::Json => {
            let document = trace_json::document(topology, question, &answered);
            serde_json::to_writer_pretty(&mut out, &document)?;
            writeln!(out)?;
        }
        TraceFormat::Ndjson => {
            let document = trace_json::document(topology, question, &answered);
            serde_json::to_writer(&mut out, &document)?;
            writeln!(out)?;
        }
        TraceFormat::Dot => trace_text::dot(&mut out, topology, &answered)?,
        TraceFormat::Mermaid => trace_text::mermaid(&mut out, topology, &answered)?,
        TraceFormat::Svg => trace_svg::render(&mut out, topology, &answered)?,
    }
    out.flush()?;
    Ok(status(&answered))
}

/// Answers questions of a file, one a line, in their order. Those of a file are shared among the
/// processors; whoever asks through a pipe gets each answer at once.
fn many(
    file: &Path,
    verbose: bool,
    asked: Asked<'_, '_, '_>,
    terminal: &Terminal,
) -> Result<Status> {
    /// So many answers are held until they are written: enough to keep the processors busy, few enough
    /// to stay in their caches.
    const AT_ONCE: usize = 128;
    let mut out = terminal.out();
    if file.as_os_str() == "-" {
        for line in std::io::stdin().lock().lines() {
            let mut text = Vec::new();
            answer(&line?, verbose, asked, &mut text)?;
            out.write_all(&text)?;
            out.flush()?;
        }
        return Ok(Status::Clean);
    }
    let text = tapline_capture::file::read_text(file, MOST_QUERIES)?;
    let lines: Vec<&str> = text.lines().collect();
    // The memory of answers that are written is used again.
    let mut texts: Vec<Vec<u8>> = vec![Vec::new(); AT_ONCE.min(lines.len())];
    for part in lines.chunks(AT_ONCE) {
        part.par_iter().zip(&mut texts).try_for_each(|(line, text)| {
            text.clear();
            answer(line, verbose, asked, text)
        })?;
        for text in texts.iter().take(part.len()) {
            out.write_all(text)?;
        }
    }
    out.flush()?;
    Ok(Status::Clean)
}

/// Writes the answer to one line, with its line end; nothing where nothing is asked.
fn answer(line: &str, verbose: bool, to: Asked<'_, '_, '_>, text: &mut Vec<u8>) -> Result<()> {
    let Asked { topology, tracer, anonymous } = to;
    if line.trim().is_empty() {
        return Ok(());
    }
    let asked: std::result::Result<Question, _> = serde_json::from_str(line);
    let asked = asked.map_err(|error| error.to_string()).and_then(|mut question| {
        translate(&mut question, anonymous);
        if let Some(word) = &question.without {
            let key = without::key(topology, word).map_err(|error| error.to_string())?;
            question.without = Some(key);
        }
        question.verbose |= verbose;
        Ok(question)
    });
    let answered = match &asked {
        Ok(question) => tracer.ask(question).map_err(|error| error.to_string()),
        Err(error) => Err(error.clone()),
    };
    match (&asked, &answered) {
        (Ok(question), Ok(answered)) => {
            let document = trace_json::document(topology, question, answered);
            serde_json::to_writer(&mut *text, &document)?;
        }
        (_, Err(error)) => {
            serde_json::to_writer(&mut *text, &serde_json::json!({ "error": error }))?;
        }
        (Err(_), Ok(_)) => {}
    }
    text.push(b'\n');
    Ok(())
}

/// What a person said, as things are called in the topology.
fn translate(question: &mut Question, anonymous: &Anonymous) {
    let end = |word: &mut String| {
        if !GOALS.contains(&word.as_str()) {
            *word = anonymous.word(word);
        }
    };
    end(&mut question.from);
    question.to.iter_mut().for_each(end);
    let others = [&mut question.packet, &mut question.oif, &mut question.without];
    others.into_iter().flatten().for_each(|word| *word = anonymous.word(word));
    if let Some(src) = &mut question.src {
        *src = anonymous.word(&src.to_string()).parse().unwrap_or(*src);
    }
}

fn question(args: &Trace) -> Question {
    Question {
        from: String::new(),
        to: None,
        proto: args.proto.clone(),
        src: args.src,
        sport: args.sport,
        dport: args.dport,
        size: args.size,
        mark: args.mark.clone(),
        tos: args.tos.clone(),
        packet: args.packet.clone(),
        oif: args.oif.clone(),
        ct: args.ct.clone(),
        reverse: args.reverse,
        stop_at: args.stop_at.clone(),
        without: args.without.clone(),
        verbose: true,
    }
}

/// The exit status that an answer has.
fn status(answered: &Answered) -> Status {
    of_trace(&answered.trace)
}

fn of_trace(trace: &Traced) -> Status {
    match (trace.verdict.outcome, trace.verdict.reached) {
        (Outcome::Disputed, _) | (_, None) => Status::Open,
        (_, Some(true)) => Status::Clean,
        (_, Some(false)) => Status::Found,
    }
}

/// Takes FROM and TO off the end of the arguments.
fn split(inputs: &mut Inputs, none: bool) -> Result<Vec<String>> {
    if none {
        return Ok(Vec::new());
    }
    let mut ends: Vec<String> = Vec::new();
    while ends.len() < 2 {
        let Some(word) = inputs.paths.last().and_then(|path| path.to_str()) else { break };
        let named = PREFIXES.iter().any(|prefix| word.starts_with(prefix));
        let goal = ends.is_empty() && GOALS.contains(&word);
        let bare = word != "-" && !inputs.paths.last().is_some_and(|path| path.exists());
        if !named && !goal && !bare {
            break;
        }
        ends.insert(0, word.to_owned());
        inputs.paths.pop();
    }
    if ends.is_empty() {
        return Err(CliError::new("say where the packet comes from and where it is to go")
            .hint("tapline trace node2/ vm:instance-00000021 outside"));
    }
    if inputs.paths.is_empty() {
        return Err(CliError::new("say which input to read: INPUT… FROM [TO]"));
    }
    Ok(ends)
}

fn refuse(topology: &Topology<'_>, error: &EndError) -> CliError {
    match error {
        EndError::Nothing(text) => {
            let bare = text.split_once(':').map_or(text.as_str(), |(_, name)| name);
            let near = find::near(topology, bare, 4);
            let refused = CliError::new(error.to_string());
            if near.is_empty() {
                refused
            } else {
                refused.hint(format!("did you mean {}?", near.join(", ")))
            }
        }
        EndError::Ambiguous(text, all) => all.iter().fold(
            CliError::new(format!("ambiguous: {text} may be one of several")),
            |refused, name| refused.hint(name.clone()),
        ),
        EndError::Wrong(text) => CliError::new(text.clone()),
    }
}
