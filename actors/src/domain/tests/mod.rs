//! The domain's rules as tables and properties.

use super::{
    facts::{Answer, Known, Need},
    *,
};
use crate::ports::{Invitation, PlatformRole};
use atshub_schemas::{
    Envelope, Line, Message, TenantName,
    fact::{
        Application, ApplicationChange, AssessmentEnd, AssessmentOrder, Candidate, CandidateUpdate, Interview, InterviewChange, Job,
        JobUpdate, Person, RedoRequest, ScheduleRequest, Stage,
    },
    internal::Write,
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;

mod asked;
mod heard;
mod life;
mod newer;
mod orders;
mod written;
use life::interview;

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000_000 + seconds)
}

fn policy() -> Policy {
    Policy { trigger_stages: vec!["Interview".into(), "s-9".into()], ..Policy::default() }
}

fn line(text: &str) -> Line {
    Line::new(text).unwrap()
}

fn stage(name: &str) -> Option<Stage> {
    Some(Stage { id: None, name: Some(line(name)) })
}

fn person(email: &str) -> Option<Person> {
    Some(Person { id: None, name: None, email: Some(email.parse().unwrap()) })
}

fn ada(phone: Option<&str>) -> Candidate {
    Candidate {
        id: Some("c-1".parse().unwrap()),
        name: Some(line("Ada")),
        email: Some("ada@example.org".parse().unwrap()),
        phone: phone.map(|p| p.to_owned().try_into().unwrap()),
        profile_url: None,
    }
}

fn job(role: Option<&str>) -> Job {
    Job { id: Some("j-1".parse().unwrap()), title: Some(line("Engineer")), role: role.map(line), ..Job::default() }
}

fn change(to: &str) -> ApplicationChange {
    ApplicationChange {
        application: Application { id: "a-1".parse().unwrap(), url: Some("https://ats.example/a/1".parse().unwrap()), status: None },
        candidate: Some(ada(None)),
        job: Some(job(Some("1201"))),
        recruiter: person("rae@example.org"),
        grader: None,
        from_stage: None,
        to_stage: stage(to),
        reason: None,
    }
}

fn envelope(seconds: i64, message: Message) -> Envelope {
    Envelope::new(line("/test"), TenantName::new("acme").unwrap(), at(seconds), message)
}

fn run(before: Option<&Dossier>, seconds: i64, message: Message) -> Decision {
    run_with(&policy(), before, seconds, message)
}

fn run_with(policy: &Policy, before: Option<&Dossier>, seconds: i64, message: Message) -> Decision {
    decided(policy, before, &envelope(seconds, message), at(seconds), &Answer::CannotBeAsked)
}

/// What follows for the one dossier there is, where nothing was heard of anything before, and the ATS answers so.
fn decided(policy: &Policy, before: Option<&Dossier>, envelope: &Envelope, now: Timestamp, ats: &Answer) -> Decision {
    let context = Context { policy, now, fresh: Uuid::from_u128(now.as_second() as u128) };
    let mut known = Known::default();
    loop {
        let needs = facts::needs(envelope, &known, context).unwrap();
        if needs.is_empty() {
            break;
        }
        for need in needs {
            match need {
                Need::Dossiers(lookup) => known.found(lookup, before.cloned().into_iter().collect()),
                Need::Heard(subject) => known.was_heard(vec![subject], vec![]),
                Need::Snapshot { .. } => known.answered(ats.clone()),
            }
        }
    }
    let outcome = facts::decide(envelope, &known, context).unwrap();
    let verdict = outcome.verdict.clone();
    outcome.decisions.into_iter().next().map_or(Decision { dossier: None, effects: vec![], taken_back: vec![], verdict }, |(_, d)| d)
}

fn moved(to: &str) -> Message {
    Message::ApplicationMoved(change(to))
}

fn ordered(id: &str) -> AssessmentOrder {
    AssessmentOrder {
        assessment: atshub_schemas::fact::Assessment { id: id.parse().unwrap(), test_id: Some("1201".parse().unwrap()) },
        application: change("x").application,
        candidate: Some(ada(None)),
        job: None,
        recruiter: None,
    }
}

fn notes(decision: &Decision) -> Vec<String> {
    let body = |effect: &Effect| match effect {
        Effect::Write { write: Write::Note { body, .. }, .. } => Some(body.to_string()),
        _ => None,
    };
    decision.effects.iter().filter_map(body).collect()
}

fn statuses(decision: &Decision) -> Vec<String> {
    let text = |effect: &Effect| match effect {
        Effect::Write { write: Write::Status { text, .. }, .. } => Some(text.to_string()),
        _ => None,
    };
    decision.effects.iter().filter_map(text).collect()
}

fn invites(decision: &Decision) -> usize {
    decision.effects.iter().filter(|e| matches!(e, Effect::Invite { .. })).count()
}

/// A dossier whose candidacy is invited, with a link.
fn invited_dossier() -> Dossier {
    let asked = run(None, 0, moved("Interview")).dossier.unwrap();
    let id = asked.current().unwrap().id;
    let role = PlatformRole { id: "1201".parse().unwrap(), name: line("Backend") };
    let inviting = inviting(&asked, id, &role, at(1));
    let policy = policy();
    let context = Context { policy: &policy, now: at(2), fresh: Uuid::from_u128(99) };
    let invitation = Invitation {
        id: None,
        candidacy: "p-1".parse().unwrap(),
        link: Some("https://karat.example/i/1".parse().unwrap()),
        state: None,
        ats_url: None,
    };
    invited(&inviting, id, &invitation, None, context).dossier.unwrap()
}

#[test]
fn entering_a_trigger_stage_by_id_or_name_without_case_invites_once() {
    for to in ["Interview", "interview ", "INTERVIEW"] {
        let decision = run(None, 0, moved(to));
        assert_eq!((invites(&decision), statuses(&decision)), (1, vec!["Received".into()]), "{to}");
    }
    let mut by_id = change("whatever");
    by_id.to_stage = Some(Stage { id: Some("s-9".parse().unwrap()), name: None });
    assert_eq!(invites(&run(None, 0, Message::ApplicationMoved(by_id))), 1);
    let other = run(None, 0, moved("Phone screen"));
    assert_eq!((invites(&other), other.verdict.code.as_str()), (0, "not_trigger_stage"));
}

#[test]
fn a_job_may_have_trigger_stages_of_its_own() {
    let mut policy = policy();
    policy.trigger_stages_by_job.insert("j-1".into(), vec!["Code review".into()]);
    assert_eq!(invites(&run_with(&policy, None, 0, moved("Interview"))), 0);
    assert_eq!(invites(&run_with(&policy, None, 0, moved("Code review"))), 1);
}

#[test]
fn the_four_errors_stand_word_for_word_in_the_status_and_in_the_verdict() {
    let role = || {
        let mut f = change("Interview");
        f.job = Some(job(None));
        f
    };
    let phone = || {
        let mut f = change("Interview");
        f.candidate = Some(ada(Some("12345")));
        f
    };
    let same = || {
        let mut f = change("Interview");
        f.recruiter = person("Ada@Example.org");
        f
    };
    let table = [
        (role(), "role_missing", "Missing or invalid Karat role on the job."),
        (phone(), "phone_too_short", "Phone is too short (minimum is 7 characters)."),
        (same(), "recruiter_is_candidate", "Recruiter and candidate can't be the same."),
    ];
    for (fact, code, text) in table {
        let decision = run(None, 0, Message::ApplicationMoved(fact));
        assert_eq!((decision.verdict.word, decision.verdict.code.as_str(), decision.verdict.text.as_str()), ("refused", code, text));
        assert_eq!((statuses(&decision), invites(&decision)), (vec![text.to_owned()], 0));
        assert!(decision.verdict.remedy.is_some());
    }
    let link = "https://karat.example/i/1".parse().ok();
    let text = "Invite failed: Role already has an active interview for this candidate. Please visit this interview to make changes to it. https://karat.example/i/1";
    assert_eq!(InviteError::AlreadyActive { link }.text("Karat"), text);
}

#[test]
fn the_platforms_brand_name_is_a_setting() {
    let policy = Policy { platform_name: "Acme Interviews".into(), ..policy() };
    let mut f = change("Interview");
    f.job = Some(job(None));
    assert_eq!(
        statuses(&run_with(&policy, None, 0, Message::ApplicationMoved(f))),
        ["Missing or invalid Acme Interviews role on the job."]
    );
}

#[test]
fn a_blank_phone_is_no_phone_and_seven_characters_are_enough() {
    for (phone, ok) in [("", true), ("   ", true), ("1234567", true), ("123456", false), ("  12345  ", false)] {
        let mut f = change("Interview");
        f.candidate = Some(ada(Some(phone)));
        assert_eq!(invites(&run(None, 0, Message::ApplicationMoved(f))) == 1, ok, "{phone:?}");
    }
}

#[test]
fn a_retrigger_is_a_new_intent_while_the_same_entry_heard_twice_is_not() {
    let live = invited_dossier();
    let same_entry = run(Some(&live), 0, moved("Interview"));
    assert_eq!(same_entry.verdict.word, "ignored");
    let mut refused = change("Interview");
    refused.candidate = Some(ada(Some("1")));
    let refused = run(None, 0, Message::ApplicationMoved(refused)).dossier.unwrap();
    let again = run(Some(&refused), 10, moved("Interview")).dossier.unwrap();
    // The move itself says nothing of a phone, so the short one still stands.
    assert!(matches!(again.current().unwrap().state, State::Refused { error: InviteError::PhoneTooShort }));
    assert_eq!(again.current().unwrap().intent, 2);
}

#[test]
fn another_role_on_the_same_application_is_another_candidacy() {
    let live = invited_dossier();
    let mut f = change("Interview");
    f.job = Some(job(Some("1300")));
    let decision = run(Some(&live), 10, Message::ApplicationMoved(f));
    assert_eq!((invites(&decision), decision.dossier.unwrap().candidacies.len()), (1, 2));
}

#[test]
fn a_corrected_datum_tries_a_refused_invite_again_and_an_unchanged_one_does_not() {
    let mut f = change("Interview");
    f.candidate = Some(ada(Some("12345")));
    let refused = run(None, 0, Message::ApplicationMoved(f)).dossier.unwrap();
    let update = |phone| {
        Message::CandidateUpdated(CandidateUpdate {
            candidate: ada(phone),
            application: None,
            job: None,
            recruiter: None,
            grader: None,
            to_stage: None,
        })
    };
    assert_eq!(invites(&run(Some(&refused), 5, update(Some("12345")))), 0, "unchanged");
    assert_eq!(invites(&run(Some(&refused), 5, update(Some("123")))), 0, "still too short");
    assert_eq!(invites(&run(Some(&refused), 5, update(Some("+44 20 7123")))), 1, "corrected");
    assert_eq!(invites(&run(Some(&refused), 5, update(None))), 0, "nothing is said of a phone");
    assert_eq!(invites(&run(Some(&refused), 5, update(Some("")))), 1, "removed");

    let mut f = change("Interview");
    f.job = Some(job(None));
    let refused = run(None, 0, Message::ApplicationMoved(f)).dossier.unwrap();
    let decision = run(Some(&refused), 5, Message::JobUpdated(JobUpdate { job: job(Some("1201")) }));
    assert_eq!((invites(&decision), statuses(&decision)), (1, vec!["Received".into()]));
    let mut left = refused;
    left.stage = stage("Onsite");
    assert_eq!(invites(&run(Some(&left), 5, Message::JobUpdated(JobUpdate { job: job(Some("1201")) }))), 0, "no longer in the stage");
}

#[test]
fn a_move_that_arrives_after_a_later_correction_still_invites_and_keeps_the_correction() {
    let known = run(None, 0, moved("Phone screen")).dossier.unwrap();
    let update = CandidateUpdate {
        candidate: ada(Some("+44 20 7123")),
        application: None,
        job: None,
        recruiter: None,
        grader: None,
        to_stage: None,
    };
    let corrected = run(Some(&known), 20, Message::CandidateUpdated(update)).dossier.unwrap();
    let mut late = change("Interview");
    late.candidate = Some(ada(Some("12")));
    let decision = run(Some(&corrected), 10, Message::ApplicationMoved(late));
    assert_eq!(invites(&decision), 1, "{:?}", decision.verdict);
    assert_eq!(decision.dossier.unwrap().candidate.phone.unwrap().as_str(), "+44 20 7123");
}

#[test]
fn of_two_moves_at_the_same_moment_the_one_that_invites_counts_whichever_comes_first() {
    for order in [["Interview", "Onsite"], ["Onsite", "Interview"]] {
        let first = run(None, 0, moved(order[0])).dossier.unwrap();
        let second = run(Some(&first), 0, moved(order[1]));
        let after = second.dossier.unwrap_or(first);
        assert_eq!(after.stage.clone(), stage("Interview"), "{order:?}");
        assert_eq!(after.current().unwrap().state, State::Received);
    }
}

#[test]
fn an_older_move_changes_nothing() {
    let left = run(None, 20, moved("Onsite")).dossier.unwrap();
    let decision = run(Some(&left), 10, moved("Interview"));
    assert_eq!((invites(&decision), decision.verdict.code.as_str(), decision.dossier), (0, "older", None));
}

#[test]
fn an_assessment_order_names_its_role_and_needs_no_stage() {
    let decision = run(None, 0, Message::AssessmentOrdered(ordered("o-1")));
    assert_eq!(invites(&decision), 1);
    assert_eq!(decision.dossier.unwrap().current().unwrap().role_named.as_deref(), Some("1201"));
}

#[test]
fn removal_in_the_ats_cancels_nothing_and_says_where_to_cancel() {
    let live = invited_dossier();
    for message in [Message::ApplicationArchived(change("x")), Message::ApplicationDeleted(change("x"))] {
        let decision = run(Some(&live), 10, message);
        assert_eq!((decision.verdict.code.as_str(), decision.effects.len()), ("cancel_elsewhere", 1));
        assert!(decision.verdict.text.contains("is not cancelled"));
    }
}

#[test]
fn a_role_is_found_by_id_then_by_name_without_case() {
    let roles: Vec<PlatformRole> =
        [("12", "Backend"), ("13", "12")].iter().map(|(id, name)| PlatformRole { id: id.parse().unwrap(), name: line(name) }).collect();
    let named = |n| resolve_role(n, &roles).map(|r| r.id.to_string());
    assert_eq!((named("12").as_deref(), named(" backend ").as_deref(), named("frontend")), (Some("12"), Some("12"), None));
}

proptest! {
    #[test]
    fn any_sequence_of_stage_moves_has_at_most_one_live_candidacy_and_rising_numbers(moves in proptest::collection::vec((0i64..50, 0usize..3), 1..40)) {
        let mut dossier: Option<Dossier> = None;
        for (when, which) in moves {
            let before = dossier.clone();
            let decision = run(before.as_ref(), when, moved(["Interview", "Onsite", "Phone"][which]));
            if let Some(next) = &decision.dossier {
                prop_assert_eq!(next.version, before.as_ref().map_or(1, |d| d.version + 1));
                prop_assert!(next.sequence >= before.as_ref().map_or(0, |d| d.sequence));
                let newest = |d: &Dossier| d.versions.stage.map(|mark| mark.time);
                prop_assert!(newest(next) >= before.as_ref().and_then(newest));
            }
            dossier = decision.dossier.or(before);
            let live = dossier.as_ref().map_or(0, |d| d.candidacies.iter().filter(|c| c.state.is_live()).count());
            prop_assert!(live <= 1);
        }
    }
}
