//! Dossiers, envelopes and changes with every field filled in, so that a test names only what it is about.

#![cfg(test)]

use atshub::demo::world::{ROLES, TRIGGER};
use atshub_actors::{
    domain::{Candidacy, Dossier, InviteError, Policy, State},
    ports::{
        Change, Claim, CommitOutcome, Disposition, DossierWrite, Handled, Invitation, JournalEntry, OutboxRow, Parked, PlatformRole,
        Standing, StoreError, TenantRecord,
    },
};
use atshub_schemas::{
    Envelope, ExternalId, Line, Message, TenantName,
    fact::{Application, ApplicationChange, Candidate, Job, Stage},
    topology,
};
use bytes::Bytes;
use jiff::{Timestamp, ToSpan};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// Now, to the microsecond that the stores keep.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_microsecond(Timestamp::now().as_microsecond()).unwrap()
}

/// So many seconds from a time on.
pub(crate) fn later(time: Timestamp, seconds: i64) -> Timestamp {
    time.checked_add(seconds.seconds()).unwrap()
}

/// So many days from a time on.
pub(crate) fn days_later(time: Timestamp, days: i64) -> Timestamp {
    later(time, days * 86_400)
}

pub(crate) fn tenant(name: &str) -> TenantName {
    TenantName::new(name).unwrap()
}

/// A tenant behind a bridge, active, with no setting set.
pub(crate) fn record(name: &str) -> TenantRecord {
    let at = now();
    TenantRecord {
        name: tenant(name),
        ats: "bridge".into(),
        platform: "main".into(),
        policy: Policy::default(),
        unreadable: None,
        standing: Standing::Active,
        stood: 0,
        cause: None,
        until: None,
        version: 0,
        created_at: at,
        updated_at: at,
    }
}

pub(crate) fn external(id: &str) -> ExternalId {
    ExternalId::new(id).unwrap()
}

pub(crate) fn words(text: &str) -> Line {
    Line::new(text).unwrap()
}

pub(crate) fn application(id: &str) -> Application {
    Application { id: external(id), url: None, status: None }
}

/// A new fact: the application entered a stage.
pub(crate) fn moved(tenant: &TenantName, application_id: &str) -> Envelope {
    let change = ApplicationChange {
        application: application(application_id),
        candidate: None,
        job: None,
        recruiter: None,
        grader: None,
        from_stage: None,
        to_stage: Some(Stage { id: Some(external("s-2")), name: Some(words("Assessment")) }),
        reason: None,
    };
    Envelope::new(words("/bridges/test"), tenant.clone(), now(), Message::ApplicationMoved(change))
}

/// A new fact that says everything, so that no ATS has to be asked: a person's application entered the demonstration's trigger stage,
/// for a job with its first role.
pub(crate) fn entered(tenant: &TenantName, application_id: &str, name: &str, email: &str, phone: Option<&str>) -> Envelope {
    let change = ApplicationChange {
        application: application(application_id),
        candidate: Some(Candidate {
            id: None,
            name: Some(words(name)),
            email: Some(email.parse().unwrap()),
            phone: phone.map(|phone| phone.to_owned().try_into().unwrap()),
            profile_url: None,
        }),
        job: Some(Job { id: Some(external("j-1")), role: Some(words(ROLES[0].0)), ..Job::default() }),
        recruiter: None,
        grader: None,
        from_stage: None,
        to_stage: Some(Stage { id: None, name: Some(words(TRIGGER)) }),
        reason: None,
    };
    let mut envelope = Envelope::new(words("/bridges/test"), tenant.clone(), now(), Message::ApplicationMoved(change));
    envelope.subject = Some(external(&format!("application/{application_id}")));
    envelope
}

pub(crate) fn handled(envelope: &Envelope) -> Option<Handled> {
    let disposition = Disposition { verdict: words("accepted"), code: None, text: "The fact was accepted.".into(), remedy: None };
    Some(Handled { envelope: Arc::new(envelope.clone()), disposition })
}

/// A new candidacy for this role, in this state.
pub(crate) fn candidacy(state: State, role: &str) -> Candidacy {
    let at = now();
    Candidacy {
        role: Some(PlatformRole { id: external(role), name: words(role) }),
        state,
        ..Candidacy::asked(Uuid::now_v7(), Some(role.into()), at, at)
    }
}

pub(crate) fn invitation(platform_candidacy: &str) -> Invitation {
    Invitation { id: None, candidacy: external(platform_candidacy), link: None, state: None, ats_url: None }
}

pub(crate) fn refused() -> State {
    State::Refused { error: InviteError::PhoneTooShort }
}

/// A dossier of version 1 without candidacies, of the person with this address.
pub(crate) fn dossier(tenant: &TenantName, application_id: &str, email: &str) -> Dossier {
    let at = now();
    let candidate = Candidate {
        id: Some(external(&format!("person-{email}"))),
        name: Some(words("Ada Lovelace")),
        email: Some(atshub_schemas::Email::new(email).unwrap()),
        ..Candidate::default()
    };
    Dossier {
        candidate,
        job: Job { id: Some(external("job-1")), title: Some(words("Engineer")), ..Job::default() },
        version: 1,
        ..Dossier::new(tenant.clone(), application(application_id), at)
    }
}

/// The change that saves a dossier over the version before its own; version 1 is new.
pub(crate) fn saves(dossier: &Dossier) -> Change {
    Change { dossiers: vec![write(dossier)], ..Change::default() }
}

pub(crate) fn write(dossier: &Dossier) -> DossierWrite {
    DossierWrite { dossier: dossier.clone(), expected: (dossier.version > 1).then(|| dossier.version - 1) }
}

/// A claim of an owner of its own, which holds nothing up afterwards.
pub(crate) fn claim() -> Claim {
    Claim { owner: Uuid::now_v7(), lease: Duration::ZERO, takes_over: None }
}

/// What became of a change that nothing is to stand in the way of.
#[allow(clippy::needless_pass_by_value, reason = "wraps a call in the tests' own words")]
pub(crate) fn applied(outcome: Result<CommitOutcome, StoreError>) {
    assert_eq!(outcome, Ok(CommitOutcome::Committed));
}

/// The same dossier, one version on.
pub(crate) fn next(dossier: &Dossier) -> Dossier {
    Dossier { version: dossier.version + 1, ..dossier.clone() }
}

/// A row that asks for this message to be published.
pub(crate) fn publishes(envelope: &Envelope, not_before: Option<Timestamp>) -> OutboxRow {
    OutboxRow {
        exchange: topology::WORK.into(),
        routing_key: topology::tenant_work_key(&envelope.tenant),
        envelope: Arc::new(envelope.clone()),
        not_before,
        key: None,
    }
}

pub(crate) fn line(tenant: &TenantName, application_id: &str, at: Timestamp, code: &str) -> JournalEntry {
    JournalEntry {
        at,
        tenant: tenant.clone(),
        application: Some(external(application_id)),
        candidacy: None,
        message: None,
        code: code.into(),
        text: format!("It was {code}."),
    }
}

/// This body, set aside.
pub(crate) fn parked(tenant: &str, id: Option<&str>, code: &str, body: &[u8]) -> Parked {
    Parked {
        at: now(),
        tenant: Some(tenant.into()),
        queue: format!("atshub.tenant.{tenant}"),
        exchange: topology::EVENTS.into(),
        routing_key: format!("{tenant}.application.moved.v1"),
        message_id: id.map(Into::into),
        kind: None,
        code: code.into(),
        field: Some("data.application.id".into()),
        detail: "is missing".into(),
        body: Bytes::copy_from_slice(body),
        cut: None,
    }
}
