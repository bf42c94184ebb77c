//! Rows of a newer version of the hub: kept as they are, or refused for what they are.

use super::{from_json, to_json};
use atshub_actors::{
    domain::{Candidacy, Dossier, Ended, InviteError, Policy, State},
    ports::StoreError,
};
use atshub_schemas::fact::Application;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

/// A dossier with one candidacy, as JSON.
fn written() -> Value {
    let application = Application { id: "a-1".parse().unwrap(), url: None, status: None };
    let mut dossier = Dossier::new("acme".parse().unwrap(), application, Timestamp::UNIX_EPOCH);
    dossier.candidacies.push(Candidacy::asked(Uuid::nil(), Some("1201".into()), Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH));
    serde_json::to_value(&dossier).unwrap()
}

fn read(value: &Value) -> Result<Dossier, StoreError> {
    from_json("the dossier of application `a-1`", &value.to_string())
}

fn again(dossier: &Dossier) -> Value {
    serde_json::from_str(&to_json(dossier).unwrap()).unwrap()
}

#[test]
fn what_a_newer_version_wrote_is_written_back_unchanged() {
    let newer = json!({ "state": "waitlisted", "until": "2030-01-01T00:00:00Z", "places": [1, 2.5, null] });
    let seen = json!({
        "state": "recording", "of": { "minutes": 50 }, "last": "1970-01-01T00:00:00Z",
        "mark": { "time": "1970-01-01T00:00:00Z", "received_at": "1970-01-01T00:00:00Z" },
    });
    for (what, path, value) in [
        ("a state", "/candidacies/0/state", newer),
        (
            "an error",
            "/candidacies/0/state",
            json!({ "state": "refused", "error": { "code": "visa_missing", "text": "No visa.", "of": 7 } }),
        ),
        ("an end", "/ended", json!("withdrawn")),
        ("an interview", "/candidacies/0/interviews", json!({ "i-1": seen })),
        ("a field of a dossier", "/pool", json!({ "name": "spring" })),
        ("a field of a candidacy", "/candidacies/0/rounds", json!([{ "n": 1 }])),
    ] {
        let mut body = written();
        let (parent, name) = path.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[name] = value;
        let dossier = read(&body).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(again(&dossier), body, "{what}");
    }
}

#[test]
fn a_state_and_an_error_of_a_newer_version_are_known_by_their_codes() {
    let mut body = written();
    body["candidacies"][0]["state"] = json!({ "state": "waitlisted" });
    body["ended"] = json!("withdrawn");
    let dossier = read(&body).unwrap();
    let state = &dossier.current().unwrap().state;
    assert_eq!((state.code(), state.is_live()), ("waitlisted", true), "nobody is invited beside it");
    assert_eq!(dossier.ended.as_ref().map(Ended::word), Some("withdrawn"));
    body["candidacies"][0]["state"] = json!({ "state": "refused", "error": { "code": "visa_missing" } });
    let dossier = read(&body).unwrap();
    let State::Refused { error } = &dossier.current().unwrap().state else { panic!("{dossier:?}") };
    assert_eq!((error.code(), error.text(&Policy::default().platform_name).as_str()), ("visa_missing", "Invite failed: visa_missing."));
    assert_eq!(error.remedy().who, "operator");
    assert!(matches!(error, InviteError::Unknown(_)));
}

#[test]
fn what_is_damaged_is_not_taken_for_what_a_newer_version_wrote() {
    for (what, path, value) in [
        ("a known state without what belongs to it", "/candidacies/0/state", json!({ "state": "refused" })),
        ("a known error without what belongs to it", "/candidacies/0/state", json!({ "state": "refused", "error": { "code": "other" } })),
        ("a state without a name", "/candidacies/0/state", json!({ "until": 1 })),
        ("a state that is none", "/candidacies/0/state", json!(7)),
        ("an id that is none", "/application/id", json!("")),
        ("a version that is none", "/version", json!("one")),
    ] {
        let mut body = written();
        let (parent, name) = path.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[name] = value;
        match read(&body) {
            Err(StoreError::Unreadable(why)) => {
                assert!(why.starts_with("the dossier of application `a-1` cannot be read by this version of atshub"), "{why}");
            }
            other => panic!("{what}: {other:?}"),
        }
    }
}
