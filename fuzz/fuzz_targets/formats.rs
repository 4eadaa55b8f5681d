//! Every reader over any text: no panic, every line accounted for, spans inside the text.
#![no_main]
use libfuzzer_sys::fuzz_target;
use tapline_core::capture::Command;
use tapline_formats::registry::FORMATS;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    for format in FORMATS {
        let out = (format.read)(&text, &Command::new(format.command));
        let lines = out.lines;
        assert_eq!(lines.total, lines.read + lines.ignored + lines.unread, "{}", format.id);
        for problem in &out.problems {
            assert!(text.get(problem.span.range()).is_some(), "{}: {problem:?}", format.id);
        }
    }
});
