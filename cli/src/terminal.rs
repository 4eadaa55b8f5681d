//! The terminal: colour, links, width, the pager, and the one place that the result is written to.
mod ascii;

use std::fmt;
use std::io::{self, BufWriter, IsTerminal as _, StdoutLock, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use anstream::ColorChoice;

use crate::args::{Color, Global};
use crate::progress::Progress;
use crate::render::escape::visible;

/// The styles of all text forms.
pub(crate) mod style {
    use anstyle::{AnsiColor, Color, Style};

    const fn colour(colour: AnsiColor) -> Style {
        Style::new().fg_color(Some(Color::Ansi(colour)))
    }

    pub(crate) const ERROR: Style = colour(AnsiColor::Red).bold();
    pub(crate) const WARNING: Style = colour(AnsiColor::Yellow).bold();
    pub(crate) const INFO: Style = colour(AnsiColor::Cyan).bold();
    pub(crate) const GOOD: Style = colour(AnsiColor::Green).bold();
    pub(crate) const HINT: Style = colour(AnsiColor::Cyan);
    pub(crate) const STRONG: Style = Style::new().bold();
    pub(crate) const FAINT: Style = Style::new().dimmed();
    pub(crate) const CODE: Style = colour(AnsiColor::Blue);
}

/// The writer of the result: standard output, or a pager in front of it. Flush it: what is lost on
/// drop is lost silently.
pub(crate) struct Out(Sink);

enum Sink {
    Stdout(BufWriter<StdoutLock<'static>>),
    /// The same, for a terminal that has no other characters.
    Ascii(BufWriter<StdoutLock<'static>>),
    Pager {
        pipe: Option<BufWriter<ChildStdin>>,
        child: Child,
    },
}

impl Out {
    fn stdout(is_ascii: bool) -> Self {
        let out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        Self(if is_ascii { Sink::Ascii(out) } else { Sink::Stdout(out) })
    }

    /// Starts a pager, if it is there.
    fn through(pager: &str) -> Option<Self> {
        let mut words = pager.split_whitespace();
        let mut child =
            Command::new(words.next()?).args(words).stdin(Stdio::piped()).spawn().ok()?;
        let pipe = BufWriter::with_capacity(1 << 16, child.stdin.take()?);
        Some(Self(Sink::Pager { pipe: Some(pipe), child }))
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Sink::Stdout(out) => out.write(bytes),
            Sink::Ascii(out) => {
                // What is written is whole characters: it comes from strings.
                out.write_all(ascii::drawn(&String::from_utf8_lossy(bytes)).as_bytes())?;
                Ok(bytes.len())
            }
            Sink::Pager { pipe: Some(pipe), .. } => pipe.write(bytes),
            Sink::Pager { pipe: None, .. } => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Sink::Stdout(out) | Sink::Ascii(out) => out.flush(),
            Sink::Pager { pipe: Some(pipe), .. } => pipe.flush(),
            Sink::Pager { pipe: None, .. } => Ok(()),
        }
    }
}

impl Drop for Out {
    /// A pager is shown as long as somebody reads.
    fn drop(&mut self) {
        if let Sink::Pager { pipe, child } = &mut self.0 {
            drop(pipe.take());
            let _ = child.wait();
        }
    }
}

/// Tells what was done besides the result, on standard error.
pub(crate) fn remark(text: &str) {
    // Nothing is left to tell where stderr is closed.
    let _ = io::stderr().lock().write_all(format!("{}\n", visible(text)).as_bytes());
}

/// How to write to this terminal.
#[derive(Clone, Debug)]
pub(crate) struct Terminal {
    pub(crate) color: Color,
    /// Columns of the terminal; 100 where there is none.
    pub(crate) width: usize,
    /// Standard output is one.
    pub(crate) is_one: bool,
    /// It can follow links (OSC 8).
    pub(crate) links: bool,
    /// No summary.
    pub(crate) quiet: bool,
    /// The command that shows long results, where one was asked for.
    pub(crate) pager: Option<String>,
    /// What is being done.
    pub(crate) progress: Progress,
}

impl Terminal {
    pub(crate) fn new(global: &Global) -> Self {
        let width = terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0));
        let mut terminal = Self {
            color: global.color,
            width: width.clamp(40, 160),
            is_one: io::stdout().is_terminal(),
            links: false,
            quiet: global.quiet,
            progress: Progress::default(),
            pager: global.pager.clone().filter(|pager| !pager.trim().is_empty()),
        };
        // Who wants no colour wants no escape sequences at all.
        terminal.links =
            terminal.stdout().color && supports_hyperlinks::on(supports_hyperlinks::Stream::Stdout);
        terminal.progress = Progress::new(terminal.quiet, terminal.width);
        terminal
    }

    /// For what is no terminal: 100 columns without colour and without links.
    pub(crate) fn plain() -> Self {
        Self {
            color: Color::Never,
            width: 100,
            is_one: false,
            links: false,
            quiet: false,
            pager: None,
            progress: Progress::default(),
        }
    }

    /// Where the result goes: on a terminal through the pager that was asked for, if there is one.
    pub(crate) fn out(&self) -> Out {
        self.progress.stop();
        let pager = self.pager.as_deref().filter(|_| self.is_one);
        let is_ascii = self.is_one && ascii::is_asked();
        pager.and_then(Out::through).unwrap_or_else(|| Out::stdout(is_ascii))
    }

    /// Colours of the result.
    pub(crate) fn stdout(&self) -> Paint {
        self.paint(|| anstream::AutoStream::choice(&io::stdout()))
    }

    /// Colours of error messages.
    pub(crate) fn stderr(&self) -> Paint {
        self.paint(|| anstream::AutoStream::choice(&io::stderr()))
    }

    fn paint(&self, auto: impl Fn() -> ColorChoice) -> Paint {
        let color = match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_forced() || auto() != ColorChoice::Never,
        };
        Paint { color }
    }
}

/// Whether `FORCE_COLOR` asks for colours, as other programs understand it; `NO_COLOR` has the last word.
fn is_forced() -> bool {
    let is_said =
        |name| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    is_said("FORCE_COLOR") && !is_said("NO_COLOR")
}

/// Whether to colour.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    pub(crate) color: bool,
}

impl Paint {
    /// `text` in a style.
    pub(crate) fn of<T: fmt::Display>(self, style: anstyle::Style, text: T) -> Painted<T> {
        Painted { style: if self.color { style } else { anstyle::Style::new() }, text }
    }
}

/// A text in its style.
pub(crate) struct Painted<T> {
    style: anstyle::Style,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.style.render(), self.text, self.style.render_reset())
    }
}
