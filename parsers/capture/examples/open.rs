//! Shows what an input holds: hosts, texts, problems.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]
use std::time::Instant;

use tapline_capture::{Input, Options, open};

fn main() {
    let mut quiet = false;
    let mut inputs = Vec::new();
    for arg in std::env::args().skip(1) {
        match arg.as_str() {
            "--quiet" => quiet = true,
            "-" => inputs.push(Input::Stdin),
            _ => inputs.push(Input::Path(arg.into())),
        }
    }
    let start = Instant::now();
    let captured = match open(&inputs, &Options::default()) {
        Ok(captured) => captured,
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(2);
        }
    };
    let took = start.elapsed();
    for host in &captured.hosts {
        println!("host {host:?}");
    }
    if !quiet {
        for it in &captured.sources {
            let format = it.format.map(|format| format.0).unwrap_or_default();
            println!(
                "{} {}:{} | {} | {} | {format} | {} bytes | {:?}",
                captured.hosts.get(it.host.0 as usize).map_or("?", |it| it.name.as_str()),
                it.place(),
                it.first_line,
                it.command,
                it.netns,
                it.text.len(),
                it.completeness,
            );
        }
    }
    for it in &captured.problems {
        println!("problem {} {}!{}: {}", it.kind.as_str(), it.archive, it.member, it.message);
    }
    for it in &captured.inputs {
        println!("{it:?}");
    }
    println!("{} sources, {:.3} s", captured.sources.len(), took.as_secs_f64());
}
