//! Each class of character at each of Ashby's doors: webhook, partner call, answer of its API. Tests alone.

use super::{entry::WEBHOOK_SECRET, hook, inbound::AshbyInbound, mapping, partner};
use crate::{
    ats::{Account, Heard, Inbound, Known, Ordered, PartnerContext},
    credentials::Secrets,
    http::{Http, Options},
};
use atshub_actors::ports::PlatformRole;
use atshub_schemas::{
    Email, Line, Link, Message,
    fact::{Candidate, Phone},
    text::{Becomes, CLASSES, Class, Kind, same},
};
use jiff::Timestamp;
use reqwest::Url;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

const NAME: &str = "Ada Lovelace";
const ADDRESS: &str = "ada@example.org";
const PHONE: &str = "+44 20 7946 0002";
const PAGE: &str = "https://app.ashbyhq.com/c/1";

fn account() -> Account {
    Account {
        tenant: "acme".parse().unwrap(),
        policy: Arc::default(),
        secrets: Secrets::new(BTreeMap::from([(WEBHOOK_SECRET.to_owned(), "secret".into())])),
        http: Http::new(tokio::runtime::Handle::current(), Options::default()).unwrap(),
    }
}

fn base() -> Url {
    Url::parse("https://app.ashbyhq.com").unwrap()
}

/// What came of the person, the stage and the role, and of nothing else.
#[derive(Debug)]
struct Read {
    candidate: Candidate,
    stage: Option<Line>,
    role: Option<Line>,
}

/// An application whose texts are written in a way, and its person, job and role.
fn objects(way: &dyn Fn(&str) -> String) -> (Value, Value, Value) {
    let application = json!({
        "id": "a-1", "status": way("Active"), "updatedAt": "2026-11-23T10:00:00Z",
        "candidate": {
            "id": "c-1", "name": way(NAME), "primaryEmailAddress": {"value": way(ADDRESS)}, "primaryPhoneNumber": {"value": way(PHONE)},
        },
        "currentInterviewStage": {"id": "s-1", "title": way("Karat Assessment")},
        "job": {"id": "j-1", "title": way("Engineer")}, "hiringTeam": [{"userId": "u-1", "email": way("ria@acme.example"), "role": way("Recruiter")}],
    });
    let person = json!({"id": "c-1", "profileUrl": way(PAGE)});
    let job = json!({"id": "j-1", "title": way("Engineer"), "customFields": [{"title": way("Karat Role"), "value": way("Backend")}]});
    (application, person, job)
}

fn by_webhook(way: &dyn Fn(&str) -> String) -> Read {
    let (application, ..) = objects(way);
    let body = json!({"action": "candidateStageChange", "webhookActionId": "w-1", "data": {"application": application}});
    let heard = hook::heard(&account(), &base(), b"", &body, Timestamp::UNIX_EPOCH).unwrap();
    let Heard::Facts(facts) = heard else { panic!("{heard:?}") };
    let [fact] = facts.as_slice() else { panic!("{facts:?}") };
    let Message::ApplicationMoved(change) = &fact.message else { panic!("{fact:?}") };
    assert_eq!(change.recruiter.as_ref().and_then(|r| r.id.as_ref()).map(AsRef::as_ref), Some("u-1"));
    Read { candidate: change.candidate.clone().unwrap(), stage: change.to_stage.clone().and_then(|s| s.name), role: None }
}

fn by_answer(way: &dyn Fn(&str) -> String) -> Read {
    let (application, person, job) = objects(way);
    let mut snapshot = mapping::snapshot(&application, &base()).unwrap();
    mapping::add_candidate(&mut snapshot, &person);
    mapping::add_job(&mut snapshot, &job, "Karat Role");
    assert_eq!(snapshot.ended, None);
    Read { candidate: snapshot.candidate, stage: snapshot.stage.and_then(|s| s.name), role: snapshot.job.role }
}

fn by_partner_call(way: &dyn Fn(&str) -> String) -> Option<Read> {
    let roles = [PlatformRole { id: "1201".parse().unwrap(), name: "Backend".parse().unwrap() }];
    let context = PartnerContext { roles: &roles, application: &Ordered::default() };
    let listed = partner::list(&account(), context).body;
    let body = json!({
        "assessment_type_id": listed.pointer("/results/0/assessment_type_id").unwrap(), "application": {"ashby_id": "a-1"},
        "candidate": {
            "ashby_id": "c-1", "first_name": way("Ada"), "last_name": way("Lovelace"), "email": way(ADDRESS), "ashby_profile_url": way(PAGE),
        },
    });
    let answer = partner::start(&account(), &base(), &body, context, Timestamp::UNIX_EPOCH);
    let fact = answer.facts.into_iter().next()?;
    let Message::AssessmentOrdered(order) = fact.message else { panic!("{:?}", fact.message) };
    Some(Read { candidate: order.candidate.unwrap(), stage: None, role: None })
}

/// First and last character of each range of a class.
fn ends(class: &Class) -> Vec<char> {
    class.ranges.iter().flat_map(|(first, last)| [*first, *last]).collect()
}

/// The name and the rest are what they are without the character; what its kind refuses is left out, and the rest of the fact stays.
fn check(read: &Read, class: &Class, what: &str) {
    let is = |kind: Kind, kept: bool| match class.becomes(kind) {
        Becomes::Refused => !kept,
        _ => kept,
    };
    let Candidate { name, email, phone, profile_url, .. } = &read.candidate;
    assert!(name.as_ref().is_some_and(|name| same(name.as_str(), NAME)), "{what}: {name:?}");
    let address = email.as_ref().map(Email::key);
    assert!(is(Kind::Email, address.as_deref() == Some(ADDRESS)), "{what}: {email:?}");
    // Where one that cannot be read was the only one, there is none.
    if let Some(phone) = phone.as_ref().filter(|phone| !phone.as_str().is_empty()) {
        assert!(same(phone.as_str(), PHONE), "{what}: {phone:?}");
    }
    if class.becomes(Kind::Link) != Becomes::Kept
        && let Some(page) = profile_url
    {
        assert_eq!(page.as_str(), PAGE, "{what}");
    }
    for (text, plain) in [(&read.stage, "Karat Assessment"), (&read.role, "Backend")] {
        assert!(text.as_ref().is_none_or(|text| same(text.as_str(), plain)), "{what}: {text:?}");
    }
}

#[tokio::test]
async fn every_class_of_character_is_read_alike_at_every_door() {
    for class in &CLASSES {
        for c in ends(class) {
            let what = format!("U+{:04X} ({})", c as u32, class.what);
            let way = |text: &str| format!("{c}{text}{c}");
            for (door, read) in [("webhook", by_webhook(&way)), ("answer", by_answer(&way))] {
                check(&read, class, &format!("{what}, {door}"));
                assert!(read.stage.is_some(), "{what}, {door}");
                let phone = read.candidate.phone.as_ref().map(Phone::as_str).filter(|phone| !phone.is_empty());
                assert_eq!(phone.is_none(), class.becomes(Kind::Phone) == Becomes::Refused, "{what}, {door}: {phone:?}");
            }
            match by_partner_call(&way) {
                Some(read) => check(&read, class, &format!("{what}, partner call")),
                None => assert_eq!(class.becomes(Kind::Email), Becomes::Refused, "{what}"),
            }
        }
    }
}

#[tokio::test]
async fn a_name_and_a_phone_out_of_a_contact_book_are_those_of_the_person() {
    let (application, ..) = objects(&|text| text.to_owned());
    let mut body = json!({"action": "candidateStageChange", "webhookActionId": "w-1", "data": {"application": application}});
    body["data"]["application"]["candidate"]["name"] = json!("\u{202b}\u{639}\u{644}\u{64a} \u{645}\u{62b}\u{627}\u{644}\u{202c}");
    body["data"]["application"]["candidate"]["primaryPhoneNumber"]["value"] = json!("\u{202a}+44 20 7946 0002\u{202c}");
    let Ok(Heard::Facts(facts)) = hook::heard(&account(), &base(), b"", &body, Timestamp::UNIX_EPOCH) else { panic!("not a fact") };
    let Message::ApplicationMoved(change) = &facts[0].message else { panic!("{:?}", facts[0]) };
    let candidate = change.candidate.as_ref().unwrap();
    assert_eq!(candidate.name.as_ref().map(Line::as_str), Some("\u{639}\u{644}\u{64a} \u{645}\u{62b}\u{627}\u{644}"));
    assert_eq!(candidate.phone.as_ref().map(Phone::as_str), Some(PHONE));
    assert_eq!(candidate.profile_url.as_ref().map(Link::as_str), None);
}

#[tokio::test]
async fn a_request_that_no_reader_takes_is_refused_by_name() {
    let signed = |body: &str| {
        let account = account();
        let mac = <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(b"secret").unwrap();
        let signature = hex::encode(hmac::Mac::finalize(hmac::Mac::chain_update(mac, body)).into_bytes());
        let headers = vec![("ashby-signature".to_owned(), format!("sha256={signature}"))];
        let now = Timestamp::UNIX_EPOCH;
        let known = Known::authenticate(&AshbyInbound, &account, crate::ats::Call::Hook, headers, body.into(), now).unwrap();
        AshbyInbound.hook(&account, &known, now)
    };
    for (body, words) in [
        ("{\"action\":\"ping\",\"x\":\"\\ud83d\"}", "half of a surrogate pair"),
        ("{\"action\":\"ping\",\"x\":1e400}", "a number that no program can hold"),
        ("\u{feff}{\"action\":\"ping\"}", "begins with a byte order mark"),
        ("{\"action\":", "is not JSON (line 1, column"),
    ] {
        let refused = signed(body).unwrap_err();
        assert_eq!((refused.status, refused.code), (400, "undecodable_body"), "{body}");
        assert!(refused.detail.contains(words), "{body}: {}", refused.detail);
    }
    assert!(matches!(signed("{\"action\":\"ping\",\"x\":[\"\\ud83d\\ude00\",1e300,18446744073709551615,-0]}"), Ok(Heard::Nothing(_))));
}
