//! What is believed of what was heard: whose word on the role counts, which times, and what a part of the data says.

use super::*;

fn snapshot(to: &str, role: Option<&str>, ended: Option<Ended>) -> Snapshot {
    Snapshot {
        application: change("x").application,
        candidate: ada(None),
        job: job(role),
        recruiter: None,
        grader: None,
        stage: stage(to),
        ended,
        as_of: None,
    }
}

fn says(snapshot: Snapshot) -> Answer {
    Answer::Is(Box::new(snapshot))
}

fn wants_snapshot(before: Option<&Dossier>, seconds: i64, late: i64, message: Message) -> bool {
    let (policy, mut known) = (policy(), Known::default());
    let context = Context { policy: &policy, now: at(seconds + late), fresh: Uuid::from_u128(5) };
    known.found(Lookup::Application("a-1".parse().unwrap()), before.cloned().into_iter().collect());
    facts::needs(&envelope(seconds, message), &known, context).unwrap().iter().any(|need| matches!(need, Need::Snapshot { .. }))
}

#[test]
fn the_ats_is_asked_before_anybody_is_invited_by_a_fact_that_is_old_or_leaves_something_out() {
    let live = invited_dossier();
    let order = Message::AssessmentOrdered(ordered("o-1"));
    let without_role = Message::ApplicationMoved(ApplicationChange { job: Some(job(None)), ..change("Interview") });
    for (before, seconds, late, message, asked) in [
        (None, 20, 1, moved("Interview"), false),
        (None, 20, 10, moved("Interview"), true),
        (None, 20, 1, without_role.clone(), true),
        (Some(&live), 20, 1, without_role, true),
        (Some(&live), 20, 10, moved("Interview"), true),
        (None, 20, 1, order.clone(), false),
        (None, 20, 10, order, true),
        (None, 20, 10, moved("Phone screen"), false),
        (Some(&live), -10, 10, moved("Interview"), false),
        (Some(&live), 20, 10, Message::ApplicationArchived(change("x")), false),
    ] {
        assert_eq!(wants_snapshot(before, seconds, late, message.clone()), asked, "{message:?}, {late} s late");
    }
}

#[test]
fn nobody_is_invited_for_what_the_ats_has_ended_or_moved_on_by_now() {
    let gone = [
        (says(snapshot("Interview", Some("1201"), Some(Ended::Archived))), "ended_meanwhile"),
        (says(snapshot("Interview", Some("1201"), Some(Ended::Hired))), "ended_meanwhile"),
        (says(snapshot("Onsite", Some("1201"), None)), "not_trigger_stage"),
        (Answer::Gone, "ended_meanwhile"),
    ];
    for (answer, code) in gone {
        let decision = decided(&policy(), None, &envelope(20, moved("Interview")), at(500), &answer);
        assert_eq!((invites(&decision), decision.verdict.code.as_str(), decision.verdict.word), (0, code, "ignored"), "{answer:?}");
    }
    let still = decided(&policy(), None, &envelope(20, moved("Interview")), at(500), &says(snapshot("Interview", Some("1201"), None)));
    assert_eq!(invites(&still), 1);
}

#[test]
fn the_role_that_the_job_names_now_counts_before_the_tenants_table_and_an_older_answer() {
    let mut policy = policy();
    policy.roles.insert("*".into(), "1300".into());
    let fact = envelope(20, Message::ApplicationMoved(ApplicationChange { job: Some(job(None)), ..change("Interview") }));
    let named = |answer: &Answer| {
        let decision = decided(&policy, None, &fact, at(20), answer);
        decision.dossier.unwrap().current().unwrap().role_named.clone()
    };
    assert_eq!(named(&says(snapshot("Interview", Some("1202"), None))).as_deref(), Some("1202"));
    assert_eq!(named(&Answer::CannotBeAsked).as_deref(), Some("1300"));
}

#[test]
fn a_time_that_cannot_have_come_yet_is_taken_as_now_and_later_facts_still_count() {
    let policy = policy();
    let on = |before: Option<&Dossier>, message: Message, time: Timestamp, now: Timestamp| {
        decided(&policy, before, &Envelope { time, ..envelope(0, message) }, now, &Answer::CannotBeAsked)
    };
    let year = SignedDuration::from_hours(24 * 365);
    let moved_ahead = on(None, moved("Phone screen"), at(0) + year, at(0)).dossier.unwrap();
    assert_eq!(moved_ahead.versions.stage.unwrap().time, at(0));
    assert_eq!(invites(&on(Some(&moved_ahead), moved("Interview"), at(1), at(1))), 1, "a later fact counts");
    let invited = invited_dossier();
    let scheduled = on(Some(&invited), interview("SCHEDULED"), at(30) + year, at(30)).dossier.unwrap();
    assert_eq!(scheduled.current().unwrap().interviews.current().unwrap().mark.time, at(30));

    let clocks_differ = SignedDuration::from_mins(4);
    let ahead = on(None, moved("Interview"), at(0) + clocks_differ, at(0)).dossier.unwrap();
    assert_eq!(ahead.versions.stage.unwrap().time, at(0) + clocks_differ, "clocks differ a little");
}

#[test]
fn what_was_heard_while_the_hubs_own_clock_was_ahead_holds_nothing_up_when_it_is_right_again() {
    let month = SignedDuration::from_hours(24 * 30);
    let order = |id: &str| Message::AssessmentOrdered(ordered(id));
    // The hub's clock stands a month ahead, and stamps an order and a move.
    let ahead =
        decided(&policy(), None, &Envelope { time: at(0) + month, ..envelope(0, order("o-1")) }, at(0) + month, &Answer::CannotBeAsked);
    let ahead = ahead.dossier.unwrap();
    let archived = run(Some(&ahead), 60, Message::ApplicationArchived(change("x"))).dossier.unwrap();
    assert_eq!(archived.ended, Some(Ended::Archived));
    let corrected = run(
        Some(&ahead),
        60,
        Message::ApplicationMoved(ApplicationChange { candidate: Some(ada(Some("+44 20 7123"))), ..change("Phone") }),
    );
    assert_eq!(corrected.dossier.unwrap().candidate.phone.unwrap().as_str(), "+44 20 7123");
    let second = run(Some(&ahead), 60, order("o-2")).dossier.unwrap();
    assert_eq!(second.assessment.unwrap().as_str(), "o-2");
}

#[test]
fn a_role_that_was_taken_off_the_job_is_forgotten_when_the_ats_says_all_and_not_when_a_fact_says_little() {
    let known = run(None, 10, moved("Phone screen")).dossier.unwrap();
    assert_eq!(known.job.role.as_ref().map(Line::as_str), Some("1201"));
    let bare = |time: i64| envelope(time, Message::ApplicationMoved(ApplicationChange { job: Some(job(None)), ..change("Interview") }));
    let role = |decision: &Decision| decision.dossier.as_ref().unwrap().job.role.clone().map(String::from);
    let asked = decided(&policy(), Some(&known), &bare(20), at(40), &says(snapshot("Interview", None, None)));
    assert_eq!((role(&asked), asked.verdict.code.as_str()), (None, "role_missing"));
    let unasked = decided(&policy(), Some(&known), &bare(20), at(40), &Answer::CannotBeAsked);
    assert_eq!((role(&unasked).as_deref(), unasked.verdict.code.as_str()), (Some("1201"), "invite"));
    // What is older than the answer does not bring back what the ATS does not have any more.
    let after = asked.dossier.unwrap();
    let older = Message::ApplicationMoved(ApplicationChange { job: Some(job(Some("1300"))), ..change("Phone") });
    let late = decided(&policy(), Some(&after), &envelope(15, older), at(41), &Answer::CannotBeAsked);
    assert!(late.dossier.is_none_or(|d| d.job.role.is_none()));
}

#[test]
fn another_job_in_news_of_the_person_takes_no_role_away() {
    let mut f = change("Interview");
    f.candidate = Some(ada(Some("123")));
    let refused = run(None, 0, Message::ApplicationMoved(f)).dossier.unwrap();
    let elsewhere = Job { id: Some("j-2".parse().unwrap()), ..Job::default() };
    let update = CandidateUpdate {
        candidate: Candidate { name: Some(line("Ada L.")), ..Candidate::default() },
        application: Some(change("x").application),
        job: Some(elsewhere),
        recruiter: None,
        grader: None,
        to_stage: None,
    };
    let after = run(Some(&refused), 5, Message::CandidateUpdated(update));
    assert_eq!((after.verdict.code.as_str(), statuses(&after)), ("recorded", vec![]));
    assert_eq!(after.dossier.unwrap().job.role.as_ref().map(Line::as_str), Some("1201"));
}

#[test]
fn a_part_of_the_data_erases_nothing_and_a_blank_does() {
    let phone = |d: &Dossier| d.candidate.phone.as_ref().map(|p| p.as_str().to_owned());
    let with = |phone: Option<&str>, email: &str| {
        let candidate = Candidate { email: Some(email.parse().unwrap()), ..ada(phone) };
        Message::CandidateUpdated(CandidateUpdate {
            candidate,
            application: None,
            job: None,
            recruiter: None,
            grader: None,
            to_stage: None,
        })
    };
    let known = run(None, 0, Message::ApplicationMoved(ApplicationChange { candidate: Some(ada(Some("+44 20 7123"))), ..change("Phone") }));
    let known = known.dossier.unwrap();
    let renamed = run(Some(&known), 5, with(None, "ada@new.example")).dossier.unwrap();
    assert_eq!((phone(&renamed).as_deref(), renamed.candidate.email.as_ref().unwrap().as_str()), (Some("+44 20 7123"), "ada@new.example"));
    let erased = run(Some(&renamed), 6, with(Some(""), "ada@new.example")).dossier.unwrap();
    assert_eq!(phone(&erased), None);
    // An older fact does not bring back what was said to be none.
    assert!(run(Some(&erased), 3, with(Some("+44 20 9999"), "ada@old.example")).dossier.is_none_or(|d| d.candidate.phone.is_none()));
}
