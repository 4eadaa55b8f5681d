//! What is generated is up to date.
#![expect(clippy::disallowed_methods, reason = "tests read their cases from files")]
use tapline_tests::docs;

#[test]
fn generated_pages_are_up_to_date() -> anyhow::Result<()> {
    for (path, text) in docs::pages()? {
        let stands = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(stands == text, "{} is out of date: run `cargo dev docs`", path.display());
    }
    Ok(())
}
