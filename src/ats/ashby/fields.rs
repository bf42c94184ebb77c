//! Reading Ashby's JSON with care: each field is taken if it is usable and left out if not, so that one odd value never
//! costs the whole message. Knows types, not meanings.

use atshub_schemas::{
    Email, ExternalId, Line, Link,
    fact::{Follower, FollowerKind, Person, Phone},
    text::{key, same},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// Most followers taken of one hiring team (the wire contract's limit).
const MAX_FOLLOWERS: usize = 100;
/// How far ahead of our clock a time of theirs may be. A time further off would make every later fact look older.
const MAX_AHEAD: SignedDuration = SignedDuration::from_mins(5);
/// 2000-01-01. Nothing in Ashby is older (it was founded in 2018): what is, is an empty field of some language (0001-01-01, 1970-01-01),
/// and would make this fact look older than every other.
const EARLIEST: Timestamp = Timestamp::constant(946_684_800, 0);

/// An id.
pub(super) fn id(value: &Value, pointer: &str) -> Option<ExternalId> {
    ExternalId::new(value.pointer(pointer)?.as_str()?).ok()
}

/// One line of text, as far as it can be read: control characters become spaces, and what is too long is cut.
pub(super) fn line(value: &Value, pointer: &str) -> Option<Line> {
    Line::tamed(value.pointer(pointer)?.as_str()?)
}

/// An e-mail address.
pub(super) fn email(value: &Value, pointer: &str) -> Option<Email> {
    Email::new(value.pointer(pointer)?.as_str()?).ok()
}

/// A link.
pub(super) fn link(value: &Value, pointer: &str) -> Option<Link> {
    Link::new(value.pointer(pointer)?.as_str()?).ok()
}

/// A phone number of a person that is there: one that Ashby leaves out is *known* to be none, which has to be said, or a
/// number that a recruiter removed would live on in the hub.
pub(super) fn phone(value: &Value, pointer: &str) -> Option<Phone> {
    match value.pointer(pointer) {
        None | Some(Value::Null) => Phone::new("").ok(),
        Some(Value::String(number)) => Phone::new(number.as_str()).ok(),
        Some(_) => None,
    }
}

/// When it happened, by Ashby's clock; ours where Ashby does not say, or says what cannot be.
pub(super) fn time(value: &Value, pointer: &str, now: Timestamp) -> Timestamp {
    let theirs = value.pointer(pointer).and_then(past);
    theirs.filter(|time| time.duration_since(now) <= MAX_AHEAD).unwrap_or(now)
}

/// A time that Ashby can have meant.
pub(super) fn past(value: &Value) -> Option<Timestamp> {
    atshub_schemas::shape::time(value.as_str()?).filter(|time| *time >= EARLIEST)
}

/// A hiring team, sorted by what its members do. The labels are the customer's own; only these words are read in them.
pub(super) fn hiring_team(value: &Value, pointer: &str) -> (Option<Person>, Vec<Follower>) {
    let members = value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut recruiter = None;
    let mut followers: Vec<Follower> = Vec::new();
    for member in members {
        let role = key(member.get("role").and_then(Value::as_str).unwrap_or_default());
        let kind = match () {
            () if role.contains("recruiter") => FollowerKind::Recruiter,
            () if role.contains("grader") => FollowerKind::Grader,
            () if role.contains("engineer") => FollowerKind::Engineer,
            () => FollowerKind::Other,
        };
        if kind == FollowerKind::Recruiter && recruiter.is_none() {
            let person = person(member);
            if person != Person::default() {
                recruiter = Some(person);
                continue;
            }
        }
        if let Some(email) = email(member, "/email")
            && followers.len() < MAX_FOLLOWERS
            && !followers.iter().any(|follower| follower.email.key() == email.key() && follower.kind == kind)
        {
            followers.push(Follower { email, kind });
        }
    }
    (recruiter, followers)
}

fn person(member: &Value) -> Person {
    let part = |name: &str| member.get(name).and_then(Value::as_str).unwrap_or_default();
    Person {
        id: id(member, "/userId"),
        name: Line::tamed(&format!("{} {}", part("firstName"), part("lastName"))),
        email: email(member, "/email"),
    }
}

/// What a custom field of this title shows: the label of a chosen value, else the value itself.
pub(super) fn custom_field(fields: Option<&Value>, title: &str) -> Option<Line> {
    let field =
        fields?.as_array()?.iter().find(|field| field.get("title").and_then(Value::as_str).is_some_and(|theirs| same(theirs, title)))?;
    shown(field.get("valueLabel")).or_else(|| shown(field.get("value")))
}

fn shown(value: Option<&Value>) -> Option<Line> {
    match value? {
        Value::String(text) => Line::tamed(text),
        Value::Number(number) => Line::tamed(&number.to_string()),
        Value::Array(values) => shown(values.first()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_hiring_team_is_one_recruiter_and_followers() {
        let team = json!({"hiringTeam": [
            {"userId": "u1", "firstName": "Joe", "lastName": "J", "email": "joe@acme.example", "role": "Hiring Manager"},
            {"userId": "u2", "firstName": "Ria", "lastName": "R", "email": "ria@acme.example", "role": "Lead RECRUITER"},
            {"userId": "u3", "email": "rob@acme.example", "role": "Recruiter"},
            {"userId": "u4", "email": "eve@acme.example", "role": "Engineer on call"},
            {"userId": "u4", "email": "EVE@acme.example", "role": "Engineer on call"},
            {"userId": "u5", "email": "not an address", "role": "Grader"}, 7, null, {"role": 3}
        ]});
        let (recruiter, followers) = hiring_team(&team, "/hiringTeam");
        assert_eq!(recruiter.unwrap().name.unwrap().as_str(), "Ria R");
        let told: Vec<_> = followers.iter().map(|f| (f.email.as_str(), f.kind)).collect();
        let expected = [
            ("joe@acme.example", FollowerKind::Other),
            ("rob@acme.example", FollowerKind::Recruiter),
            ("eve@acme.example", FollowerKind::Engineer),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_custom_field_shows_its_label_or_its_value() {
        let fields = json!([{"title": "Other", "value": "x"}, {"title": " karat role ", "value": "v-1", "valueLabel": "Backend"}, {"title": "N", "value": 12}]);
        let table = [("Karat Role", Some("Backend")), ("other", Some("x")), ("n", Some("12")), ("absent", None)];
        for (title, expected) in table {
            assert_eq!(custom_field(Some(&fields), title).as_ref().map(Line::as_str), expected, "{title}");
        }
        assert_eq!(custom_field(None, "n"), None);
    }

    #[test]
    fn a_time_that_cannot_be_is_not_believed() {
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let table = [
            (json!("2026-11-23T09:00:00.123Z"), "2026-11-23T09:00:00.123Z"),
            (json!("2026-11-23T10:04:00Z"), "2026-11-23T10:04:00Z"),
            (json!("2226-11-23T10:04:00Z"), "2026-11-23T10:00:00Z"),
            (json!("soon"), "2026-11-23T10:00:00Z"),
            (json!("0000-01-01T00:00:00+23:59"), "2026-11-23T10:00:00Z"),
            (json!("-000001-12-31T00:00:00Z"), "2026-11-23T10:00:00Z"),
            (json!("0001-01-01T00:00:00Z"), "2026-11-23T10:00:00Z"),
            (json!("1970-01-01T00:00:00Z"), "2026-11-23T10:00:00Z"),
            (json!("2000-01-01T00:00:00Z"), "2000-01-01T00:00:00Z"),
            (json!(7), "2026-11-23T10:00:00Z"),
        ];
        for (theirs, expected) in table {
            assert_eq!(time(&json!({"t": theirs}), "/t", now), expected.parse::<Timestamp>().unwrap(), "{theirs}");
        }
    }

    #[test]
    fn a_phone_that_was_removed_is_said_to_be_none() {
        assert_eq!(phone(&json!({}), "/p").unwrap().as_str(), "");
        assert_eq!(phone(&json!({"p": " +44 1 "}), "/p").unwrap().as_str(), "+44 1");
        assert_eq!(phone(&json!({"p": ["x"]}), "/p"), None);
    }
}
