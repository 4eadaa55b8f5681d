//! A comparison as one HTML page: the picture of both sides, and what the text says. It loads nothing and runs
//! nothing; what was captured is escaped text.
use std::io::{self, Write};

use super::diff::Compared;
use super::escape::{markup, shorten};
use super::report::policy;
use super::{diff_text, picture_svg};
use crate::picture::Picture;
use crate::terminal::Terminal;

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;margin:1.2rem;color:#1b1f24;background:#fff}\
pre{font:12px/1.4 ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;white-space:pre-wrap;\
overflow-wrap:anywhere}\
.stage{overflow:auto;max-height:90vh;border:1px solid #8c959f}\
h1{font-size:1.3rem}h2{font-size:1.1rem}.faint{color:#57606a}\
@media screen and (prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}.faint{color:#9da7b1}}\
@media print{.stage{max-height:none;overflow:visible}}";

/// Writes the page.
pub(crate) fn render(
    out: &mut impl Write,
    compared: &Compared<'_, '_, '_>,
    picture: &Picture,
) -> io::Result<()> {
    let hosts = compared.diff.hosts.iter();
    let names: Vec<&str> = hosts.map(|host| compared.label(1, host.new)).collect();
    let title = markup(&shorten(&format!("tapline: changes of {}", names.join(", ")), 120));
    let policy = policy::of(&[STYLE, picture_svg::STYLE], "");
    writeln!(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
    writeln!(out, "<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">")?;
    writeln!(out, "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">")?;
    writeln!(out, "<meta name=\"referrer\" content=\"no-referrer\">\n<title>{title}</title>")?;
    writeln!(out, "<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<main>")?;
    let mut text = Vec::new();
    diff_text::render(&mut text, compared, &Terminal::plain())?;
    let text = String::from_utf8_lossy(&text);
    writeln!(out, "<section><h2>Changes</h2>\n<pre>{}</pre></section>", markup(&text))?;
    writeln!(out, "<section><h2>Picture of both</h2>\n<div class=\"stage\">")?;
    picture_svg::render(out, picture)?;
    writeln!(
        out,
        "</div></section>\n</main>\n<footer><p class=\"faint\">written by tapline {}</p></footer>\n\
         </body>\n</html>",
        env!("CARGO_PKG_VERSION")
    )
}
