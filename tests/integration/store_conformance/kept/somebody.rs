//! People of whom something stands in every table that may say something of one, in every form in which programs write it.

use crate::support::build::{
    applied, candidacy, claim, days_later, dossier, entered, external, handled, invitation, line, now, parked, publishes, record, saves,
    tenant, words,
};
use atshub_actors::{
    domain::{Dossier, EffectKey, Heard, State, Subject},
    ports::{Attempt, Beat, Callers, Change, Door, HeardWrite, JournalEntry, MessageKey, OutboxRow, SealedSecret, Store},
    supervision::ChildSnapshot,
};
use atshub_schemas::{Envelope, Link, Message, TenantName, fact::Candidate};
use bytes::Bytes;
use uuid::Uuid;

/// Somebody, everything of whom can be told from what others have.
pub(super) struct Somebody {
    pub(super) name: &'static str,
    pub(super) email: &'static str,
    pub(super) phone: &'static str,
    pub(super) number: &'static str,
}

pub(super) const ADA: Somebody = Somebody { name: "Ada Lovelace", email: "ada@example.org", phone: "+442071234567", number: "17" };
pub(super) const BOB: Somebody = Somebody { name: "Bob Babbage", email: "bob@example.org", phone: "+442079999999", number: "18" };

impl Somebody {
    pub(super) fn application(&self) -> String {
        format!("app-{}", self.number)
    }

    fn page(&self) -> Link {
        Link::new(format!("https://ats.example/people/{}", self.number)).unwrap()
    }

    fn interview(&self) -> Link {
        Link::new(format!("https://platform.example/interviews/i-{}", self.number)).unwrap()
    }

    /// Every word by which the person could be told.
    pub(super) fn traces(&self) -> Vec<String> {
        let words = [self.name, self.email, self.phone, self.page().as_str(), self.interview().as_str()].map(str::to_lowercase);
        words.into_iter().collect()
    }

    fn candidate(&self) -> Candidate {
        Candidate {
            id: Some(external(&format!("person-{}", self.number))),
            name: Some(words(self.name)),
            email: Some(self.email.parse().unwrap()),
            phone: Some(self.phone.to_owned().try_into().unwrap()),
            profile_url: Some(self.page()),
        }
    }

    fn dossier(&self, tenant: &TenantName) -> Dossier {
        let mut live = candidacy(State::Invited, "1201");
        live.invitation =
            Some(atshub_actors::ports::Invitation { link: Some(self.interview()), ..invitation(&format!("pc-{}", self.number)) });
        Dossier { candidate: self.candidate(), candidacies: vec![live], ..dossier(tenant, &self.application(), self.email) }
    }

    fn fact(&self, tenant: &TenantName) -> Envelope {
        let mut fact = entered(tenant, &self.application(), self.name, self.email, Some(self.phone));
        if let Message::ApplicationMoved(change) = &mut fact.message {
            change.candidate = Some(self.candidate());
        }
        fact
    }
}

fn entry(tenant: &TenantName, of: &Somebody, text: String) -> JournalEntry {
    JournalEntry { text, ..line(tenant, &of.application(), now(), "invited") }
}

/// Something of the person in every table that has anything of tenants' work; the message that was handled.
pub(super) async fn lives(store: &dyn Store, name: &str, of: &Somebody) -> MessageKey {
    let acme = tenant(name);
    let dossier = of.dossier(&acme);
    let candidacy = dossier.candidacies[0].id;
    let (fact, later) = (of.fact(&acme), of.fact(&acme));
    let keyed = |message: &Envelope, what: &str, at| OutboxRow {
        key: Some(EffectKey { candidacy, intent: 1, what: what.into() }),
        ..publishes(message, at)
    };
    let heard = Heard {
        tenant: acme.clone(),
        subject: Subject::Person(external(&format!("person-{}", of.number))),
        version: 1,
        updated_at: now(),
        candidate: of.candidate(),
        ..serde_json::from_value(serde_json::json!({
            "tenant": name, "subject": { "kind": "person", "id": "x" }, "version": 1, "updated_at": now()
        }))
        .unwrap()
    };
    let change = Change {
        handled: handled(&fact),
        outbox: vec![publishes(&of.fact(&acme), None), keyed(&of.fact(&acme), "reminder", Some(days_later(now(), 9)))],
        journal: vec![entry(&acme, of, format!("{} was invited, see {}", of.email, of.interview()))],
        heard: vec![HeardWrite { heard, expected: None }],
        ..saves(&dossier)
    };
    applied(store.commit(change).await);
    // One that failed, and waits to be tried again.
    let key = MessageKey::from(&later);
    let begun = store.begin(&key, claim()).await.unwrap();
    let attempt = Attempt {
        key,
        owner: begun.owner,
        counts: true,
        code: "transient".into(),
        detail: format!("`{}` was not answered", of.page()),
        next_at: Some(days_later(now(), 1)),
    };
    applied(store.commit(Change { attempt: Some(attempt), outbox: vec![publishes(&later, None)], ..Change::default() }).await);
    // As programs write them: cut off, in other letters, with escapes.
    let broken = format!("{{\"data\": {{\"candidate\": {{\"email\": \"{}\"", of.email.to_uppercase());
    let escaped = serde_json::json!({ "data": { "candidate": { "name": of.name, "email": of.email }, "application": {} } }).to_string();
    let escaped = escaped.replace('@', "\\u0040");
    let unnamed = format!("{{\"candidate\": {{\"id\": \"person-{}\"}}, \"text\": \"{}\"}}", of.number, of.name);
    let nameless = format!("{} {}", of.name, of.phone);
    for (nth, body) in [broken, escaped, unnamed, nameless].into_iter().enumerate() {
        let aside = parked(name, Some(&format!("p-{}-{nth}", of.number)), "undecodable_body", body.as_bytes());
        applied(store.commit(Change { parked: Some(aside), ..Change::default() }).await);
    }
    MessageKey::from(&fact)
}

/// The tenant itself, with a credential, and what its actor does.
pub(super) async fn register(store: &dyn Store, name: &str) {
    assert!(store.put_tenant(record(name), None).await.unwrap());
    let secret = SealedSecret {
        owner: format!("tenant/{name}"),
        name: "api_key".into(),
        sealed: Bytes::from_static(b"sealed"),
        fingerprint: "ab12".into(),
        set_at: now(),
    };
    store.put_secret(secret).await.unwrap();
    let process = Uuid::now_v7();
    let beat = Beat { process, name: "here:1".into(), started_at: now(), able: true };
    store.beat(beat, std::time::Duration::from_secs(9)).await.unwrap();
    store.show_children(process, vec![ChildSnapshot::new(&format!("tenant/{name}"))]).await.unwrap();
    store.tell_callers(vec![Callers::none(name.parse().unwrap(), Door::Hook)]).await.unwrap();
}
