//! Commit: all or nothing, duplicates, conflicts, groups.

use super::on_every_store;
use crate::support::build::{
    applied, candidacy, claim, dossier, external, handled, invitation, line, moved, next, now, parked, publishes, refused, saves, tenant,
    write,
};
use atshub_actors::{
    domain::{Lookup, State},
    ports::{Attempt, Change, CommitOutcome, Conflict, MessageKey, Store, StoreError},
};
use futures_util::future::join_all;
use std::{sync::Arc, time::Duration};

type Tested = Arc<dyn Store>;

on_every_store! {
    a_change_with_everything_in_it_is_applied_as_a_whole
    an_empty_change_is_committed
    a_message_that_was_handled_is_a_duplicate_and_nothing_of_it_is_applied
    the_same_id_of_another_source_or_tenant_is_another_message
    a_dossier_is_saved_only_over_the_version_that_was_read
    a_conflict_leaves_nothing_of_its_change
    of_a_hundred_that_save_one_dossier_at_once_exactly_one_wins
    of_a_hundred_redeliveries_at_once_exactly_one_is_committed
    a_hundred_that_retry_their_conflicts_all_get_through
    neighbours_of_a_conflict_and_of_a_duplicate_are_committed
    a_live_key_is_held_by_one_candidacy_of_the_tenant
    of_a_hundred_that_want_one_live_key_at_once_exactly_one_gets_it
    a_live_key_is_free_again_when_its_candidacy_ends
    a_live_key_may_move_between_two_dossiers_in_one_change
    a_dossier_cannot_hold_one_live_key_twice
    a_change_that_ends_and_retries_one_message_is_refused
    hostile_text_comes_back_as_it_went_in
    text_with_a_nul_harms_nobody
}

async fn a_change_with_everything_in_it_is_applied_as_a_whole(store: Tested) {
    let acme = tenant("acme");
    let (fact, work) = (moved(&acme, "a-1"), moved(&acme, "a-1"));
    let mut saved = dossier(&acme, "a-1", "ada@example.org");
    saved.candidacies = vec![candidacy(State::Received, "r-1")];
    let change = Change {
        handled: handled(&fact),
        dossiers: vec![write(&saved)],
        outbox: vec![publishes(&work, None)],
        journal: vec![line(&acme, "a-1", now(), "received")],
        parked: Some(parked("acme", Some("p-1"), "invalid_field", b"{}")),
        ..Change::default()
    };
    assert_eq!(store.commit(change.clone()).await, Ok(CommitOutcome::Committed));
    assert_eq!(store.dossiers(&acme, Lookup::Application(external("a-1"))).await.unwrap(), [saved]);
    assert_eq!(store.journal(&acme, &external("a-1")).await.unwrap(), change.journal);
    let claimed = store.claim(now(), 10, 10, Duration::from_secs(30)).await.unwrap();
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].message_id, work.id.as_str());
    assert_eq!(claimed[0].exchange, change.outbox[0].exchange);
    assert_eq!(claimed[0].routing_key, change.outbox[0].routing_key);
    assert_eq!(claimed[0].body, work.encode().unwrap());
    assert_eq!(store.parked_counts(None).await.unwrap(), [("invalid_field".to_owned(), 1)].into());
    assert!(store.begin(&MessageKey::from(&fact), claim()).await.unwrap().handled);
}

async fn an_empty_change_is_committed(store: Tested) {
    assert_eq!(store.commit(Change::default()).await, Ok(CommitOutcome::Committed));
}

async fn a_message_that_was_handled_is_a_duplicate_and_nothing_of_it_is_applied(store: Tested) {
    let acme = tenant("acme");
    let fact = moved(&acme, "a-1");
    let first = Change { handled: handled(&fact), ..saves(&dossier(&acme, "a-1", "ada@example.org")) };
    assert_eq!(store.commit(first.clone()).await, Ok(CommitOutcome::Committed));
    assert_eq!(store.commit(first).await, Ok(CommitOutcome::Duplicate), "the very same change again");
    let again = Change {
        handled: handled(&fact),
        journal: vec![line(&acme, "a-2", now(), "again")],
        ..saves(&dossier(&acme, "a-2", "b@example.org"))
    };
    assert_eq!(store.commit(again).await, Ok(CommitOutcome::Duplicate));
    assert!(store.dossiers(&acme, Lookup::Application(external("a-2"))).await.unwrap().is_empty());
    assert!(store.journal(&acme, &external("a-2")).await.unwrap().is_empty());
}

async fn the_same_id_of_another_source_or_tenant_is_another_message(store: Tested) {
    let fact = moved(&tenant("acme"), "a-1");
    let mut of_another_source = fact.clone();
    of_another_source.source = crate::support::build::words("/bridges/other");
    let mut of_another_tenant = fact.clone();
    of_another_tenant.tenant = tenant("globex");
    for envelope in [fact, of_another_source, of_another_tenant] {
        let change = Change { handled: handled(&envelope), ..Change::default() };
        assert_eq!(store.commit(change).await, Ok(CommitOutcome::Committed));
    }
}

async fn a_dossier_is_saved_only_over_the_version_that_was_read(store: Tested) {
    let acme = tenant("acme");
    let first = dossier(&acme, "a-1", "ada@example.org");
    let second = next(&first);
    let stale = CommitOutcome::Conflict(Conflict::Raced);
    assert_eq!(store.commit(saves(&second)).await, Ok(stale.clone()), "there is none to save over");
    assert_eq!(store.commit(saves(&first)).await, Ok(CommitOutcome::Committed));
    assert_eq!(store.commit(saves(&first)).await, Ok(stale.clone()), "it is not new");
    assert_eq!(store.commit(saves(&second)).await, Ok(CommitOutcome::Committed));
    assert_eq!(store.commit(saves(&second)).await, Ok(stale.clone()), "it has gone on");
    assert_eq!(store.commit(saves(&next(&next(&second)))).await, Ok(stale), "a version that never was");
    assert_eq!(store.dossiers(&acme, Lookup::Application(external("a-1"))).await.unwrap()[0].version, 2);
}

async fn a_conflict_leaves_nothing_of_its_change(store: Tested) {
    let acme = tenant("acme");
    let known = dossier(&acme, "a-1", "ada@example.org");
    applied(store.commit(saves(&known)).await);
    let fact = moved(&acme, "a-1");
    let late = Change {
        handled: handled(&fact),
        dossiers: vec![write(&dossier(&acme, "a-2", "b@example.org")), write(&known)],
        outbox: vec![publishes(&fact, None)],
        journal: vec![line(&acme, "a-1", now(), "late")],
        parked: Some(parked("acme", Some("p-1"), "late", b"{}")),
        ..Change::default()
    };
    assert_eq!(store.commit(late).await, Ok(CommitOutcome::Conflict(Conflict::Raced)));
    assert!(store.dossiers(&acme, Lookup::Application(external("a-2"))).await.unwrap().is_empty());
    assert!(store.claim(now(), 10, 10, Duration::from_secs(30)).await.unwrap().is_empty());
    assert!(store.journal(&acme, &external("a-1")).await.unwrap().is_empty());
    assert!(store.parked_counts(None).await.unwrap().is_empty());
    assert!(!store.begin(&MessageKey::from(&fact), claim()).await.unwrap().handled);
}

/// Commits all of them at once.
async fn at_once(store: &Tested, changes: Vec<Change>) -> Vec<CommitOutcome> {
    let tasks = changes.into_iter().map(|change| {
        let store = Arc::clone(store);
        tokio::spawn(async move { store.commit(change).await.unwrap() })
    });
    join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}

fn committed(outcomes: &[CommitOutcome]) -> usize {
    outcomes.iter().filter(|o| **o == CommitOutcome::Committed).count()
}

async fn of_a_hundred_that_save_one_dossier_at_once_exactly_one_wins(store: Tested) {
    let acme = tenant("acme");
    let mut known = dossier(&acme, "a-1", "ada@example.org");
    for round in 1..=3 {
        let journal = |n: u64| vec![line(&acme, "a-1", now(), &format!("{round}-{n}"))];
        let outcomes = at_once(&store, (0..100).map(|n| Change { journal: journal(n), ..saves(&known) }).collect()).await;
        assert_eq!(committed(&outcomes), 1);
        assert!(outcomes.iter().all(|o| matches!(o, CommitOutcome::Committed | CommitOutcome::Conflict(Conflict::Raced))));
        assert_eq!(store.journal(&acme, &external("a-1")).await.unwrap().len(), round, "the losers wrote nothing");
        known = next(&known);
    }
}

async fn of_a_hundred_redeliveries_at_once_exactly_one_is_committed(store: Tested) {
    let acme = tenant("acme");
    let fact = moved(&acme, "a-1");
    let change = Change { handled: handled(&fact), journal: vec![line(&acme, "a-1", now(), "received")], ..Change::default() };
    let outcomes = at_once(&store, vec![change; 100]).await;
    assert_eq!(committed(&outcomes), 1);
    assert_eq!(outcomes.iter().filter(|o| **o == CommitOutcome::Duplicate).count(), 99);
    assert_eq!(store.journal(&acme, &external("a-1")).await.unwrap().len(), 1);
}

async fn a_hundred_that_retry_their_conflicts_all_get_through(store: Tested) {
    let acme = tenant("acme");
    applied(store.commit(saves(&dossier(&acme, "a-1", "ada@example.org"))).await);
    let tasks = (0..20).map(|_| {
        let (store, acme) = (Arc::clone(&store), acme.clone());
        tokio::spawn(async move {
            for _ in 0..5 {
                loop {
                    let mut read = store.dossiers(&acme, Lookup::Application(external("a-1"))).await.unwrap().remove(0);
                    read.sequence += 1;
                    match store.commit(saves(&next(&read))).await.unwrap() {
                        CommitOutcome::Committed => break,
                        CommitOutcome::Conflict(Conflict::Raced) => {}
                        other => panic!("{other:?}"),
                    }
                }
            }
        })
    });
    for done in join_all(tasks).await {
        done.unwrap();
    }
    let saved = store.dossiers(&acme, Lookup::Application(external("a-1"))).await.unwrap().remove(0);
    assert_eq!((saved.sequence, saved.version), (100, 101));
}

async fn neighbours_of_a_conflict_and_of_a_duplicate_are_committed(store: Tested) {
    let acme = tenant("acme");
    let known = dossier(&acme, "known", "ada@example.org");
    let fact = moved(&acme, "known");
    applied(store.commit(Change { handled: handled(&fact), ..saves(&known) }).await);
    let changes = (0..120).map(|n| match n % 3 {
        0 => saves(&dossier(&acme, &format!("a-{n}"), &format!("p{n}@example.org"))),
        1 => saves(&known),
        _ => Change { handled: handled(&fact), ..Change::default() },
    });
    let outcomes = at_once(&store, changes.collect()).await;
    for (n, outcome) in outcomes.into_iter().enumerate() {
        let right = match n % 3 {
            0 => CommitOutcome::Committed,
            1 => CommitOutcome::Conflict(Conflict::Raced),
            _ => CommitOutcome::Duplicate,
        };
        assert_eq!(outcome, right, "change {n}");
    }
}

async fn a_live_key_is_held_by_one_candidacy_of_the_tenant(store: Tested) {
    let acme = tenant("acme");
    let with = |whose: &_, application: &str, role: &str| {
        let mut d = dossier(whose, application, "ada@example.org");
        d.candidacies = vec![candidacy(State::Invited, role)];
        d
    };
    assert_eq!(store.commit(saves(&with(&acme, "a-1", "r-1"))).await, Ok(CommitOutcome::Committed));
    let key = "ada@example.org|r-1".to_owned();
    assert_eq!(store.commit(saves(&with(&acme, "a-2", "r-1"))).await, Ok(CommitOutcome::Conflict(taken(&key, "a-1"))));
    assert_eq!(store.commit(saves(&with(&acme, "a-2", "r-2"))).await, Ok(CommitOutcome::Committed), "another role");
    assert_eq!(store.commit(saves(&with(&tenant("globex"), "a-1", "r-1"))).await, Ok(CommitOutcome::Committed), "another tenant");
    let holder = store.dossiers(&acme, Lookup::Live(key)).await.unwrap();
    assert_eq!(holder.len(), 1);
    assert_eq!(holder[0].application.id.as_str(), "a-1");
}

async fn of_a_hundred_that_want_one_live_key_at_once_exactly_one_gets_it(store: Tested) {
    let acme = tenant("acme");
    let changes = (0..100).map(|n| {
        let mut d = dossier(&acme, &format!("a-{n}"), "ada@example.org");
        d.candidacies = vec![candidacy(State::Received, "r-1")];
        saves(&d)
    });
    let outcomes = at_once(&store, changes.collect()).await;
    assert_eq!(committed(&outcomes), 1);
    let holder = store.dossiers(&acme, Lookup::Live("ada@example.org|r-1".into())).await.unwrap().remove(0).application.id;
    let taken = CommitOutcome::Conflict(taken("ada@example.org|r-1", holder.as_str()));
    assert_eq!(outcomes.iter().filter(|o| **o == taken).count(), 99);
    assert_eq!(store.candidacy_counts(None).await.unwrap(), [("received".to_owned(), 1)].into());
}

async fn a_live_key_is_free_again_when_its_candidacy_ends(store: Tested) {
    let acme = tenant("acme");
    let mut first = dossier(&acme, "a-1", "ada@example.org");
    first.candidacies = vec![candidacy(State::Invited, "r-1")];
    let mut second = dossier(&acme, "a-2", "ada@example.org");
    second.candidacies = vec![candidacy(State::Received, "r-1")];
    applied(store.commit(saves(&first)).await);
    assert!(matches!(store.commit(saves(&second)).await, Ok(CommitOutcome::Conflict(Conflict::Taken { .. }))));
    first = next(&first);
    first.candidacies[0].state = refused();
    assert_eq!(store.commit(saves(&first)).await, Ok(CommitOutcome::Committed));
    assert_eq!(store.commit(saves(&second)).await, Ok(CommitOutcome::Committed));
    // And a dossier's own next candidacy may take the key of the one before.
    second = next(&second);
    second.candidacies[0].state = State::TimedOut;
    second.candidacies.push(candidacy(State::Received, "r-1"));
    assert_eq!(store.commit(saves(&second)).await, Ok(CommitOutcome::Committed));
}

async fn a_live_key_may_move_between_two_dossiers_in_one_change(store: Tested) {
    let acme = tenant("acme");
    let mut from = dossier(&acme, "z-from", "ada@example.org");
    from.candidacies = vec![candidacy(State::Invited, "r-1")];
    applied(store.commit(saves(&from)).await);
    let from = {
        let mut d = next(&from);
        d.candidacies[0].state = State::Cancelled { reason: "merged".into() };
        d
    };
    let mut to = dossier(&acme, "a-to", "ada@example.org");
    to.candidacies = vec![candidacy(State::Invited, "r-1")];
    to.candidacies[0].invitation = Some(invitation("pc-1"));
    let change = Change { dossiers: vec![write(&to), write(&from)], ..Change::default() };
    assert_eq!(store.commit(change).await, Ok(CommitOutcome::Committed));
    let holder = store.dossiers(&acme, Lookup::Live("ada@example.org|r-1".into())).await.unwrap();
    assert_eq!(holder, [to]);
}

async fn a_dossier_cannot_hold_one_live_key_twice(store: Tested) {
    let acme = tenant("acme");
    let mut d = dossier(&acme, "a-1", "ada@example.org");
    d.candidacies = vec![candidacy(State::Invited, "r-1"), candidacy(State::Received, "r-1")];
    assert_eq!(store.commit(saves(&d)).await, Ok(CommitOutcome::Conflict(taken("ada@example.org|r-1", "a-1"))));
    assert!(store.dossiers(&acme, Lookup::Application(external("a-1"))).await.unwrap().is_empty());
}

async fn a_change_that_ends_and_retries_one_message_is_refused(store: Tested) {
    let fact = moved(&tenant("acme"), "a-1");
    let attempt = Attempt { key: MessageKey::from(&fact), owner: None, counts: true, code: "x".into(), detail: "y".into(), next_at: None };
    let change = Change { handled: handled(&fact), attempt: Some(attempt), ..Change::default() };
    assert!(matches!(store.commit(change).await, Err(StoreError::Refused(_))));
}

async fn hostile_text_comes_back_as_it_went_in(store: Tested) {
    let acme = tenant("acme");
    let hostile = ["'; drop table dossiers; --", "\"{}[],\\", "Ада Лавлейс 🦀 \u{e9}\u{301}", "$1 %s {0} \\u0000", "\u{feff}\u{200b}x"];
    for (n, text) in hostile.iter().enumerate() {
        let id = format!("{text}{n}");
        let mut d = dossier(&acme, &id, "ada@example.org");
        d.candidate.name = Some(crate::support::build::words(text));
        d.candidacies = vec![candidacy(State::Cancelled { reason: (*text).into() }, text)];
        let mut entry = line(&acme, &id, now(), text);
        entry.text = format!("{text}\n\t{}", "ü".repeat(32 * 1024));
        let change = Change { journal: vec![entry.clone()], ..saves(&d) };
        assert_eq!(store.commit(change).await, Ok(CommitOutcome::Committed));
        assert_eq!(store.dossiers(&acme, Lookup::Application(external(&id))).await.unwrap(), [d]);
        assert_eq!(store.journal(&acme, &external(&id)).await.unwrap(), [entry]);
    }
}

async fn text_with_a_nul_harms_nobody(store: Tested) {
    let acme = tenant("acme");
    let mut d = dossier(&acme, "a-1", "ada@example.org");
    d.candidacies = vec![candidacy(State::Cancelled { reason: "nul \0 here".into() }, "r-1")];
    let mut aside = parked("acme", Some("p\0-1"), "undecodable_body", b"\0\xff\xfe");
    aside.detail = "found a \0".into();
    let change = Change { journal: vec![line(&acme, "a-1", now(), "a\0b")], parked: Some(aside), ..saves(&d) };
    assert_eq!(store.commit(change).await, Ok(CommitOutcome::Committed));
    assert_eq!(store.dossiers(&acme, Lookup::Application(external("a-1"))).await.unwrap(), [d]);
    assert_eq!(store.journal(&acme, &external("a-1")).await.unwrap()[0].code, "a\u{fffd}b");
    let shown = store.message("p\0-1").await.unwrap();
    assert_eq!(shown[0].body.as_deref(), Some("\\x00\\xff\\xfe"));
}

fn taken(key: &str, holder: &str) -> Conflict {
    Conflict::Taken { key: key.into(), holder: external(holder) }
}
