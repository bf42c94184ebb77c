//! What is believed of what was heard: whose word on the role counts, and which times.

use super::*;

#[test]
fn the_role_that_the_job_names_now_is_asked_for_before_the_tenants_table_or_an_older_answer_is_used() {
    let mut policy = policy();
    policy.roles.insert("*".into(), "1300".into());
    let without_role = |to: &str| {
        let mut f = change(to);
        f.job = Some(job(None));
        Message::ApplicationMoved(f)
    };
    let live = invited_dossier();
    for (before, message, asked) in [
        (None, without_role("Interview"), true),
        (Some(&live), without_role("Interview"), true),
        (None, without_role("Phone screen"), false),
        (None, moved("Interview"), false),
    ] {
        assert_eq!(wants(before, &message, &policy), asked.then_some(Wanted::Snapshot), "{message:?}");
    }
    let snapshot = Snapshot {
        application: change("x").application,
        candidate: ada(None),
        job: job(Some("1202")),
        recruiter: None,
        grader: None,
        stage: None,
    };
    let context = Context { policy: &policy, now: at(20), fresh: Uuid::from_u128(5) };
    let named = |snapshot: Option<&Snapshot>| {
        let decided = decide(None, &envelope(20, without_role("Interview")), snapshot, context);
        decided.dossier.unwrap().current().unwrap().role_named.clone()
    };
    assert_eq!((named(Some(&snapshot)).as_deref(), named(None).as_deref()), (Some("1202"), Some("1300")));
}

#[test]
fn a_time_that_cannot_have_come_yet_is_taken_as_now_and_later_facts_still_count() {
    let policy = policy();
    let on = |before: Option<&Dossier>, message: Message, time: Timestamp, now: Timestamp| {
        let fact = Envelope { time, ..envelope(0, message) };
        let context = Context { policy: &policy, now, fresh: Uuid::from_u128(7) };
        match &fact.message {
            Message::JobUpdated(_) => correct(before.unwrap(), &fact, context),
            Message::InterviewChanged(f) => interview_changed(before.unwrap(), f, fact.time, context),
            _ => decide(before, &fact, None, context),
        }
    };
    let year = SignedDuration::from_hours(24 * 365);
    let moved_ahead = on(None, moved("Phone screen"), at(0) + year, at(0)).dossier.unwrap();
    assert_eq!((moved_ahead.fact_time, moved_ahead.data_time), (at(0), at(0)));
    assert_eq!(invites(&on(Some(&moved_ahead), moved("Interview"), at(1), at(1))), 1, "a later fact counts");
    let corrected = on(Some(&moved_ahead), Message::JobUpdated(JobUpdate { job: job(Some("1300")) }), at(2) + year, at(2));
    assert_eq!(corrected.dossier.unwrap().data_time, at(2));
    let invited = invited_dossier();
    let scheduled = on(Some(&invited), interview("SCHEDULED"), at(30) + year, at(30)).dossier.unwrap();
    assert_eq!(scheduled.current().unwrap().changed_at, at(30));

    let clocks_differ = SignedDuration::from_mins(4);
    let ahead = on(None, moved("Interview"), at(0) + clocks_differ, at(0)).dossier.unwrap();
    assert_eq!(ahead.fact_time, at(0) + clocks_differ, "clocks differ a little");
}
