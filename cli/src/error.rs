//! Errors of the program: what, where, what to do next, and the exit status.
use std::io::{self, Write as _};
use std::process::ExitCode;

use tapline_capture::CaptureError;

use crate::render::escape::visible;
use crate::terminal::{Terminal, style};

/// How a command ended that could do its work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Status {
    /// Nothing to complain about.
    Clean,
    /// Findings, or the name was not found.
    Found,
    /// Nothing to complain of in what could be read, but that is not enough.
    Unread,
    /// What was captured does not tell.
    Open,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        match status {
            Status::Clean => Self::SUCCESS,
            Status::Found => Self::from(1),
            Status::Unread => Self::from(2),
            Status::Open => Self::from(3),
        }
    }
}

/// Why a command could not do its work.
#[derive(Debug)]
pub(crate) enum CliError {
    /// The reader of the output went away, as `head` does: nothing to say.
    BrokenPipe,
    /// Wrong usage or unreadable input: exit status 2.
    Fatal {
        /// What and where.
        message: String,
        /// What to do next.
        hints: Vec<String>,
    },
}

/// What commands return.
pub(crate) type Result<T> = std::result::Result<T, CliError>;

impl CliError {
    /// An error that ends the program with status 2.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::Fatal { message: message.into(), hints: Vec::new() }
    }

    /// Adds what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Self::Fatal { hints, .. } = &mut self {
            hints.push(hint.into());
        }
        self
    }

    /// Puts the place in front of the message.
    pub(crate) fn within(mut self, place: &str) -> Self {
        if let Self::Fatal { message, .. } = &mut self {
            *message = format!("{place}: {message}");
        }
        self
    }

    /// Prints the error and gives the exit status.
    pub(crate) fn report(&self, terminal: &Terminal) -> ExitCode {
        let Self::Fatal { message, hints } = self else { return ExitCode::SUCCESS };
        let mut text = String::new();
        let paint = terminal.stderr();
        text.push_str(&format!("{}: {}\n", paint.of(style::ERROR, "error"), visible(message)));
        for hint in hints {
            text.push_str(&format!("{}: {}\n", paint.of(style::HINT, "hint"), visible(hint)));
        }
        // Nothing is left to tell where stderr is closed.
        let _ = io::stderr().lock().write_all(text.as_bytes());
        ExitCode::from(2)
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::BrokenPipe;
        }
        Self::new(format!("cannot write the output: {error}"))
    }
}

impl From<serde_json::Error> for CliError {
    fn from(error: serde_json::Error) -> Self {
        io::Error::from(error).into()
    }
}

impl From<CaptureError> for CliError {
    fn from(error: CaptureError) -> Self {
        let message = describe(&error);
        let hint = match &error {
            CaptureError::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => "check the path; - reads standard input".to_owned(),
                io::ErrorKind::PermissionDenied => {
                    "sosreports belong to root: copy it, or change its owner".to_owned()
                }
                _ => return Self::new(message),
            },
            CaptureError::Nothing { .. } => {
                "tapline reads sosreports, folders of saved outputs and terminal sessions; for one \
                 output say which command made it: --as 'ip address'"
                    .to_owned()
            }
        };
        Self::new(message).hint(hint)
    }
}

/// `No such file or directory`, without the `(os error 2)` that Rust adds.
fn describe(error: &CaptureError) -> String {
    let text = error.to_string();
    match (text.find(" (os error "), text.ends_with(')')) {
        (Some(at), true) => text.get(..at).unwrap_or(&text).to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_reads_well() {
        let source = io::Error::from_raw_os_error(2);
        let error: CliError = CaptureError::Io { path: "foo".into(), source }.into();
        let CliError::Fatal { message, hints } = error else { panic!("not fatal") };
        assert_eq!(message, "cannot read foo: No such file or directory");
        assert_eq!(hints.len(), 1);
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let error: CliError = io::Error::from(io::ErrorKind::BrokenPipe).into();
        assert!(matches!(error, CliError::BrokenPipe));
    }
}
