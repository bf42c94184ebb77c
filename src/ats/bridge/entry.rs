//! The bridge's row in the registry of ATSs.

use super::connector::Bridge;
use crate::ats::Entry;
use atshub_actors::ports::{Capabilities, Feature};
use std::sync::Arc;

/// What a bridge can do (B21): what the contract has messages for.
pub(super) static CAPABILITIES: Capabilities = Capabilities {
    invite_by_webhook: Feature::No("the bridge publishes `application.moved.v1` instead"),
    assessment_partner: Feature::No("the bridge publishes `assessment.ordered.v1` instead"),
    status_field: Feature::Yes("command `status.set.v1` to the bridge"),
    notes: Feature::Yes("command `note.added.v1` to the bridge"),
    cancel: Feature::Yes("the bridge publishes `assessment.cancelled.v1`, `assessment.deleted.v1` or `application.archived.v1`"),
    roles_in_step: Feature::No("the hub sends a bridge no list of roles; the ATS's own list is kept by hand"),
    person_follow: Feature::Yes("the bridge publishes `candidate.updated.v1`, `candidate.merged.v1` and `application.transferred.v1`"),
    recruiter_updates: Feature::Yes("`recruiter` in any fact of the bridge, for example `candidate.updated.v1` or `job.updated.v1`"),
    follower_list: Feature::No("the hub sends a bridge no list of followers; the ATS's own list is kept by hand"),
    hiring_team: Feature::Yes("`recruiter`, `grader` and `job.followers` of the bridge's facts"),
    profile_url_match: Feature::No("the hub cannot ask a bridge; facts have to carry the link"),
    result_fields: Feature::No("no result is posted in this version, in whatever form"),
    read_application: Feature::No("the hub cannot ask a bridge; facts have to be whole"),
    normal_delay_seconds: None,
};

/// The row.
pub const ENTRY: Entry = Entry {
    kind: "bridge",
    name: "Bridge (your own program on RabbitMQ)",
    capabilities: &CAPABILITIES,
    settings: &[],
    address: None,
    secrets: &[],
    connect: |account| Ok(Arc::new(Bridge::new(&account)?)),
    inbound: None,
    delegates: true,
    fixtures: "src/ats/bridge/fixtures",
};
