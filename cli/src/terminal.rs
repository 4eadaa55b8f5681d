//! The terminal: colour, width, and the one place that the result is written to.
use std::fmt;
use std::io::{self, BufWriter, StdoutLock, Write as _};

use anstream::ColorChoice;

use crate::args::{Color, Global};
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

/// The writer of the result. Flush it: what is lost on drop is lost silently.
pub(crate) fn out() -> BufWriter<StdoutLock<'static>> {
    BufWriter::with_capacity(1 << 16, io::stdout().lock())
}

/// Tells what was done besides the result, on standard error.
pub(crate) fn remark(text: &str) {
    // Nothing is left to tell where stderr is closed.
    let _ = io::stderr().lock().write_all(format!("{}\n", visible(text)).as_bytes());
}

/// How to write to this terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    pub(crate) color: Color,
    /// Columns of the terminal; 100 where there is none.
    pub(crate) width: usize,
    /// No summary.
    pub(crate) quiet: bool,
}

impl Terminal {
    pub(crate) fn new(global: &Global) -> Self {
        let width = terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0));
        Self { color: global.color, width: width.clamp(40, 160), quiet: global.quiet }
    }

    /// A terminal of 100 columns without colour.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { color: Color::Never, width: 100, quiet: false }
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
            Color::Auto => auto() != ColorChoice::Never,
        };
        Paint { color }
    }
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
