//! Writes shapes and texts of SVG.
use tapline_analysis::lint::Severity;

use crate::render::escape::markup;

/// Light by itself; dark where that is preferred, but never on paper. Colours stand beside shapes and
/// strokes that say the same.
pub(crate) const STYLE: &str = "\
.tapline text{font:11px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#1b1f24;unicode-bidi:isolate}\
.tapline .title{font-weight:bold;font-size:12px}\
.tapline .hostname{font-weight:bold;font-size:14px}\
.tapline .fact,.tapline .faint{fill:#57606a}\
.tapline .wirelabel{fill:#57606a;font-size:9px;paint-order:stroke;stroke:#f6f8fa;stroke-width:3px}\
.tapline .page{fill:#fff}\
.tapline rect.host{fill:#f6f8fa;stroke:#8c959f}\
.tapline .shape{fill:#fff;stroke:#57606a;stroke-width:1}\
.tapline .vm>.shape{fill:#e3edff;stroke:#3b6fc4}\
.tapline .netns>.shape{fill:#fff8e6;stroke:#9a7b1f;stroke-dasharray:6 2}\
.tapline .bridge>.shape,.tapline .switch>.shape,.tapline .bond>.shape{fill:#eaf5ea;stroke:#3c7d47;stroke-width:1.4}\
.tapline .rule{stroke:#3c7d47;fill:none}\
.tapline .nic>.shape{fill:#f1eaf9;stroke:#7a4fb0}\
.tapline .plug{stroke:#7a4fb0;fill:#f1eaf9;stroke-width:1.6}\
.tapline .remote>.shape{fill:#eef1f4;stroke:#57606a;stroke-dasharray:2 3}\
.tapline .down>.shape{stroke:#8c959f;stroke-dasharray:5 3;fill:#eceff2}\
.tapline .unknown>.shape{stroke-dasharray:1 3}\
.tapline .warning>.shape{stroke:#9a5b00;stroke-width:2}\
.tapline .error>.shape{stroke:#c11f1f;stroke-width:2.4}\
.tapline .focus>.shape{stroke-width:3.2}\
.tapline .line{fill:none;stroke:#57606a;stroke-width:1.2}\
.tapline .many>.line{stroke-width:2.6}\
.tapline .inferred>.line{stroke-dasharray:6 3}\
.tapline .conventional>.line{stroke-dasharray:1 3}\
.tapline .wire.error>.line{stroke:#c11f1f;stroke-width:2.2}\
.tapline .wire.warning>.line{stroke:#9a5b00;stroke-width:2}\
.tapline .badge-error{fill:#c11f1f}.tapline .badge-warning{fill:#ffb224;stroke:#7a4a00}\
.tapline .badge-info{fill:#2f6fd0}\
.tapline .sign{fill:none;stroke:#fff;stroke-width:1.6}.tapline .badge-warning+.sign{stroke:#3d2500}\
.tapline text.code{font-size:10px;font-weight:bold}.tapline .wire .code{paint-order:stroke;stroke:#f6f8fa;stroke-width:3px}\
.tapline .off,.tapline .open{fill:none;stroke:#57606a;stroke-width:1.2}\
.tapline .same{opacity:.55}\
.tapline .added>.shape{stroke:#1a7f37;stroke-width:3}.tapline .added>.line{stroke:#1a7f37;stroke-width:2.4}\
.tapline .removed>.shape{stroke:#c11f1f;stroke-width:2.4;stroke-dasharray:7 4}\
.tapline .removed>.line{stroke:#c11f1f;stroke-width:2;stroke-dasharray:7 4}\
.tapline .changed>.shape{stroke:#9a5b00;stroke-width:3}.tapline .moved>.shape{stroke:#2f6fd0;stroke-width:3}\
@media screen and (prefers-color-scheme:dark){\
.tapline text{fill:#e6edf3}\
.tapline .fact,.tapline .faint,.tapline .wirelabel{fill:#9da7b1}\
.tapline .page{fill:#0d1117}\
.tapline rect.host{fill:#151b23;stroke:#656d76}.tapline .wirelabel,.tapline .wire .code{stroke:#151b23}\
.tapline .shape{fill:#1f262e;stroke:#9da7b1}\
.tapline .vm>.shape{fill:#172a4a;stroke:#7aa7f0}\
.tapline .netns>.shape{fill:#2f2812;stroke:#d0ac45}\
.tapline .bridge>.shape,.tapline .switch>.shape,.tapline .bond>.shape{fill:#16301c;stroke:#6fbf7d}\
.tapline .rule{stroke:#6fbf7d}\
.tapline .nic>.shape{fill:#2b1f3d;stroke:#b794e6}\
.tapline .plug{stroke:#b794e6;fill:#2b1f3d}\
.tapline .remote>.shape{fill:#20262d;stroke:#9da7b1}\
.tapline .down>.shape{fill:#20262d;stroke:#7d8590}\
.tapline .warning>.shape{stroke:#f0a53a}\
.tapline .error>.shape{stroke:#ff6b61}\
.tapline .line,.tapline .off,.tapline .open{stroke:#9da7b1}\
.tapline .wire.error>.line{stroke:#ff6b61}\
.tapline .wire.warning>.line{stroke:#f0a53a}\
.tapline .added>.shape,.tapline .added>.line{stroke:#4ac26b}\
.tapline .removed>.shape,.tapline .removed>.line{stroke:#ff6b61}\
.tapline .changed>.shape{stroke:#f0a53a}.tapline .moved>.shape{stroke:#6cb0ff}\
.tapline .badge-error{fill:#e5483f}}";

/// What is drawn, as it is drawn.
#[derive(Default)]
pub(super) struct Ink {
    body: String,
}

impl Ink {
    pub(super) fn body(&self) -> &str {
        &self.body
    }

    /// Begins what belongs together, with what a pointer over it shows.
    pub(super) fn open(&mut self, id: &str, classes: &str, hover: &[String]) {
        self.body.push_str(&format!("<g class=\"{classes}\" data-at=\"{id}\">"));
        if !hover.is_empty() {
            self.body.push_str(&format!("<title>{}</title>", markup(&hover.join("\n"))));
        }
        self.body.push('\n');
    }

    pub(super) fn close(&mut self) {
        self.body.push_str("</g>\n");
    }

    pub(super) fn text(&mut self, class: &str, (x, y): (i64, i64), text: &str) {
        let text = markup(text);
        self.body.push_str(&format!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>\n"));
    }

    pub(super) fn rect(
        &mut self,
        class: &str,
        (x, y): (i64, i64),
        (width, height): (i64, i64),
        round: i64,
    ) {
        self.body.push_str(&format!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{round}\"/>\n"
        ));
    }

    pub(super) fn path(&mut self, class: &str, path: &str) {
        self.body.push_str(&format!("<path class=\"{class}\" d=\"{path}\"/>\n"));
    }

    pub(super) fn circle(&mut self, class: &str, (x, y): (i64, i64), radius: i64) {
        self.body.push_str(&format!(
            "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"/>\n"
        ));
    }

    /// A finding: a shape of its own for each severity, and the code.
    pub(super) fn badge(&mut self, (x, y): (i64, i64), severity: Severity, code: &str) {
        match severity {
            Severity::Error => {
                // An octagon with a cross.
                let path = format!("M{} {y}h6l3 3v6l-3 3h-6l-3 -3v-6z", x + 3);
                self.path("badge-error", &path);
                self.path("sign", &format!("M{} {}l6 6m0 -6l-6 6", x + 3, y + 3));
            }
            Severity::Warning => {
                // A triangle with a stroke and a dot.
                self.path("badge-warning", &format!("M{} {y}l6 12h-12z", x + 6));
                self.path("sign", &format!("M{} {}v4m0 1v2", x + 6, y + 4));
            }
            Severity::Info => {
                self.circle("badge-info", (x + 6, y + 6), 6);
                self.path("sign", &format!("M{} {}v2m0 1v4", x + 6, y + 2));
            }
        }
        self.text("code", (x + 15, y + 10), code);
    }

    /// Switched off or without a link: an arrow down to a bar.
    pub(super) fn off(&mut self, (x, y): (i64, i64)) {
        self.path("off", &format!("M{} {y}v6m-3 -3l3 3l3 -3M{} {}h8", x + 4, x, y + 8));
    }

    /// Not known: a question mark in a circle of dots.
    pub(super) fn open_question(&mut self, (x, y): (i64, i64)) {
        self.text("code", (x + 1, y + 8), "?");
    }
}
