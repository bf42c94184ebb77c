//! Who is to be erased, as rows tell: beginning with an address or an application, everything that belongs to the person is learnt from the
//! documents that name them, until nothing new is; then every row that names any of it is the person's. No IO.

use super::kept::{Kept, Says};
use atshub_actors::ports::Person;
use atshub_schemas::{Email, Link};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use uuid::Uuid;

/// How often the rows are looked through for what belongs to the person before that is taken to be all.
pub(crate) const ROUNDS: usize = 5;
/// Keys under which others are named: a recruiter who once applied stays the recruiter of others.
const OTHERS: [&str; 4] = ["recruiter", "grader", "followers", "recipient"];

/// A value of a row, in the order of [`Kept::says`].
pub(crate) type Cell = Option<Vec<u8>>;

/// The forms in which an address is looked for: as the hub compares addresses, and as it is written.
fn forms_of_email(text: &str) -> impl Iterator<Item = String> {
    Email::new(text).ok().map(|email| email.key()).into_iter().chain([text.to_lowercase()])
}

/// The same of a link.
fn forms_of_link(text: &str) -> impl Iterator<Item = String> {
    Link::new(text).ok().map(|link| link.key().to_lowercase()).into_iter().chain([text.to_lowercase()])
}

/// What is known to belong to the person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Traces {
    emails: BTreeSet<String>,
    applications: BTreeSet<String>,
    candidates: BTreeSet<String>,
    orders: BTreeSet<String>,
    /// Candidacies, at the hub and on the platform, and interviews.
    ids: BTreeSet<String>,
    links: BTreeSet<String>,
    messages: BTreeSet<String>,
    /// What others may be called as well: goes by it only where nothing is decided by a row.
    names: BTreeSet<String>,
}

impl Traces {
    pub(crate) fn of(person: &Person) -> Self {
        let mut traces = Self::default();
        match person {
            Person::Email(email) => traces.emails.extend(forms_of_email(email.as_str())),
            Person::Application(id) => traces.applications.extend([id.to_string()]),
        }
        traces
    }

    /// How much is known.
    pub(crate) fn len(&self) -> usize {
        let all = [&self.emails, &self.applications, &self.candidates, &self.orders, &self.ids, &self.links, &self.messages, &self.names];
        all.into_iter().map(BTreeSet::len).sum()
    }

    /// Whether a row is about the person. If so, what it tells of them is known from now on.
    pub(crate) fn learn(&mut self, kept: &Kept, says: &[Says], cells: &[Cell]) -> bool {
        let mut found = false;
        for (says, cell) in says.iter().zip(cells) {
            let Some(bytes) = cell.as_deref() else { continue };
            found |= self.found_in(kept, *says, bytes);
        }
        if found {
            for (says, cell) in says.iter().zip(cells) {
                let Some(text) = cell.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok()) else { continue };
                match says {
                    // A handled message, or one to send. What is parked may have any id, also none.
                    Says::Message if ["inbox", "outbox", "waiting"].contains(&kept.table) => {
                        self.messages.insert(text.to_owned());
                    }
                    Says::Words | Says::Body => {
                        if let Ok(document) = serde_json::from_str::<Value>(text) {
                            self.gather(&document);
                        }
                    }
                    _ => {}
                }
            }
        }
        found
    }

    fn found_in(&self, kept: &Kept, says: Says, bytes: &[u8]) -> bool {
        let text = String::from_utf8_lossy(bytes);
        match says {
            Says::Application => self.applications.contains(&*text),
            Says::Candidate => self.candidates.contains(&*text),
            Says::Candidacy => self.ids.contains(&*text),
            Says::Message => self.messages.contains(&*text) || self.is_named_in(&text),
            Says::Subject => text.split_once(':').is_some_and(|(kind, id)| match kind {
                "person" => self.candidates.contains(id),
                "application" => self.applications.contains(id),
                "order" => self.orders.contains(id),
                "interview" => self.ids.contains(id),
                _ => false,
            }),
            Says::Words | Says::Body => match serde_json::from_str::<Value>(&text) {
                Ok(document @ (Value::Object(_) | Value::Array(_))) => self.is_in(&document, None),
                _ => self.is_named_in(&text) || (kept.table == "parked" && self.names.iter().any(|name| holds(&text.to_lowercase(), name))),
            },
        }
    }

    /// Whether a document names the person, as the one it is about.
    fn is_in(&self, value: &Value, key: Option<&str>) -> bool {
        match value {
            Value::Object(fields) => {
                self.is_object_of(fields, key)
                    || fields.iter().filter(|(key, _)| !OTHERS.contains(&key.as_str())).any(|(key, value)| self.is_in(value, Some(key)))
            }
            Value::Array(values) => values.iter().any(|value| self.is_in(value, key)),
            Value::String(text) => {
                self.is_named_in(text) || (key.is_some_and(|key| key.starts_with("platform_candidacy")) && self.ids.contains(text))
            }
            _ => false,
        }
    }

    /// An object that is the person, the application, the order or the candidacy itself, by its id.
    fn is_object_of(&self, fields: &Map<String, Value>, key: Option<&str>) -> bool {
        let text = |field: &str| fields.get(field).and_then(Value::as_str);
        let is = |known: &BTreeSet<String>, id: Option<&str>| id.is_some_and(|id| known.contains(id));
        match key {
            Some("candidate" | "from" | "into") if is(&self.candidates, text("id")) => true,
            Some("application" | "from_application") if is(&self.applications, text("id")) => true,
            Some("assessment") if is(&self.orders, text("id")) => true,
            // As write-backs name them.
            _ => {
                is(&self.candidates, text("candidate"))
                    || is(&self.applications, text("application"))
                    || is(&self.orders, text("assessment"))
                    || is(&self.ids, text("candidacy"))
            }
        }
    }

    /// Whether words hold an address, a link or a candidacy of the person.
    fn is_named_in(&self, text: &str) -> bool {
        let lower = text.to_lowercase();
        if forms_of_email(text).any(|form| self.emails.contains(&form)) || forms_of_link(text).any(|form| self.links.contains(&form)) {
            return true;
        }
        self.emails.iter().any(|email| holds(&lower, email))
            || self.links.iter().any(|link| holds(&lower, link))
            || self.ids.iter().any(|id| Uuid::try_parse(id).is_ok() && lower.contains(id.as_str()))
    }

    /// What a document that is about the person tells of them.
    fn gather(&mut self, document: &Value) {
        match document {
            Value::Object(fields) => {
                self.gather_object(fields);
                fields.iter().filter(|(key, _)| !OTHERS.contains(&key.as_str())).for_each(|(_, value)| self.gather(value));
            }
            Value::Array(values) => values.iter().for_each(|value| self.gather(value)),
            _ => {}
        }
    }

    fn gather_object(&mut self, fields: &Map<String, Value>) {
        let text = |of: &Value, field: &str| of.get(field).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
        let candidate = fields.get("candidate").filter(|candidate| candidate.is_object());
        let application = fields.get("application").filter(|application| application.is_object());
        let id = |of: Option<&Value>| of.and_then(|of| text(of, "id"));
        let by_email =
            candidate.and_then(|c| text(c, "email")).is_some_and(|email| forms_of_email(&email).any(|form| self.emails.contains(&form)));
        let by_id = id(candidate).is_some_and(|id| self.candidates.contains(&id));
        let by_application = id(application).is_some_and(|id| self.applications.contains(&id));
        if !(by_email || by_id || by_application) {
            return;
        }
        if let Some(candidate) = candidate {
            self.candidates.extend(text(candidate, "id"));
            self.emails.extend(text(candidate, "email").iter().flat_map(|email| forms_of_email(email)));
            self.links.extend(text(candidate, "profile_url").iter().flat_map(|link| forms_of_link(link)));
            let names = [text(candidate, "name"), text(candidate, "phone")];
            self.names.extend(names.into_iter().flatten().map(|name| name.to_lowercase()).filter(|name| name.len() >= 6));
        }
        if let Some(application) = application {
            self.applications.extend(text(application, "id"));
            self.links.extend(text(application, "url").iter().flat_map(|link| forms_of_link(link)));
        }
        match fields.get("assessment") {
            Some(Value::String(order)) => drop(self.orders.insert(order.clone())),
            Some(order) => self.orders.extend(text(order, "id")),
            None => {}
        }
        for candidacy in fields.get("candidacies").and_then(Value::as_array).into_iter().flatten() {
            self.ids.extend(text(candidacy, "id"));
            if let Some(invitation) = candidacy.get("invitation") {
                self.ids.extend([text(invitation, "id"), text(invitation, "candidacy")].into_iter().flatten());
                let links = [text(invitation, "link"), text(invitation, "ats_url")];
                self.links.extend(links.iter().flatten().flat_map(|link| forms_of_link(link)));
            }
            self.links.extend(text(candidacy, "asked_with").iter().flat_map(|link| forms_of_link(link)));
            for (interview, seen) in candidacy.get("interviews").and_then(Value::as_object).into_iter().flatten() {
                self.ids.insert(interview.clone());
                let link = seen.get("link").and_then(|link| link.get(1)).and_then(Value::as_str);
                self.links.extend(link.into_iter().flat_map(forms_of_link));
            }
        }
    }
}

/// Whether a text holds a word whole: not as a part of a longer address, link or name.
fn holds(text: &str, word: &str) -> bool {
    let part_of_more = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '%' | '+');
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let mut after = text.get(at + word.len()..).unwrap_or_default().chars();
        let next = after.next();
        // A full stop ends a sentence, unless the address goes on behind it.
        let goes_on = next.is_some_and(part_of_more) || (next == Some('.') && after.next().is_some_and(char::is_alphanumeric));
        !goes_on && !before.is_some_and(|c| part_of_more(c) || c == '.')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::kept::KEPT;

    fn finds(traces: &mut Traces, table: &str, cells: &[Option<&str>]) -> bool {
        let kept = KEPT.iter().find(|kept| kept.table == table).unwrap();
        let says: Vec<Says> = kept.says.iter().map(|(_, says, _)| *says).collect();
        let cells: Vec<Cell> = cells.iter().map(|cell| cell.map(|text| text.as_bytes().to_vec())).collect();
        traces.learn(kept, &says, &cells)
    }

    #[test]
    fn an_address_is_found_whole_and_not_as_a_part_of_another() {
        for (text, found) in [
            ("ada@example.org", true),
            ("Write to <ADA@example.org>.", true),
            ("ada@example.org|1201", true),
            ("xada@example.org", false),
            ("x.ada@example.org", false),
            ("ada@example.org.uk", false),
            ("ada@example.organ", false),
        ] {
            assert_eq!(holds(&text.to_lowercase(), "ada@example.org"), found, "{text}");
        }
        assert!(!holds("https://ats.example/c/170", "https://ats.example/c/17"));
    }

    #[test]
    fn a_person_is_found_by_an_address_or_link_in_whichever_form_a_program_wrote_it() {
        // Composed, decomposed, of full width, in capitals, with a mark that is not seen.
        let forms = [
            "zo\u{eb}@example.org",
            "zoe\u{308}@example.org",
            "\u{ff3a}o\u{eb}@example.org",
            "ZO\u{cb}@EXAMPLE.ORG",
            "zo\u{eb}\u{200b}@example.org",
        ];
        for (named, written) in forms.iter().flat_map(|named| forms.iter().map(move |written| (named, written))) {
            let mut traces = Traces::of(&Person::Email(named.parse().unwrap()));
            let own =
                serde_json::json!({ "candidate": { "id": "5", "email": written, "profile_url": "https://ATS.example/c/5/" } }).to_string();
            assert!(finds(&mut traces, "dossiers", &[Some(&own), Some("17"), Some("5")]), "{named:?} {written:?}");
            let by_link = r#"{"candidate":{"profile_url":"http://ats.example:80/c/5#notes"}}"#;
            assert!(finds(&mut traces, "dossiers", &[Some(by_link), Some("18"), None]), "{traces:?}");
            let note = format!("{written} was invited");
            assert!(finds(&mut traces, "journal", &[None, None, None, Some(&note)]), "{note}");
        }
    }

    #[test]
    fn what_belongs_to_a_person_is_learnt_from_what_names_them_and_leads_on() {
        let mut traces = Traces::of(&Person::Email("ada@example.org".parse().unwrap()));
        let fact =
            r#"{"id":"m-1","data":{"candidate":{"id":"c-1","name":"Ada Lovelace","email":"Ada@Example.org"},"application":{"id":"a-1"}}}"#;
        assert!(finds(&mut traces, "inbox", &[Some("m-1"), Some(fact), None]));
        let other = r#"{"application":{"id":"a-2"},"candidate":{"id":"c-1","email":"ada@home.example"},"candidacies":[]}"#;
        assert!(finds(&mut traces, "dossiers", &[Some(other), Some("a-2"), Some("c-1")]));
        assert!(finds(&mut traces, "journal", &[Some("a-2"), None, None, Some("invited")]));
        assert!(finds(&mut traces, "attempts", &[Some("m-1"), None]));
        assert!(finds(&mut traces, "parked", &[None, Some("{ada@home.example"), Some("no JSON"), None, None, None, None]));
        assert!(finds(&mut traces, "parked", &[None, Some("{\"name\": Ada Lovelace"), Some("no JSON"), None, None, None, None]));
        assert!(finds(&mut traces, "heard", &[Some("{}"), Some("person:c-1")]));
    }

    #[test]
    fn what_is_anothers_stays_though_it_has_the_same_number_or_the_person_as_recruiter() {
        let mut traces = Traces::of(&Person::Application("17".parse().unwrap()));
        let own = r#"{"application":{"id":"17"},"candidate":{"id":"5","name":"Ada Lovelace","email":"ada@example.org"}}"#;
        assert!(finds(&mut traces, "dossiers", &[Some(own), Some("17"), Some("5")]));
        for other in [
            r#"{"application":{"id":"5"},"candidate":{"id":"17","name":"Ada Lovelace","email":"bob@example.org"}}"#,
            r#"{"application":{"id":"18"},"job":{"id":"17"},"recruiter":{"id":"5","email":"ada@example.org"}}"#,
            r#"{"application":{"id":"18"},"job":{"followers":[{"email":"ada@example.org"}]}}"#,
        ] {
            assert!(!finds(&mut traces, "dossiers", &[Some(other), Some("5"), Some("17")]), "{other}");
        }
        assert!(!finds(&mut traces, "heard", &[Some("{}"), Some("job:17")]));
    }
}
