//! Reading candidacies: which of those that the API gives is the invitation we look for. Pure.

use super::vocabulary::is_live;
use atshub_actors::ports::{Invitation, InvitationRequest};
use atshub_schemas::{Email, ExternalId, Line, Link, text::trimmed};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// A page of a Relay connection.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page<T> {
    #[serde(default = "Vec::new")]
    pub(super) nodes: Vec<Option<T>>,
    pub(super) page_info: PageInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageInfo {
    pub(super) end_cursor: Option<String>,
    pub(super) has_next_page: bool,
}

/// Reads the page called `field`.
pub(super) fn page<T: DeserializeOwned>(mut data: Value, field: &str) -> Option<Page<T>> {
    serde_json::from_value(data.get_mut(field)?.take()).ok()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidacy {
    id: Value,
    ats_url: Option<String>,
    candidate: Option<Candidate>,
    role: Option<Role>,
    interviews: Option<Interviews>,
}

#[derive(Deserialize)]
struct Candidate {
    email: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Role {
    pub(super) id: Value,
    pub(super) name: Option<String>,
}

#[derive(Deserialize)]
struct Interviews {
    #[serde(default)]
    nodes: Vec<Option<Interview>>,
}

#[derive(Deserialize)]
struct Interview {
    id: Option<Value>,
    state: Option<String>,
    link: Option<String>,
}

/// An id, which some servers of GraphQL give as a number.
pub(super) fn id(value: &Value) -> Option<ExternalId> {
    match value {
        Value::String(text) => ExternalId::new(text.as_str()).ok(),
        Value::Number(number) => ExternalId::new(number.to_string()).ok(),
        _ => None,
    }
}

/// The invitation that this candidacy holds, if it is the one asked for and still live: same role, same person, and no
/// *other* application's page. Who the page belongs to matters: taking another application's invitation for ours would show
/// "invited" where the platform would say "already active".
pub(super) fn invitation(candidacy: &Candidacy, wanted: &InvitationRequest) -> Option<Invitation> {
    let same_role = candidacy.role.as_ref().and_then(|role| id(&role.id)).is_some_and(|role| role == wanted.role);
    let same_person = candidacy
        .candidate
        .as_ref()
        .and_then(|candidate| candidate.email.as_deref())
        .is_some_and(|email| Email::new(email).is_ok_and(|email| email.key() == wanted.email.key()));
    let ats_url = candidacy.ats_url.as_deref().map(trimmed).filter(|url| !url.is_empty());
    let same_page = match (ats_url, &wanted.ats_url) {
        (Some(theirs), Some(ours)) => comparable(theirs) == comparable(ours.as_str()),
        _ => true,
    };
    if !(same_role && same_person && same_page) {
        return None;
    }
    let interviews = &candidacy.interviews.as_ref()?.nodes;
    let live = interviews.iter().flatten().find(|interview| interview.state.as_deref().is_some_and(is_live))?;
    Some(Invitation {
        id: live.id.as_ref().and_then(id),
        candidacy: id(&candidacy.id)?,
        link: live.link.as_deref().and_then(|link| Link::new(link).ok()),
        state: live.state.as_deref().and_then(Line::tamed),
        ats_url: ats_url.and_then(|url| Link::new(url).ok()),
    })
}

/// An address in the form in which two of one page compare equal: scheme and host without case, no slash at the end.
fn comparable(url: &str) -> String {
    let sent = Link::new(url).map_or_else(|_| url.to_owned(), |link| link.sent());
    reqwest::Url::parse(&sent).map_or(sent, String::from).trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wanted() -> InvitationRequest {
        InvitationRequest {
            name: "Ada Lovelace".parse().unwrap(),
            email: "Ada@Example.org".parse().unwrap(),
            role: "7".parse().unwrap(),
            phone: None,
            ats_url: Some("https://ats.example/a/1".parse().unwrap()),
        }
    }

    fn candidacy(change: impl FnOnce(&mut Value)) -> Candidacy {
        let mut value = json!({
            "id": "c-1", "atsUrl": "https://ats.example/a/1", "candidate": {"email": "ada@example.org"}, "role": {"id": "7", "name": "R"},
            "interviews": {"nodes": [{"id": "i-1", "state": "CANCELLED", "link": null}, {"id": 2, "state": "SCHEDULING", "link": "https://k.example/i/2"}]}
        });
        change(&mut value);
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_live_interview_is_the_invitation() {
        let found = invitation(&candidacy(|_| ()), &wanted()).unwrap();
        assert_eq!((found.id.unwrap().as_str(), found.candidacy.as_str()), ("2", "c-1"));
        assert_eq!(found.link.unwrap().as_str(), "https://k.example/i/2");
        assert_eq!(found.state.unwrap().as_str(), "SCHEDULING");
    }

    #[test]
    fn another_role_person_page_or_state_is_not_it() {
        let table: [(&str, Value); 9] = [
            ("/role/id", json!("8")),
            ("/role", json!(null)),
            ("/candidate/email", json!("eve@example.org")),
            ("/candidate", json!(null)),
            ("/atsUrl", json!("https://ats.example/a/2")),
            ("/interviews/nodes/1/state", json!("SHIPPED")),
            ("/interviews/nodes/1", json!(null)),
            ("/interviews", json!(null)),
            ("/id", json!({})),
        ];
        for (path, value) in table {
            let changed = candidacy(|c| *c.pointer_mut(path).unwrap() = value.clone());
            assert_eq!(invitation(&changed, &wanted()), None, "{path} = {value}");
        }
    }

    #[test]
    fn small_differences_do_not_hide_it() {
        let table: [(&str, Value); 9] = [
            ("/candidate/email", json!("\u{feff}ada@example.org\u{200b}")),
            ("/candidate/email", json!("a\u{200d}da@EXAMPLE.org\u{a0}")),
            ("/atsUrl", json!("\u{202a}https://ats.example/a/1\u{202c}")),
            ("/interviews/nodes/1/state", json!("\u{a0}scheduling\u{200e}")),
            ("/role/id", json!(7)),
            ("/candidate/email", json!(" ADA@EXAMPLE.ORG")),
            ("/atsUrl", json!("HTTPS://ATS.example/a/1/")),
            ("/atsUrl", json!(null)),
            ("/atsUrl", json!("")),
        ];
        for (path, value) in table {
            let changed = candidacy(|c| *c.pointer_mut(path).unwrap() = value.clone());
            assert!(invitation(&changed, &wanted()).is_some(), "{path} = {value}");
        }
    }
}
