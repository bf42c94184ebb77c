//! Order of arrival: the facts of one application in any order, any of them twice, end in the same dossier and the same open effects.
//! The model keeps what a store would: dossiers, what was heard, and the effects that were not taken back.

use super::*;
use std::collections::BTreeMap;

/// A store in memory, and the hub's rules over it.
#[derive(Debug, Clone, Default)]
struct World {
    dossiers: BTreeMap<String, Dossier>,
    heard: BTreeMap<Subject, Heard>,
    open: Vec<Effect>,
}

/// What has to be the same in the end.
#[derive(Debug, PartialEq)]
struct End {
    candidate: Candidate,
    job: Job,
    stage: Option<Stage>,
    ended: Option<Ended>,
    order: Option<String>,
    /// Role and state of what is alive or refused. What was asked and taken back in time leaves nothing.
    candidacies: Vec<(Option<String>, String)>,
    /// Roles that the platform is still to be asked for.
    invites: Vec<Option<String>>,
}

impl World {
    fn find(&self, lookup: &Lookup) -> Vec<Dossier> {
        let all = self.dossiers.values();
        let hits = |d: &&Dossier| match lookup {
            Lookup::Application(id) => d.application.id == *id,
            Lookup::Candidate(id) => d.candidate.id.as_ref() == Some(id),
            Lookup::WaitingOfJob(id) => {
                d.job.id.as_ref() == Some(id) && d.current().is_some_and(|c| matches!(c.state.code(), "refused" | "received"))
            }
            Lookup::Refused => d.current().is_some_and(|c| c.state.code() == "refused"),
            Lookup::PlatformCandidacy(id) => d.candidacies.iter().any(|c| c.invitation.as_ref().is_some_and(|i| i.candidacy == *id)),
            _ => false,
        };
        all.filter(hits).cloned().collect()
    }

    fn take(&mut self, policy: &Policy, fact: &Envelope, fresh: u128) {
        let context = Context { policy, now: at(1_000), fresh: Uuid::from_u128(fresh) };
        let mut known = Known::default();
        loop {
            let needs = facts::needs(fact, &known, context).unwrap();
            if needs.is_empty() {
                break;
            }
            for need in needs {
                match need {
                    Need::Dossiers(lookup) => {
                        let found = self.find(&lookup);
                        known.found(lookup, found);
                    }
                    Need::Heard(subject) => known.was_heard(vec![subject.clone()], self.heard.get(&subject).cloned().into_iter().collect()),
                    Need::Snapshot { .. } => known.answered(Answer::CannotBeAsked),
                }
            }
        }
        let outcome = facts::decide(fact, &known, context).unwrap();
        for (_, decision) in outcome.decisions {
            self.open.retain(|effect| !decision.taken_back.contains(&effect.key()));
            self.open.extend(decision.effects);
            if let Some(dossier) = decision.dossier {
                self.dossiers.insert(dossier.application.id.to_string(), dossier);
            }
        }
        self.heard.extend(outcome.heard.into_iter().map(|heard| (heard.subject.clone(), heard)));
    }

    fn end(&self) -> Option<End> {
        let mut d = self.dossiers.get("a-1")?.clone();
        // A job's news is taken over where it is needed: by refused invites at once, by the others when they are next asked for.
        if let Some(job) = self.heard.get(&Subject::Job("j-1".parse().unwrap())).filter(|_| d.job.id.is_some()) {
            d.absorb(job, at(1_000));
        }
        let d = &d;
        // A refusal of what is not asked for any more stands in the history alone: in another order it never came to it.
        let asked_for = d.ended.is_none() && d.stage == stage("Interview");
        let alive = d.candidacies.iter().filter(|c| !matches!(c.state, State::Cancelled { .. }));
        let alive = alive.filter(|c| asked_for || !matches!(c.state, State::Refused { .. }));
        let invites = self.open.iter().filter_map(|effect| match effect {
            Effect::Invite { candidacy, intent } => {
                let c = d.candidacy(*candidacy)?;
                (c.intent == *intent && c.state == State::Received).then(|| c.role_named.clone())
            }
            Effect::Write { .. } => None,
        });
        Some(End {
            candidate: d.candidate.clone(),
            job: d.job.clone(),
            stage: d.stage.clone().filter(|_| d.ended.is_none()),
            ended: d.ended.clone(),
            order: d.assessment.as_ref().map(ToString::to_string),
            candidacies: alive.map(|c| (c.role_named.clone(), c.state.code().to_owned())).collect(),
            invites: invites.collect(),
        })
    }
}

/// Facts of one application as an ATS tells them: each with a part of the data.
fn fact() -> impl Strategy<Value = Message> {
    let phone = proptest::option::of(prop_oneof![Just("12"), Just("+44 20 7123"), Just("")]);
    let role = proptest::option::of(prop_oneof![Just("1201"), Just("1300")]);
    let email = proptest::option::of(prop_oneof![Just("ada@example.org"), Just("rae@example.org")]);
    let person = (phone, email).prop_map(|(phone, email)| Candidate {
        id: Some("c-1".parse().unwrap()),
        email: email.map(|e| e.parse().unwrap()),
        phone: phone.map(|p: &str| p.to_owned().try_into().unwrap()),
        ..Candidate::default()
    });
    let of_job = role.prop_map(|role| Job { id: Some("j-1".parse().unwrap()), role: role.map(line), ..Job::default() });
    let changes = (person.clone(), of_job.clone(), prop_oneof![Just("Interview"), Just("Onsite")])
        .prop_map(|(candidate, job, to)| ApplicationChange { candidate: Some(candidate), job: Some(job), recruiter: None, ..change(to) });
    let update = (person, any::<bool>()).prop_map(|(candidate, through)| {
        let application = through.then(|| change("x").application);
        Message::CandidateUpdated(CandidateUpdate { candidate, application, job: None, recruiter: None, grader: None, to_stage: None })
    });
    prop_oneof![
        4 => changes.clone().prop_map(Message::ApplicationMoved),
        1 => changes.clone().prop_map(|f| Message::ApplicationArchived(ApplicationChange { to_stage: None, ..f })),
        1 => changes.prop_map(|f| Message::ApplicationHired(ApplicationChange { to_stage: None, ..f })),
        3 => update,
        2 => of_job.prop_map(|job| Message::JobUpdated(JobUpdate { job })),
        1 => Just(Message::ScheduleRequested(ScheduleRequest { application: change("x").application, starts_at: at(9_000) })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_facts_of_an_application_in_any_order_and_any_of_them_twice_end_in_the_same_dossier_and_open_effects(
        (facts, order) in proptest::collection::vec(fact(), 1..7).prop_flat_map(|facts| {
            let twice: Vec<usize> = (0..facts.len()).chain(0..facts.len()).collect();
            (Just(facts), Just(twice).prop_shuffle())
        })
    ) {
        let policy = policy();
        let facts: Vec<Envelope> = facts.into_iter().enumerate().map(|(n, message)| envelope(n as i64, message)).collect();
        let (mut in_time, mut as_they_came) = (World::default(), World::default());
        facts.iter().enumerate().for_each(|(n, fact)| in_time.take(&policy, fact, n as u128 + 1));
        order.iter().enumerate().for_each(|(n, fact)| as_they_came.take(&policy, &facts[*fact], n as u128 + 100));
        prop_assert_eq!(in_time.end(), as_they_came.end());
    }

    #[test]
    fn the_platforms_words_on_interviews_in_any_order_and_any_of_them_twice_end_in_the_same_state(
        (facts, order) in proptest::collection::vec((0usize..15, 0u8..3), 1..7).prop_flat_map(|facts| {
            let twice: Vec<usize> = (0..facts.len()).chain(0..facts.len()).collect();
            (Just(facts), Just(twice).prop_shuffle())
        })
    ) {
        let words = ["SCHEDULING", "SCHEDULED", "RESCHEDULED", "INTERVIEWING", "PROCESSING", "CREATING", "AWAITING_QC", "QC", "HOLD", "FINAL_CHECK",
            "CONTENT_CHECK", "READY_TO_SHIP", "SHIPPING", "SHIPPED", "CANCELLED"];
        let policy = policy();
        let facts: Vec<Envelope> = facts.into_iter().enumerate().map(|(n, (word, which))| {
            let Message::InterviewChanged(mut fact) = interview(words[word]) else { unreachable!() };
            fact.interview.id = format!("i-{which}").parse().unwrap();
            fact.interview.link = (which == 0).then(|| format!("https://karat.example/{n}").parse().unwrap());
            envelope(10 + n as i64, Message::InterviewChanged(fact))
        }).collect();
        let known = || World { dossiers: [("a-1".to_owned(), invited_dossier())].into(), ..World::default() };
        let (mut in_time, mut as_they_came) = (known(), known());
        facts.iter().for_each(|fact| in_time.take(&policy, fact, 1));
        order.iter().for_each(|fact| as_they_came.take(&policy, &facts[*fact], 1));
        let state = |world: &World| {
            let c = world.dossiers["a-1"].current().unwrap();
            (c.state.clone(), c.interviews.clone(), c.invitation.clone())
        };
        prop_assert_eq!(state(&in_time), state(&as_they_came));

        // And so it ends if they came before the invitation was stored.
        let mut before = World::default();
        order.iter().for_each(|fact| before.take(&policy, &facts[*fact], 1));
        let heard = before.heard.values().next().cloned();
        let asked = run(None, 0, moved("Interview")).dossier.unwrap();
        let role = PlatformRole { id: "1201".parse().unwrap(), name: line("Backend") };
        let asked = inviting(&asked, asked.current().unwrap().id, &role, at(1));
        let invitation = invited_dossier().current().unwrap().invitation.clone().unwrap();
        let context = Context { policy: &policy, now: at(2), fresh: Uuid::from_u128(99) };
        let stored = invited(&asked, asked.current().unwrap().id, &invitation, heard.as_ref(), context).dossier.unwrap();
        let (state, interviews, _) = state(&in_time);
        prop_assert_eq!((&stored.current().unwrap().state, &stored.current().unwrap().interviews), (&state, &interviews));
    }
}
