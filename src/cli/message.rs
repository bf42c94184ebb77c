//! `atshub message`: what became of one message. Words come from the store as they were written for people; nothing is judged
//! anew here.

use super::{
    exit::{Ended, Exit, Stop},
    session::Session,
};
use atshub_actors::ports::{JournalEntry, MessageView, Store};
use clap::Subcommand;
use serde_json::Value;
use std::fmt::Write;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show one message: what it says, what became of it, and what to do next
    Show {
        /// Its id, as the producer or `atshub publish` named it
        id: String,
    },
}

/// Lines of what happened afterwards that are shown; an application can have a long life.
const SINCE: usize = 40;

/// Shows.
pub(super) async fn run(verb: Verb, session: &Session) -> Ended {
    let Verb::Show { id } = verb;
    let store = session.store().await?;
    let found = store.message(&id).await?;
    if found.is_empty() {
        return Err(Stop::not_found(format!("the hub has no message with the id `{id}`"))
            .next("check the id, and the broker's queues with `atshub queue list`; a message still in a queue is not in the store"));
    }
    let (mut text, mut values) = (Vec::with_capacity(found.len()), Vec::with_capacity(found.len()));
    for view in &found {
        let since = since(store.as_ref(), view).await?;
        text.push(describe(view, &since));
        values.push(value(view, &since));
    }
    let value = if values.len() == 1 { values.swap_remove(0) } else { Value::Array(values) };
    session.out.one(&text.join("\n\n"), &value)?;
    Ok(Exit::Done)
}

/// What happened to the application after this message: an invite that a fact asked for may be refused later, by the platform
/// or because of another application, and whoever looks at the fact is to see that.
async fn since(store: &dyn Store, view: &MessageView) -> Result<Vec<JournalEntry>, Stop> {
    let Some((last, application)) = view.journal.iter().rev().find_map(|entry| Some((entry, entry.application.as_ref()?))) else {
        return Ok(Vec::new());
    };
    let own = |entry: &JournalEntry| entry.message.as_ref().is_some_and(|message| message.as_str() == view.id);
    let all = store.journal(&last.tenant, application).await?;
    Ok(all.into_iter().filter(|entry| entry.at >= last.at && !own(entry)).take(SINCE).collect())
}

/// The view as data, with the envelope as JSON where it is JSON.
fn value(view: &MessageView, since: &[JournalEntry]) -> Value {
    let mut value = serde_json::to_value(view).unwrap_or_default();
    value["since"] = serde_json::to_value(since).unwrap_or_default();
    if let Some(envelope) = view.body.as_deref().and_then(|body| serde_json::from_str::<Value>(body).ok()) {
        value["body"] = envelope;
    }
    value
}

/// The view for people: what it is, the verdict and its sentence, what to do, then the evidence.
fn describe(view: &MessageView, since: &[JournalEntry]) -> String {
    let mut text = String::new();
    let absent = "unknown".to_owned();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<10} {value}");
    };
    line("message", &view.id);
    line("type", view.kind.as_ref().unwrap_or(&absent));
    line("tenant", view.tenant.as_ref().unwrap_or(&absent));
    if let Some(source) = &view.source {
        line("from", source);
    }
    let at = view.at.map(|at| format!(", {at}")).unwrap_or_default();
    line("state", &format!("{}{at}", view.state));
    if let Some(done) = &view.disposition {
        let code = done.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
        line("verdict", &format!("{}{code}", done.verdict));
        line("", &done.text);
        if let Some(remedy) = &done.remedy {
            line("next", remedy);
        }
    }
    if let Some(parked) = &view.parked {
        let field = parked.field.as_ref().map(|field| format!(" at `{field}`")).unwrap_or_default();
        line("parked", &format!("{}{field}, {}, from {} ({})", parked.code, parked.at, parked.queue, parked.routing_key));
        line("", &parked.detail);
    }
    if view.begun > 0 || view.failures > 0 {
        let next = view.next_at.map(|at| format!("; again at {at}")).unwrap_or_default();
        line("attempts", &format!("{} begun, {} failed{next}", view.begun, view.failures));
    }
    if let Some(error) = &view.last_error {
        line("last error", error);
    }
    for (title, entries) in [("\nhistory", &view.journal[..]), ("\nsince then, of the same application", since)] {
        if !entries.is_empty() {
            line(title, "");
        }
        for entry in entries {
            line("", &format!("{}  {:<18} {}", entry.at, entry.code, entry.text));
        }
    }
    if let Some(body) = &view.body {
        let shown = serde_json::from_str::<Value>(body).map_or_else(|_| body.clone(), |envelope| format!("{envelope:#}"));
        let _ = write!(text, "\nbody\n{shown}");
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use atshub_actors::{
        domain::InviteError,
        ports::{Disposition, JournalEntry, ParkedView},
    };
    use atshub_schemas::Line;

    fn view() -> MessageView {
        MessageView {
            id: "m-1".into(),
            tenant: Some("acme".into()),
            source: Some("/bridges/x".into()),
            kind: Some("application.moved.v1".into()),
            state: "handled".into(),
            at: None,
            disposition: None,
            begun: 0,
            failures: 0,
            last_error: None,
            next_at: None,
            parked: None,
            body: Some("{\"id\":\"m-1\"}".into()),
            journal: Vec::new(),
        }
    }

    #[test]
    fn a_refused_invite_shows_the_recruiters_sentence_word_for_word_and_who_must_do_what() {
        let link = atshub_schemas::Link::new("https://karat.example/i/1").ok();
        for error in
            [InviteError::RoleMissing, InviteError::PhoneTooShort, InviteError::AlreadyActive { link }, InviteError::RecruiterIsCandidate]
        {
            let remedy = error.remedy();
            let disposition = Disposition {
                verdict: Line::new("refused").unwrap(),
                code: Line::new(error.code()).ok(),
                text: error.text("Karat"),
                remedy: Some(format!("{}: {}", remedy.who, remedy.what)),
            };
            let view = MessageView { disposition: Some(disposition), ..view() };
            let text = describe(&view, &[]);
            assert!(text.lines().any(|line| line.trim() == error.text("Karat")), "{text}");
            assert!(text.contains(&format!("refused ({})", error.code())) && text.contains("recruiter: "), "{text}");
            assert_eq!(value(&view, &[])["disposition"]["text"], error.text("Karat"));
            assert_eq!(value(&view, &[])["body"]["id"], "m-1");
        }
    }

    #[test]
    fn a_parked_message_shows_code_field_and_what_would_be_right() {
        let at = jiff::Timestamp::UNIX_EPOCH;
        let parked = ParkedView {
            number: 7,
            at,
            code: "missing_field".into(),
            field: Some("data.application.id".into()),
            detail: "is missing; `atshub schema show application.moved.v1` prints what belongs there".into(),
            queue: "atshub.tenant.acme".into(),
            routing_key: "acme.application.moved.v1".into(),
        };
        let tenant = atshub_schemas::TenantName::new("acme").unwrap();
        let entry =
            JournalEntry { at, tenant, application: None, candidacy: None, message: None, code: "parked".into(), text: "set aside".into() };
        let view = MessageView { parked: Some(parked), body: Some("not json \\xff".into()), journal: vec![entry.clone()], ..view() };
        let text = describe(&view, &[JournalEntry { text: "and then".into(), ..entry }]);
        assert!(text.contains("missing_field at `data.application.id`") && text.contains("atshub schema show"), "{text}");
        assert!(text.ends_with("not json \\xff") && text.contains("set aside"), "{text}");
        assert!(text.find("set aside") < text.find("since then") && text.contains("and then"), "{text}");
    }
}
