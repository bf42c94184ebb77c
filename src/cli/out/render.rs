//! Data in the forms that can be asked for. Makes strings; prints nothing.

use super::safe;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::Value;

/// A list of things, all with the same columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    columns: Vec<&'static str>,
    rows: Vec<Vec<Value>>,
    empty: String,
}

impl Listing {
    /// With these columns. `empty` is said in place of a table without rows: why there is nothing, and what to do next.
    #[must_use]
    pub fn new(columns: &[&'static str], empty: impl Into<String>) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new(), empty: empty.into() }
    }

    /// One more row.
    pub fn row(&mut self, row: Vec<Value>) {
        self.rows.push(row);
    }
}

/// A table for people.
pub(super) fn table(listing: &Listing) -> String {
    if listing.rows.is_empty() {
        return safe::text(&listing.empty);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(listing.columns.iter().map(|name| name.to_uppercase().replace('_', " ")));
    for row in &listing.rows {
        table.add_row(row.iter().map(|cell| safe::line(&shown(cell))));
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if listing.rows.iter().all(|row| row.get(at).is_none_or(|cell| cell.is_number() || cell.is_null())) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// A value as a person reads it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// A JSON object for each row.
pub(super) fn objects(listing: &Listing) -> Vec<Value> {
    let object = |row: &Vec<Value>| Value::Object(listing.columns.iter().map(|c| (*c).to_owned()).zip(row.iter().cloned()).collect());
    listing.rows.iter().map(object).collect()
}

/// JSON over several lines.
pub(super) fn json(value: &Value) -> String {
    safe::json(&format!("{value:#}"))
}

/// JSON on one line.
pub(super) fn jsonl(value: &Value) -> String {
    safe::json(&value.to_string())
}

/// RFC 4180, with a header line.
pub(super) fn csv(listing: &Listing) -> String {
    let cell = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => safe::csv(text),
        Value::Array(_) | Value::Object(_) => safe::csv(&shown(value)),
        other => other.to_string(),
    };
    let mut lines = vec![listing.columns.join(",")];
    lines.extend(listing.rows.iter().map(|row| row.iter().map(cell).collect::<Vec<_>>().join(",")));
    lines.join("\n")
}

/// One thing as a list of its fields, for CSV.
pub(super) fn flat(value: &Value) -> Listing {
    fn walk(path: &str, value: &Value, listing: &mut Listing) {
        let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, inner)| walk(&join(name), inner, listing)),
            Value::Array(items) => items.iter().enumerate().for_each(|(at, inner)| walk(&join(&at.to_string()), inner, listing)),
            other => listing.row(vec![path.into(), other.clone()]),
        }
    }
    let mut listing = Listing::new(&["field", "value"], "");
    walk("", value, &mut listing);
    listing
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn listing() -> Listing {
        let mut listing = Listing::new(&["name", "ready"], "no queues; start the hub with `atshub serve`");
        listing.row(vec![json!("atshub.tenant.acme"), json!(12)]);
        listing.row(vec![json!("a\u{1b}[2Jb\nc"), Value::Null]);
        listing
    }

    #[test]
    fn a_table_has_a_header_and_shows_hostile_text_harmlessly() {
        assert_eq!(table(&listing()), "NAME                READY\natshub.tenant.acme     12\na\\u{1b}[2Jb\\nc          -");
    }

    #[test]
    fn a_list_without_rows_says_why_and_what_to_do() {
        assert_eq!(table(&Listing::new(&["name"], "nothing yet")), "nothing yet");
        assert_eq!(csv(&Listing::new(&["name"], "nothing yet")), "name");
        assert_eq!(objects(&Listing::new(&["name"], "nothing yet")), Vec::<Value>::new());
    }

    #[test]
    fn csv_and_json_carry_the_same_data() {
        assert_eq!(csv(&listing()), "name,ready\natshub.tenant.acme,12\na\\u{1b}[2Jb\\nc,");
        assert_eq!(objects(&listing())[1], json!({ "name": "a\u{1b}[2Jb\nc", "ready": null }));
        assert_eq!(csv(&flat(&json!({ "a": { "b": [1, "=x"] } }))), "field,value\na.b.0,1\na.b.1,'=x");
    }
}
