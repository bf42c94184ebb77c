//! Asking again, taking back what was asked, and what makes an asking old.

use super::*;

#[test]
fn asking_again_for_an_open_interview_changes_no_status_and_asks_the_platform_whether_it_is_still_open() {
    let live = invited_dossier();
    let again = run(Some(&live), 10, moved("Interview"));
    assert_eq!((again.verdict.code.as_str(), invites(&again), statuses(&again)), ("asked_again", 1, vec![]));
    let again = again.dossier.unwrap();
    let candidacy = again.current().unwrap();
    assert_eq!((candidacy.state.code(), candidacy.intent, candidacy.answered), ("invited", 2, 1));
    let policy = policy();
    let context = Context { policy: &policy, now: at(11), fresh: Uuid::from_u128(98) };
    let found = candidacy.invitation.clone().unwrap();
    let open = still_open(&again, candidacy.id, &found, context);
    assert_eq!((open.verdict.code.as_str(), statuses(&open)), ("already_active", vec![]));
    assert!(notes(&open)[0].contains("already has an active interview") && notes(&open)[0].contains("https://karat.example/i/1"));
    let after = open.dossier.unwrap();
    assert_eq!((after.current().unwrap().state.code(), after.current().unwrap().answered), ("invited", 2));

    let mut under_way = live;
    under_way.candidacies[0].state = State::InProgress;
    let again = run(Some(&under_way), 10, moved("Interview"));
    assert_eq!((again.verdict.code.as_str(), invites(&again), statuses(&again)), ("interview_under_way", 0, vec![]));
    assert!(notes(&again)[0].contains("under way"));
}

#[test]
fn whatever_ends_the_asking_takes_back_what_was_asked_and_not_yet_done() {
    let asked = run(None, 0, moved("Interview")).dossier.unwrap();
    let cancelled =
        Message::AssessmentCancelled(AssessmentEnd { assessment: ordered("o-1").assessment, application: Some(change("x").application) });
    let by_order = run(None, 0, Message::AssessmentOrdered(ordered("o-1"))).dossier.unwrap();
    let table = [
        (&asked, Message::ApplicationArchived(change("x"))),
        (&asked, Message::ApplicationHired(change("x"))),
        (&asked, Message::ApplicationDeleted(change("x"))),
        (&asked, moved("Onsite")),
        (&by_order, cancelled),
        (&by_order, Message::ApplicationArchived(change("x"))),
    ];
    for (before, message) in table {
        let decision = run(Some(before), 10, message.clone());
        assert_eq!((decision.verdict.code.as_str(), invites(&decision)), ("taken_back", 0), "{message:?}");
        assert_eq!(statuses(&decision), ["Cancelled"], "{message:?}");
        let invite = before.current().map(|c| EffectKey { candidacy: c.id, intent: c.intent, what: "invite".into() });
        assert_eq!(decision.taken_back, Vec::from_iter(invite), "{message:?}");
        let after = decision.dossier.unwrap();
        assert_eq!(after.current().unwrap().state.code(), "cancelled");
        // And no correction asks anew.
        let role = run(Some(&after), 20, Message::JobUpdated(JobUpdate { job: job(Some("1300")) }));
        assert_eq!(invites(&role), 0, "{message:?}");
    }
    // While the platform is being asked, the next attempt looks, and asks nothing.
    let role = PlatformRole { id: "1201".parse().unwrap(), name: line("Backend") };
    let inviting = inviting(&asked, asked.current().unwrap().id, &role, at(1));
    let decision = run(Some(&inviting), 10, Message::ApplicationArchived(change("x")));
    let after = decision.dossier.unwrap();
    assert_eq!(
        (after.current().unwrap().state.code(), after.current().unwrap().withdrawn.as_deref()),
        ("inviting", Some("archived in the ATS"))
    );
    let policy = policy();
    let context = Context { policy: &policy, now: at(11), fresh: Uuid::from_u128(98) };
    let ended = taken_back(&after, after.current().unwrap().id, "archived in the ATS", context);
    assert_eq!((statuses(&ended), ended.dossier.unwrap().current().unwrap().state.code()), (vec!["Cancelled".to_owned()], "cancelled"));
}

#[test]
fn a_refused_invite_is_not_tried_again_for_an_application_that_has_ended() {
    let mut f = change("Interview");
    f.job = Some(job(None));
    let refused = run(None, 0, Message::ApplicationMoved(f)).dossier.unwrap();
    for end in [Message::ApplicationArchived(change("x")), Message::ApplicationHired(change("x")), Message::ApplicationDeleted(change("x"))]
    {
        let bare = match end {
            Message::ApplicationArchived(f) => Message::ApplicationArchived(ApplicationChange { to_stage: None, job: None, ..f }),
            Message::ApplicationHired(f) => Message::ApplicationHired(ApplicationChange { to_stage: None, job: None, ..f }),
            Message::ApplicationDeleted(f) => Message::ApplicationDeleted(ApplicationChange { to_stage: None, job: None, ..f }),
            other => other,
        };
        let ended = run(Some(&refused), 5, bare).dossier.unwrap();
        let cured = run(Some(&ended), 10, Message::JobUpdated(JobUpdate { job: job(Some("1201")) }));
        assert_eq!(invites(&cured), 0, "{:?}", cured.verdict);
        // Moved back into the stage, it is asked for again.
        let back = run(Some(&cured.dossier.unwrap_or(ended)), 20, moved("Interview"));
        assert_eq!(invites(&back), 1, "{:?}", back.verdict);
    }
}

#[test]
fn an_older_live_interview_is_told_of_too_and_does_not_write_over_the_newer_ones_status() {
    let live = invited_dossier();
    let other = ApplicationChange { job: Some(job(Some("1300"))), candidate: Some(ada(Some("123"))), ..change("Interview") };
    let two = run(Some(&live), 10, Message::ApplicationMoved(other)).dossier.unwrap();
    assert_eq!((two.candidacies.len(), two.current().unwrap().state.code()), (2, "refused"));
    let archived = run(Some(&two), 20, Message::ApplicationArchived(change("x")));
    assert_eq!(archived.verdict.code, "cancel_elsewhere");
    let older = run(Some(&two), 30, interview("SCHEDULED"));
    assert_eq!((statuses(&older), notes(&older).len()), (vec![], 1));
    assert_eq!(older.dossier.unwrap().candidacies[0].state.code(), "scheduled");
}

#[test]
fn a_fact_that_says_nothing_of_the_stage_makes_no_move_old() {
    let schedule = Message::ScheduleRequested(ScheduleRequest { application: change("x").application, starts_at: at(100) });
    let redo = Message::RedoRequested(RedoRequest { application: change("x").application });
    let known = run(None, 0, moved("Phone")).dossier.unwrap();
    for message in [schedule, redo, Message::AssessmentOrdered(ordered("o-1")), Message::JobUpdated(JobUpdate { job: job(Some("1300")) })] {
        let before = run(Some(&known), 20, message.clone()).dossier.unwrap_or_else(|| known.clone());
        let moved = run(Some(&before), 10, moved("Interview"));
        assert_ne!(moved.verdict.code, "older", "{message:?}");
        assert_eq!(moved.dossier.unwrap().stage.unwrap().name.unwrap().as_str(), "Interview");
    }
}
