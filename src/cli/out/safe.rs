//! Text that is safe to show: what the hub shows was sent by others, and must not move a terminal's cursor, change its title,
//! reverse its reading order or run as a formula.

use std::fmt::Write;

/// Characters that steer a terminal or reorder text.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// For running text: line feeds stay, everything else that steers is shown as `\u{1b}`.
pub(super) fn text(raw: &str) -> String {
    escape(raw, |c| c == '\n')
}

/// For one line: line feeds are shown too.
pub(super) fn line(raw: &str) -> String {
    escape(raw, |_| false)
}

fn escape(raw: &str, keep: impl Fn(char) -> bool) -> String {
    if !raw.chars().any(steers) {
        return raw.to_owned();
    }
    raw.chars().fold(String::with_capacity(raw.len()), |mut out, c| {
        if steers(c) && !keep(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        out
    })
}

/// JSON as text, with what steers as `\u001b`: the same JSON, harmless to look at.
pub(super) fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// One field of CSV (RFC 4180). Text that a spreadsheet would run as a formula gets an apostrophe in front.
pub(super) fn csv(raw: &str) -> String {
    let formula = raw.starts_with(['=', '@', '+', '-', '\t', '\r']) && raw.parse::<f64>().is_err();
    let text = format!("{}{}", if formula { "'" } else { "" }, line(raw));
    if text.contains([',', '"', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_passes() {
        let hostile = "a\u{1b}]0;title\u{7}\u{9b}2J\r\u{202e}b\u{7f}\nc";
        for shown in [text(hostile), line(hostile), json(&serde_json::to_string(hostile).unwrap()), csv(hostile)] {
            assert!(!shown.chars().any(|c| steers(c) && c != '\n'), "{shown:?}");
        }
        assert_eq!(line("a\nb"), "a\\nb");
        assert_eq!(text("a\nb ünï"), "a\nb ünï");
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({ "a\u{9b}": "b\u{202e}\u{1b}\u{feff}" });
        let pretty = json(&serde_json::to_string_pretty(&value).unwrap());
        assert_eq!(serde_json::from_str::<serde_json::Value>(&pretty).unwrap(), value);
        assert!(pretty.is_ascii());
    }

    #[test]
    fn csv_runs_no_formula_and_keeps_numbers() {
        assert_eq!(csv("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0");
        assert_eq!(csv("@x"), "'@x");
        assert_eq!(csv("-5.5"), "-5.5");
        assert_eq!(csv("a,\"b\""), "\"a,\"\"b\"\"\"");
    }
}
