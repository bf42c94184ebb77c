//! An account at an ATS that has no field for the status: recruiters read it in the feed, and operators what to set up.

use crate::support::hub::{Pair, happens, on_hub, until, values};
use atshub::demo::world::TRIGGER;
use atshub_simulators::{Fault, ashby::NewCandidate};
use std::time::Duration;

const FIELD: &str = "Interview state";

#[test]
fn a_status_for_which_there_is_no_field_is_written_as_a_note_once_and_into_the_field_when_there_is_one() {
    on_hub(Pair::Embedded, &["acme"], &[], async |walk| {
        let (tenant, ats) = &walk.world.ashby[0];
        walk.ground.says(&["tenant", "set", "acme", "--set", &format!("status_field={FIELD}")]).await;
        walk.running.hub.reload().await.unwrap();
        // After the first, the notes are written, and the hub does not hear of it.
        ats.faults().next("candidate.createNote", Fault::Slow(Duration::ZERO), 1);
        ats.faults().next("candidate.createNote", Fault::ActThenFail(502), 2);
        let job = ats.add_job("Backend engineer", Some("1201"), "rae@acme.example").await;
        let new = NewCandidate { name: "Ada".into(), email: "ada@acme.example".into(), job, ..NewCandidate::default() };
        let application = ats.add_candidate(new).await.unwrap();
        ats.move_stage(&application, TRIGGER).await.unwrap();

        let noted = |notes: &[String], status: &str| notes.iter().filter(|n| n.starts_with(&format!("Karat status: {status}"))).count();
        let all = until(async || {
            let notes = values(&ats.ledger(), "note", &application);
            noted(&notes, "Received") > 0 && noted(&notes, "Invited") > 0
        });
        assert!(all.await, "{:?}", values(&ats.ledger(), "note", &application));
        walk.nothing_is_left().await;
        assert_eq!(ats.faults().pending(), 0, "two notes were written without an answer");
        let notes = values(&ats.ledger(), "note", &application);
        assert_eq!((noted(&notes, "Received"), noted(&notes, "Invited")), (1, 1), "{notes:?}");
        let invited = notes.iter().find(|note| note.contains("status: Invited")).unwrap();
        assert!(invited.contains(&walk.world.platform.base_url()), "a recruiter can open it: {invited}");
        assert!(walk.store().parked_counts(None).await.unwrap().is_empty());
        let history = walk.store().journal(tenant, &application.parse().unwrap()).await.unwrap();
        let told: Vec<_> = history.iter().filter(|line| line.code == "status_noted").collect();
        assert_eq!(told.len(), 2, "{history:#?}");
        assert!(told.iter().all(|line| line.text.contains(FIELD) && line.text.contains("admin adds a text field")), "{told:#?}");

        ats.add_custom_field(FIELD, "Application");
        let new = NewCandidate { name: "Bea".into(), email: "bea@acme.example".into(), ..NewCandidate::default() };
        let second = ats.add_candidate(new).await.unwrap();
        ats.move_stage(&second, TRIGGER).await.unwrap();
        happens(&ats.ledger(), "Invited", |effects| {
            effects.iter().any(|e| e.kind == "field" && e.subject == second && e.value.to_string().contains("Invited"))
        })
        .await;
        walk.nothing_is_left().await;
        assert_eq!(values(&ats.ledger(), "note", &application), notes, "and no note more");
        assert_eq!(noted(&values(&ats.ledger(), "note", &second), "Invited"), 0);
    });
}
