//! What is read, and how much of it: arguments of every command that reads captures.
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

/// Heading of the limits in `--help`.
const LIMITS: &str = "Limits (K, M and G are powers of 1024)";

/// What is read, and how much of it.
#[derive(Debug, Args)]
pub(crate) struct Inputs {
    /// Sosreport, folder of outputs, terminal session, or one output with --as; - is standard
    /// input (can be repeated: several hosts)
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) paths: Vec<PathBuf>,
    /// Treat the input as the output of this command, such as 'ip address'
    #[arg(long = "as", value_name = "COMMAND")]
    pub(crate) command: Option<String>,
    /// All inputs are of this host: joins texts that do not say whose they are
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// Put substitutes in the place of addresses, MACs, names and ids, whatever the form of the output.
    /// They follow from the inputs; with a KEY, which nobody else should know, other captures get the same
    #[arg(
        long,
        value_name = "KEY",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ""
    )]
    pub(crate) anonymize: Option<String>,
    #[command(flatten)]
    pub(crate) limits: Limits,
}

/// Bounds on input. Shown by `--help`, not by `-h`.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Limits {
    /// Leave out files in an archive that are longer [default: 256M]
    #[arg(long = "max-member-size", value_name = "BYTES", hide_short_help = true, help_heading = LIMITS)]
    pub(crate) member_size: Option<Size>,
    /// Stop keeping texts after so many bytes [default: 2G]
    #[arg(long = "max-kept-size", value_name = "BYTES", hide_short_help = true, help_heading = LIMITS)]
    pub(crate) kept_size: Option<Size>,
    /// Stop reading after so many files [default: 10000000]
    #[arg(long = "max-members", value_name = "COUNT", hide_short_help = true, help_heading = LIMITS)]
    pub(crate) members: Option<u64>,
    /// Open archives in archives down to this depth [default: 4]
    #[arg(long = "max-nesting", value_name = "DEPTH", hide_short_help = true, help_heading = LIMITS)]
    pub(crate) nesting: Option<u32>,
    /// Stop at archives that grow more than this when unpacked [default: 2000]
    #[arg(long = "max-ratio", value_name = "RATIO", hide_short_help = true, help_heading = LIMITS)]
    pub(crate) ratio: Option<u64>,
}

/// A number of bytes: `4096`, `64K`, `256M`, `2G`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || format!("expected a number of bytes such as 64K, 256M or 2G, not `{text}`");
        let upper = text.to_ascii_uppercase();
        let body = upper.strip_suffix("IB").or_else(|| upper.strip_suffix('B')).unwrap_or(&upper);
        let (digits, shift) = match body.as_bytes().last() {
            Some(b'K') => (body.strip_suffix('K'), 10),
            Some(b'M') => (body.strip_suffix('M'), 20),
            Some(b'G') => (body.strip_suffix('G'), 30),
            Some(b'T') => (body.strip_suffix('T'), 40),
            _ => (Some(body), 0),
        };
        let number: u64 =
            digits.and_then(|digit| digit.trim().parse().ok()).ok_or_else(expected)?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(|| format!("`{text}` is too large"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_suffixes() {
        assert_eq!("4096".parse(), Ok(Size(4096)));
        assert_eq!("64K".parse(), Ok(Size(64 << 10)));
        assert_eq!("2GiB".parse(), Ok(Size(2 << 30)));
        assert_eq!("10mb".parse(), Ok(Size(10 << 20)));
        for bad in ["", "K", "-1", "1.5G", "99999999999G", "1X"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }
}
