//! Dossiers are found by what they hold, and counted.

use super::on_every_store;
use crate::support::build::{applied, candidacy, dossier, external, invitation, later, line, next, now, refused, saves, tenant};
use atshub_actors::{
    domain::{Lookup, State},
    ports::{Change, Store},
};
use std::sync::Arc;

type Tested = Arc<dyn Store>;

on_every_store! {
    a_dossier_is_found_by_each_of_its_keys_and_only_for_its_tenant
    the_dossiers_of_a_person_come_newest_first_and_at_most_two_hundred
    those_that_wait_at_a_job_are_those_whose_newest_candidacy_is_refused_or_not_asked_for_yet
    a_candidacy_that_was_taken_out_is_not_found
    candidacies_are_counted_by_the_state_of_the_newest_of_each_dossier
    history_is_told_oldest_first_and_at_most_a_thousand_lines
}

async fn a_dossier_is_found_by_each_of_its_keys_and_only_for_its_tenant(store: Tested) {
    let acme = tenant("acme");
    let mut d = dossier(&acme, "a-1", "Ada@Example.org");
    d.candidacies = vec![candidacy(refused(), "r-0"), candidacy(State::Invited, "r-1")];
    d.candidacies[1].invitation = Some(invitation("pc-1"));
    applied(store.commit(saves(&d)).await);
    applied(store.commit(saves(&dossier(&acme, "a-2", "else@example.org"))).await);
    let lookups = [
        Lookup::Application(external("a-1")),
        Lookup::Candidacy(d.candidacies[0].id),
        Lookup::Candidacy(d.candidacies[1].id),
        Lookup::Live("ada@example.org|r-1".into()),
        Lookup::Candidate(external("person-Ada@Example.org")),
        Lookup::PlatformCandidacy(external("pc-1")),
    ];
    for by in lookups {
        assert_eq!(store.dossiers(&acme, by.clone()).await.unwrap(), std::slice::from_ref(&d), "{by:?}");
        assert!(store.dossiers(&tenant("globex"), by.clone()).await.unwrap().is_empty(), "{by:?}");
    }
    assert!(store.dossiers(&acme, Lookup::Live("ada@example.org|r-0".into())).await.unwrap().is_empty(), "a refused one is not live");
    assert!(store.dossiers(&acme, Lookup::Application(external("a-3"))).await.unwrap().is_empty());
}

async fn the_dossiers_of_a_person_come_newest_first_and_at_most_two_hundred(store: Tested) {
    let acme = tenant("acme");
    let start = now();
    let writes = (0..205).map(|n| {
        let mut d = dossier(&acme, &format!("a-{n}"), "ada@example.org");
        d.created_at = later(start, n);
        crate::support::build::write(&d)
    });
    applied(store.commit(Change { dossiers: writes.collect(), ..Change::default() }).await);
    let found = store.dossiers(&acme, Lookup::Candidate(external("person-ada@example.org"))).await.unwrap();
    let ids: Vec<String> = found.iter().map(|d| d.application.id.to_string()).collect();
    let right: Vec<String> = (5..205).rev().map(|n| format!("a-{n}")).collect();
    assert_eq!(ids, right);
}

async fn those_that_wait_at_a_job_are_those_whose_newest_candidacy_is_refused_or_not_asked_for_yet(store: Tested) {
    let acme = tenant("acme");
    let with = |id: &str, states: Vec<State>| {
        let mut d = dossier(&acme, id, &format!("{id}@example.org"));
        d.candidacies = states.into_iter().map(|s| candidacy(s, "r-1")).collect();
        d
    };
    let mut of_another_job = with("a-5", vec![refused()]);
    of_another_job.job.id = Some(external("job-2"));
    let refused_now = with("a-1", vec![State::TimedOut, refused()]);
    let unasked = with("a-6", vec![State::Received]);
    applied(store.commit(saves(&unasked)).await);
    assert_eq!(store.dossiers(&acme, Lookup::WaitingOfJob(external("job-1"))).await.unwrap(), std::slice::from_ref(&unasked));
    let mut invited = next(&unasked);
    invited.candidacies[0].state = State::Invited;
    applied(store.commit(saves(&invited)).await);
    let all = [
        refused_now.clone(),
        with("a-2", vec![refused(), State::Invited]),
        with("a-3", vec![State::Invited]),
        with("a-4", vec![]),
        of_another_job,
    ];
    for d in &all {
        applied(store.commit(saves(d)).await);
    }
    let by = Lookup::WaitingOfJob(external("job-1"));
    assert_eq!(store.dossiers(&acme, by.clone()).await.unwrap(), std::slice::from_ref(&refused_now));
    let mut cured = next(&refused_now);
    cured.candidacies[1].state = State::Invited;
    applied(store.commit(saves(&cured)).await);
    assert!(store.dossiers(&acme, by).await.unwrap().is_empty());
}

async fn a_candidacy_that_was_taken_out_is_not_found(store: Tested) {
    let acme = tenant("acme");
    let mut d = dossier(&acme, "a-1", "ada@example.org");
    d.candidacies = vec![candidacy(State::Invited, "r-1"), candidacy(State::Invited, "r-2")];
    let gone = d.candidacies[0].id;
    applied(store.commit(saves(&d)).await);
    let mut d = next(&d);
    d.candidacies.remove(0);
    applied(store.commit(saves(&d)).await);
    assert!(store.dossiers(&acme, Lookup::Candidacy(gone)).await.unwrap().is_empty());
    assert_eq!(store.dossiers(&acme, Lookup::Candidacy(d.candidacies[0].id)).await.unwrap(), [d]);
}

async fn candidacies_are_counted_by_the_state_of_the_newest_of_each_dossier(store: Tested) {
    for (whose, id, states) in [
        ("acme", "a-1", vec![refused(), State::Invited]),
        ("acme", "a-2", vec![State::Invited]),
        ("acme", "a-3", vec![State::Completed]),
        ("acme", "a-4", vec![]),
        ("globex", "a-1", vec![refused()]),
    ] {
        let mut d = dossier(&tenant(whose), id, &format!("{id}@example.org"));
        d.candidacies = states.into_iter().map(|s| candidacy(s, "r-1")).collect();
        applied(store.commit(saves(&d)).await);
    }
    let count = |codes: &[(&str, u64)]| codes.iter().map(|(c, n)| ((*c).to_owned(), *n)).collect();
    assert_eq!(store.candidacy_counts(Some(&tenant("acme"))).await.unwrap(), count(&[("completed", 1), ("invited", 2)]));
    assert_eq!(store.candidacy_counts(None).await.unwrap(), count(&[("completed", 1), ("invited", 2), ("refused", 1)]));
}

async fn history_is_told_oldest_first_and_at_most_a_thousand_lines(store: Tested) {
    let acme = tenant("acme");
    let start = now();
    let mut entries: Vec<_> = (0..1_005).map(|n| line(&acme, "a-1", later(start, n / 2), &format!("step-{n}"))).collect();
    entries.push(line(&acme, "a-2", start, "of another application"));
    entries.push(line(&tenant("globex"), "a-1", start, "of another tenant"));
    applied(store.commit(Change { journal: entries.clone(), ..Change::default() }).await);
    let told = store.journal(&acme, &external("a-1")).await.unwrap();
    assert_eq!(told, entries[5..1_005], "the newest thousand, in order, also of one instant");
}
