//! Dossiers are found by what people search by, and those in a state come in pages.

use super::on_every_store;
use crate::support::build::{applied, candidacy, dossier, external, later, next, now, refused, saves, tenant};
use atshub_actors::{
    domain::{Dossier, Lookup, State},
    ports::{CommitOutcome, Conflict, Store},
};
use atshub_schemas::{Email, Link, fact::Person};
use std::sync::Arc;

type Tested = Arc<dyn Store>;

on_every_store! {
    a_dossier_is_found_by_address_page_job_role_and_recruiter_and_only_for_its_tenant
    what_is_searched_by_follows_what_is_saved
    one_person_is_found_and_invited_once_however_the_address_is_written
    what_is_too_long_for_an_index_is_found_all_the_same
    those_found_come_newest_first_and_at_most_two_hundred
    those_in_a_state_come_in_pages_that_neither_repeat_nor_leave_out_what_stays
}

fn link(url: &str) -> Link {
    Link::new(url).unwrap()
}

fn email(address: &str) -> Email {
    Email::new(address).unwrap()
}

fn recruiter(address: &str) -> Option<Person> {
    Some(Person { id: None, name: None, email: Some(email(address)) })
}

fn known() -> Dossier {
    let mut d = dossier(&tenant("acme"), "a-1", "Ada@Example.org");
    d.candidate.profile_url = Some(link("https://ATS.example/people/1/"));
    d.recruiter = recruiter("Rae@acme.example");
    d.candidacies = vec![candidacy(refused(), "r-0"), candidacy(State::Invited, "r-1")];
    d
}

async fn found(store: &Tested, by: Lookup) -> Vec<String> {
    let found = store.dossiers(&tenant("acme"), by).await.unwrap();
    found.iter().map(|d| d.application.id.to_string()).collect()
}

async fn a_dossier_is_found_by_address_page_job_role_and_recruiter_and_only_for_its_tenant(store: Tested) {
    let d = known();
    applied(store.commit(saves(&d)).await);
    let mut other = dossier(&tenant("acme"), "a-2", "else@example.org");
    other.job.id = Some(external("job-2"));
    applied(store.commit(saves(&other)).await);
    for by in [
        Lookup::Email(email("ADA@example.org")),
        Lookup::ProfileUrl(link("http://ats.example/people/1#notes")),
        Lookup::Job(external("job-1")),
        Lookup::Role(external("r-1")),
        Lookup::Recruiter(email("rae@ACME.example")),
    ] {
        assert_eq!(store.dossiers(&tenant("acme"), by.clone()).await.unwrap(), std::slice::from_ref(&d), "{by:?}");
        assert!(store.dossiers(&tenant("globex"), by.clone()).await.unwrap().is_empty(), "{by:?}");
    }
    assert!(found(&store, Lookup::Role(external("r-0"))).await.is_empty(), "the newest candidacy's role counts");
    assert!(found(&store, Lookup::ProfileUrl(link("https://ats.example/people/2"))).await.is_empty());
}

async fn what_is_searched_by_follows_what_is_saved(store: Tested) {
    let d = known();
    applied(store.commit(saves(&d)).await);
    let mut d = next(&d);
    d.candidate.email = Some(email("ada.lovelace@example.org"));
    d.candidate.profile_url = None;
    d.application.url = Some(link("https://ats.example/applications/1"));
    d.recruiter = None;
    d.job.recruiter = recruiter("kim@acme.example");
    d.candidacies.push(candidacy(State::Received, "r-2"));
    applied(store.commit(saves(&d)).await);
    for by in [
        Lookup::Email(email("ada@example.org")),
        Lookup::ProfileUrl(link("https://ats.example/people/1")),
        Lookup::Role(external("r-1")),
        Lookup::Recruiter(email("rae@acme.example")),
    ] {
        assert!(found(&store, by.clone()).await.is_empty(), "{by:?}");
    }
    for by in [
        Lookup::Email(email("ada.lovelace@example.org")),
        Lookup::ProfileUrl(link("https://ats.example/applications/1")),
        Lookup::Job(external("job-1")),
        Lookup::Role(external("r-2")),
        Lookup::Recruiter(email("kim@acme.example")),
    ] {
        assert_eq!(found(&store, by.clone()).await, ["a-1"], "{by:?}");
    }
    let mut d = next(&d);
    d.candidate.email = None;
    applied(store.commit(saves(&d)).await);
    assert!(found(&store, Lookup::Email(email("ada.lovelace@example.org"))).await.is_empty());
}

async fn one_person_is_found_and_invited_once_however_the_address_is_written(store: Tested) {
    let written = |id: &str, address: &str| {
        let mut d = dossier(&tenant("acme"), id, address);
        d.candidacies = vec![candidacy(State::Invited, "r-1")];
        d
    };
    applied(store.commit(saves(&written("a-1", "J\u{fc}rgen@example.org"))).await);
    for (id, address) in [("a-2", "ju\u{308}rgen@example.org"), ("a-3", "\u{feff}j\u{fc}r\u{200d}gen@example.org\u{a0}")] {
        let refused = store.commit(saves(&written(id, address))).await.unwrap();
        let CommitOutcome::Conflict(Conflict::Taken { holder, .. }) = refused else { panic!("{address:?}: {refused:?}") };
        assert_eq!(holder.as_str(), "a-1", "{address:?}");
        assert_eq!(found(&store, Lookup::Email(email(address))).await, ["a-1"], "{address:?}");
    }
    let mut d = dossier(&tenant("acme"), "a-4", "else@example.org");
    d.candidate.profile_url = Some(link("https://ats.example/people/e\u{301}"));
    applied(store.commit(saves(&d)).await);
    for address in ["https://ats.example/people/\u{e9}", "\u{202a}https://ATS.example/people/%C3%A9/\u{202c}"] {
        assert_eq!(found(&store, Lookup::ProfileUrl(link(address))).await, ["a-4"], "{address:?}");
    }
}

async fn what_is_too_long_for_an_index_is_found_all_the_same(store: Tested) {
    let long = |last: &str| link(&format!("https://ats.example/{}{last}", "é".repeat(2_000)));
    for (id, last) in [("a-1", "1"), ("a-2", "2")] {
        let mut d = dossier(&tenant("acme"), id, &format!("{id}@example.org"));
        d.candidate.profile_url = Some(long(last));
        d.job.id = Some(external(&format!("{}{last}", "日".repeat(255))));
        applied(store.commit(saves(&d)).await);
    }
    assert_eq!(found(&store, Lookup::ProfileUrl(long("2"))).await, ["a-2"]);
    assert_eq!(found(&store, Lookup::Job(external(&format!("{}1", "日".repeat(255))))).await, ["a-1"]);
}

async fn those_found_come_newest_first_and_at_most_two_hundred(store: Tested) {
    let start = now();
    for n in 0..205 {
        let mut d = dossier(&tenant("acme"), &format!("a-{n:03}"), "ada@example.org");
        d.created_at = later(start, n);
        applied(store.commit(saves(&d)).await);
    }
    let right: Vec<String> = (5..205).rev().map(|n| format!("a-{n:03}")).collect();
    assert_eq!(found(&store, Lookup::Email(email("ada@example.org"))).await, right);
    assert_eq!(found(&store, Lookup::Job(external("job-1"))).await, right);
}

async fn those_in_a_state_come_in_pages_that_neither_repeat_nor_leave_out_what_stays(store: Tested) {
    let acme = tenant("acme");
    let with = |id: &str, state: State| {
        let mut d = dossier(&acme, id, &format!("{id}@example.org"));
        d.candidacies = vec![candidacy(state, "r-1")];
        d
    };
    let mut all = Vec::new();
    for n in 0..7 {
        let d = with(&format!("a-{n}"), State::Invited);
        applied(store.commit(saves(&d)).await);
        all.push(d);
    }
    applied(store.commit(saves(&with("a-2x", State::Scheduled))).await);
    applied(store.commit(saves(&dossier(&tenant("globex"), "a-1x", "else@example.org"))).await);
    let ids = |page: &atshub_actors::domain::Page| page.dossiers.iter().map(|d| d.application.id.to_string()).collect::<Vec<_>>();
    let first = store.page(&acme, "invited", None, 3).await.unwrap();
    assert_eq!((ids(&first), first.next.clone()), (vec!["a-0".into(), "a-1".into(), "a-2".into()], Some(external("a-2"))));
    // One of a page that was seen goes, one of a page to come goes, and one comes.
    for (n, state) in [(1, State::Scheduled), (4, State::Scheduled)] {
        let mut d = next(&all[n]);
        d.candidacies[0].state = state;
        applied(store.commit(saves(&d)).await);
    }
    applied(store.commit(saves(&with("a-2y", State::Invited))).await);
    let second = store.page(&acme, "invited", first.next.as_ref(), 3).await.unwrap();
    assert_eq!((ids(&second), second.next.clone()), (vec!["a-2y".into(), "a-3".into(), "a-5".into()], Some(external("a-5"))));
    let last = store.page(&acme, "invited", second.next.as_ref(), 3).await.unwrap();
    assert_eq!((ids(&last), last.next), (vec!["a-6".into()], None));
    assert!(store.page(&acme, "completed", None, 3).await.unwrap().dossiers.is_empty());
}
