//! Texts in which a length counts: tables whose columns are as wide as a line of dashes says, and the
//! records of a database of Open vSwitch, which state how long they are.
use std::ops::Range;

/// The columns that runs of dashes stand for, where a line is such a rule.
pub(crate) fn columns(line: &str) -> Option<Vec<Range<usize>>> {
    let line = line.trim_end();
    let is_rule = line.starts_with('-') && line.bytes().all(|byte| matches!(byte, b'-' | b' '));
    if !is_rule || !line.contains(' ') {
        return None;
    }
    let mut columns = Vec::new();
    let mut start = 0;
    for dashes in line.split(' ') {
        let end = start + dashes.len();
        columns.push(start..end);
        start = end + 1;
    }
    Some(columns)
}

/// A table with its cells replaced: the names of its columns, the rule, the rows.
pub(crate) fn table(
    lines: &[&str],
    columns: &[Range<usize>],
    replace: impl Fn(&str) -> String,
) -> Vec<String> {
    let rows: Vec<Option<Vec<String>>> = lines
        .iter()
        .enumerate()
        .map(|(at, line)| if at == 1 { None } else { cells(line, columns, &replace) })
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().flatten().filter_map(|cells| cells.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or_default();
        let was = columns.get(column).map_or(0, Range::len);
        widest.max(was)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let rule = || widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>().join(" ");
    lines
        .iter()
        .zip(&rows)
        .enumerate()
        .map(|(at, (line, cells))| match cells {
            Some(cells) => {
                let padded = cells.iter().zip(&widths);
                let padded = padded.map(|(cell, width)| format!("{cell:<width$}"));
                padded.collect::<Vec<_>>().join(" ").trim_end().to_owned()
            }
            None if at == 1 => rule(),
            None => replace(line),
        })
        .collect()
}

/// The cells of a line, without the blanks behind them; `None` where the columns do not fit it.
fn cells(
    line: &str,
    columns: &[Range<usize>],
    replace: &impl Fn(&str) -> String,
) -> Option<Vec<String>> {
    let last = columns.len().checked_sub(1)?;
    let mut cells = Vec::with_capacity(columns.len());
    for (at, column) in columns.iter().enumerate() {
        let start = column.start.min(line.len());
        let end = if at == last { line.len() } else { column.end.min(line.len()) };
        cells.push(replace(line.get(start..end)?.trim_end()));
    }
    Some(cells)
}

/// The header of a record, for one of another length: `OVSDB JSON 178 592c…`.
pub(crate) fn header(line: &str, length: usize) -> Option<String> {
    let mut words: Vec<&str> = line.strip_prefix("OVSDB ")?.split(' ').collect();
    let length = length.to_string();
    let [_, old, _] = words.as_mut_slice() else { return None };
    old.parse::<usize>().ok()?;
    *old = &length;
    Some(format!("OVSDB {}", words.join(" ")))
}
