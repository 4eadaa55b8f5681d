//! Lines of long texts.

/// The lines of a text, as [`str::lines`] gives them, with the fast search for their ends that long
/// texts are worth.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut from = 0;
    let ends = memchr::memchr_iter(b'\n', text.as_bytes()).chain(std::iter::once(text.len()));
    ends.filter_map(move |end| {
        let line = text.get(from..end)?;
        // What stands behind the last line end is a line only if there is anything.
        let is_line = end < text.len() || !line.is_empty();
        from = end + 1;
        let ended = end < text.len();
        let line = if ended { line.strip_suffix('\r').unwrap_or(line) } else { line };
        is_line.then_some(line)
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn lines_are_those_of_the_standard_library() {
        for text in ["", "\n", "a", "a\n", "a\r\nb\r", "\r\n\r\n", "a\n\nb\n", "ä\n\u{85}b\r\r\n"]
        {
            assert!(super::lines(text).eq(text.lines()), "{text:?}");
        }
    }
}
