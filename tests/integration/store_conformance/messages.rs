//! A message can be shown in each of its states.

use super::on_every_store;
use crate::support::build::{applied, claim, handled, later, line, moved, now, parked, publishes, tenant, words};
use atshub_actors::ports::{Attempt, Change, MessageKey, MessageView, Store};
use atshub_schemas::Envelope;
use std::{sync::Arc, time::Duration};

type Tested = Arc<dyn Store>;

on_every_store! {
    an_unknown_message_has_no_view
    a_message_is_shown_in_each_state_from_the_outbox_to_the_inbox
    a_retry_shows_when_it_is_tried_again
    a_parked_message_shows_why_and_its_body
    a_body_that_is_not_text_is_shown_with_escapes
    parking_the_same_message_again_adds_nothing
    a_replayed_message_is_no_longer_shown_as_parked
    messages_of_one_id_are_told_apart_by_tenant_and_source
    parked_messages_are_counted_by_code
}

async fn view(store: &Tested, envelope: &Envelope) -> MessageView {
    let mut views = store.message(envelope.id.as_str()).await.unwrap();
    assert_eq!(views.len(), 1, "{views:?}");
    views.remove(0)
}

async fn an_unknown_message_has_no_view(store: Tested) {
    assert!(store.message("nobody").await.unwrap().is_empty());
}

async fn a_message_is_shown_in_each_state_from_the_outbox_to_the_inbox(store: Tested) {
    let fact = moved(&tenant("acme"), "a-1");
    let due = later(now(), 3_600);
    applied(store.commit(Change { outbox: vec![publishes(&fact, Some(due))], ..Change::default() }).await);
    let shown = view(&store, &fact).await;
    assert_eq!((shown.state.as_str(), shown.next_at), ("scheduled", Some(due)));

    let row = store.claim(due, 1, 1, Duration::from_secs(1)).await.unwrap().remove(0);
    store.unsent(row, later(now(), -1), "no confirm").await.unwrap();
    assert_eq!(view(&store, &fact).await.state, "outbox");

    let rows = store.claim(now(), 1, 1, Duration::from_secs(30)).await.unwrap();
    assert_eq!(view(&store, &fact).await.state, "outbox", "claimed, not confirmed");
    store.sent(rows).await.unwrap();
    assert_eq!(view(&store, &fact).await.state, "sent");

    store.begin(&MessageKey::from(&fact), claim()).await.unwrap();
    let shown = view(&store, &fact).await;
    assert_eq!((shown.state.as_str(), shown.begun), ("in_work", 1));

    let mut entry = line(&fact.tenant, "a-1", now(), "received");
    entry.message = Some(fact.id.clone());
    applied(store.commit(Change { handled: handled(&fact), journal: vec![entry.clone()], ..Change::default() }).await);
    let shown = view(&store, &fact).await;
    assert_eq!(shown.state, "handled");
    assert_eq!(shown.tenant.as_deref(), Some("acme"));
    assert_eq!(shown.source.as_deref(), Some("/bridges/test"));
    assert_eq!(shown.kind.as_deref(), Some("application.moved.v1"));
    assert_eq!(shown.disposition, handled(&fact).map(|h| h.disposition));
    assert_eq!(shown.journal, [entry]);
    assert_eq!(Envelope::decode(shown.body.unwrap().as_bytes()).unwrap(), fact, "it is kept whole");
    assert!(shown.at.is_some_and(|at| at <= now()));
}

async fn a_retry_shows_when_it_is_tried_again(store: Tested) {
    let fact = moved(&tenant("acme"), "a-1");
    let key = MessageKey::from(&fact);
    store.begin(&key, claim()).await.unwrap();
    let next = later(now(), 60);
    let attempt = Attempt { key, owner: None, counts: true, code: "transient".into(), detail: "502".into(), next_at: Some(next) };
    applied(store.commit(Change { attempt: Some(attempt), outbox: vec![publishes(&fact, Some(next))], ..Change::default() }).await);
    let shown = view(&store, &fact).await;
    assert_eq!((shown.state.as_str(), shown.begun, shown.failures, shown.next_at), ("scheduled", 1, 1, Some(next)));
    let rows = store.claim(next, 1, 1, Duration::from_secs(30)).await.unwrap();
    store.sent(rows).await.unwrap();
    assert_eq!(view(&store, &fact).await.state, "sent");
}

async fn a_parked_message_shows_why_and_its_body(store: Tested) {
    let fact = moved(&tenant("acme"), "a-1");
    store.begin(&MessageKey::from(&fact), claim()).await.unwrap();
    let aside = parked("acme", Some(fact.id.as_str()), "poison", &fact.encode().unwrap());
    applied(store.commit(Change { parked: Some(aside.clone()), ..Change::default() }).await);
    let shown = view(&store, &fact).await;
    assert_eq!((shown.state.as_str(), shown.begun, shown.source.as_deref()), ("parked", 1, Some("/bridges/test")));
    let why = shown.parked.unwrap();
    assert!(why.number > 0);
    assert_eq!((why.at, why.code, why.field, why.detail), (aside.at, aside.code, aside.field, aside.detail));
    assert_eq!((why.queue, why.routing_key), (aside.queue, aside.routing_key));
    assert_eq!(shown.body.unwrap().as_bytes(), aside.body);
}

async fn a_body_that_is_not_text_is_shown_with_escapes(store: Tested) {
    let aside = parked("acme", Some("p-1"), "undecodable_body", b"\x00\xff{");
    applied(store.commit(Change { parked: Some(aside), ..Change::default() }).await);
    let shown = store.message("p-1").await.unwrap().remove(0);
    assert_eq!(shown.body.as_deref(), Some("\\x00\\xff{"));
    assert_eq!((shown.state.as_str(), shown.tenant.as_deref(), shown.source), ("parked", Some("acme"), None));
}

async fn parking_the_same_message_again_adds_nothing(store: Tested) {
    let aside = parked("acme", Some("p-1"), "unknown_type", b"{}");
    let mut numbers = Vec::new();
    for again in 0..3 {
        let at = later(aside.at, again);
        let change = Change { parked: Some(atshub_actors::ports::Parked { at, ..aside.clone() }), ..Change::default() };
        applied(store.commit(change).await);
        numbers.push(store.message("p-1").await.unwrap()[0].parked.as_ref().unwrap().number);
    }
    assert_eq!(store.parked_counts(None).await.unwrap(), [("unknown_type".to_owned(), 1)].into());
    numbers.dedup();
    assert_eq!(numbers.len(), 1, "it keeps its number");
    let other_body = parked("acme", Some("p-1"), "unknown_type", b"{ }");
    applied(store.commit(Change { parked: Some(other_body), ..Change::default() }).await);
    assert_eq!(store.parked_counts(None).await.unwrap(), [("unknown_type".to_owned(), 2)].into());
}

async fn a_replayed_message_is_no_longer_shown_as_parked(store: Tested) {
    let fact = moved(&tenant("acme"), "a-1");
    let aside = parked("acme", Some(fact.id.as_str()), "poison", &fact.encode().unwrap());
    applied(store.commit(Change { parked: Some(aside), ..Change::default() }).await);
    applied(store.commit(Change { outbox: vec![publishes(&fact, None)], ..Change::default() }).await);
    assert_eq!(view(&store, &fact).await.state, "outbox");
    applied(store.commit(Change { handled: handled(&fact), ..Change::default() }).await);
    assert_eq!(view(&store, &fact).await.state, "handled");
}

async fn messages_of_one_id_are_told_apart_by_tenant_and_source(store: Tested) {
    let fact = moved(&tenant("acme"), "a-1");
    let mut of_globex = fact.clone();
    of_globex.tenant = tenant("globex");
    let mut of_another_source = fact.clone();
    of_another_source.source = words("/bridges/other");
    for envelope in [&fact, &of_globex] {
        let mut entry = line(&envelope.tenant, "a-1", now(), envelope.tenant.as_str());
        entry.message = Some(envelope.id.clone());
        applied(store.commit(Change { handled: handled(envelope), journal: vec![entry], ..Change::default() }).await);
    }
    store.begin(&MessageKey::from(&of_another_source), claim()).await.unwrap();
    let views = store.message(fact.id.as_str()).await.unwrap();
    let told: Vec<_> = views.iter().map(|v| (v.tenant.as_deref().unwrap(), v.source.as_deref().unwrap(), v.state.as_str())).collect();
    assert_eq!(told, [("acme", "/bridges/other", "in_work"), ("acme", "/bridges/test", "handled"), ("globex", "/bridges/test", "handled")]);
    assert_eq!(views[2].journal.len(), 1);
    assert_eq!(views[2].journal[0].code, "globex");
}

async fn parked_messages_are_counted_by_code(store: Tested) {
    for (whose, id, code) in [("acme", "1", "poison"), ("acme", "2", "poison"), ("acme", "3", "bug"), ("globex", "4", "bug")] {
        applied(store.commit(Change { parked: Some(parked(whose, Some(id), code, b"{}")), ..Change::default() }).await);
    }
    let count = |codes: &[(&str, u64)]| codes.iter().map(|(c, n)| ((*c).to_owned(), *n)).collect();
    assert_eq!(store.parked_counts(None).await.unwrap(), count(&[("bug", 2), ("poison", 2)]));
    assert_eq!(store.parked_counts(Some(&tenant("acme"))).await.unwrap(), count(&[("bug", 1), ("poison", 2)]));
}
