//! Counters of `-s`: a heading, then a line of numbers.
use tapline_core::Name;
use tapline_core::records::link::{Link, LinkStats};
use tapline_core::span::Span;

use super::fail;
use crate::nomx::Expected;

/// A heading whose numbers come on the next line.
pub(super) struct Heading<'a> {
    /// The whole line.
    line: &'a str,
    receive: bool,
    /// About the last virtual function and not about the device.
    of_vf: bool,
}

/// `RX: bytes packets …`, `TX errors: aborted …`.
pub(super) fn heading<'a>(
    text: &str,
    line: &'a str,
    link: &Link,
) -> Result<Heading<'a>, nom::Err<Expected<'a>>> {
    let receive = line.starts_with("RX");
    let names = names(line);
    if names
        .clone()
        .next()
        .is_none_or(|text| !text.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_'))
    {
        return Err(fail(line, "names of counters"));
    }
    // Those of a virtual function stand below it, and differ.
    let of_vf = names.into_iter().any(|name| name == "bcast")
        && link.vfs.last().is_some_and(|vf| vf.at.start < Span::of(text, line).start);
    Ok(Heading { line, receive, of_vf })
}

/// The words behind the colon.
fn names(line: &str) -> std::str::SplitWhitespace<'_> {
    line.split_once(':').map_or("", |pair| pair.1).split_whitespace()
}

/// The numbers below `heading`; `false` where they are fewer than the names, so that nobody can
/// tell which is missing.
pub(super) fn numbers<'a>(
    text: &str,
    heading: &Heading<'_>,
    line: &'a str,
    link: &mut Link,
) -> Result<bool, nom::Err<Expected<'a>>> {
    let mut names = names(heading.line);
    let mut found: Vec<(Name, u64, &str)> = Vec::with_capacity(8);
    for value in line.split_whitespace() {
        let Some(name) = names.next() else {
            return Err(fail(value, "as many numbers as the heading has names"));
        };
        let number = number(value).ok_or_else(|| fail(value, "a counter"))?;
        found.push((name.into(), number, value));
    }
    if names.next().is_some() {
        return Ok(false);
    }
    let at = Span::of(text, heading.line).to(Span::of(text, line));
    if heading.of_vf {
        let Some(vf) = link.vfs.last_mut() else { return Ok(true) };
        let way = if heading.receive { "rx" } else { "tx" };
        for (name, _, value) in found {
            vf.other.push(&format!("{way} {name}"), value, Span::of(text, value));
        }
        return Ok(true);
    }
    let stats = link.stats.get_or_insert_with(|| LinkStats { at, ..LinkStats::default() });
    stats.at = stats.at.to(at);
    let counters = if heading.receive { &mut stats.rx } else { &mut stats.tx };
    counters.extend(found.into_iter().map(|(name, number, _)| (name, number)));
    Ok(true)
}

/// A number; `-h` shortens it: `4.78M`, with `-iec` `4.56Mi`. Then it is as exact as printed.
fn number(value: &str) -> Option<u64> {
    if let Ok(it) = value.parse() {
        return Some(it);
    }
    let (value, base) = value.strip_suffix('i').map_or((value, 1000), |rest| (rest, 1024_u64));
    let power = match value.as_bytes().last()? {
        b'k' | b'K' => 1,
        b'M' => 2,
        b'G' => 3,
        b'T' => 4,
        b'P' => 5,
        _ => return None,
    };
    let digits = value.get(..value.len() - 1)?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let unit = base.pow(power);
    let mut number = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let mut place = unit;
    for digit in fraction.bytes() {
        place /= 10;
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number = number.checked_add(digit * place)?;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn shortened_counters() {
        assert_eq!(number("4781933"), Some(4_781_933));
        assert_eq!(number("4.78M"), Some(4_780_000));
        assert_eq!(number("1.5Ki"), Some(1024 + 5 * 102));
        for bad in ["", "M", "x", "1.x5M", "99999999999999999P", "-1"] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }
}
