//! Ashby's row in the registry of ATSs.

use super::{connector::Ashby, inbound::AshbyInbound};
use crate::ats::{Entry, SecretSpec, Setting};
use atshub_actors::ports::{Capabilities, Feature};
use std::sync::Arc;

/// Where the API is. Another one only for tests and simulators.
pub(super) const API_BASE: Setting =
    Setting { key: "api_base", default: "https://api.ashbyhq.com", help: "address of Ashby's API; change it only to talk to a simulator" };

/// Ashby gives no address of an application's page, and the platform finds invitations again by one: the hub makes it from
/// this, the person's id and the application's id (`/candidates/<id>/applications/<id>`). The form is ours, not Ashby's.
pub(super) const APP_BASE: Setting = Setting {
    key: "app_base",
    default: "https://app.ashbyhq.com",
    help: "address of Ashby's site, from which the hub makes the link of an application",
};

/// Signs what Ashby sends to `/hooks/<tenant>`.
pub(super) const WEBHOOK_SECRET: &str = "webhook_secret";
/// What Ashby shows at `/partner/<tenant>/…`.
pub(super) const PARTNER_KEY: &str = "partner_key";
/// What the hub shows Ashby.
pub(super) const API_KEY: &str = "api_key";

/// What Ashby can do (B21).
pub(super) static CAPABILITIES: Capabilities = Capabilities {
    invite_by_webhook: Feature::Yes("webhook `candidateStageChange`"),
    assessment_partner: Feature::Yes("partner calls `assessment.list`, `assessment.start` and `assessment.cancel`"),
    status_field: Feature::Yes("a custom field of the application, and the status of the assessment order"),
    notes: Feature::Yes("`candidate.createNote`: the note is the person's, not the application's"),
    cancel: Feature::Yes("partner call `assessment.cancel`; of webhooks, an archived application in `candidateStageChange`"),
    roles_in_step: Feature::Yes("`assessment.list` answers with the platform's roles as they are"),
    person_follow: Feature::Yes("webhooks `applicationUpdate`, `candidateHire` and `candidateMerge`"),
    recruiter_updates: Feature::Yes("every webhook of an application carries its hiring team"),
    follower_list: Feature::No("Ashby has no list of allowable followers"),
    hiring_team: Feature::Yes("`hiringTeam` of application and job"),
    profile_url_match: Feature::No("the API finds a person by id or e-mail address, not by the address of their page"),
    result_fields: Feature::No("no result is posted in this version, in whatever form"),
    read_application: Feature::Yes("`application.info`, `candidate.info` and `job.info`"),
    normal_delay_seconds: Some(30),
};

/// The row.
pub const ENTRY: Entry = Entry {
    kind: "ashby",
    name: "Ashby",
    capabilities: &CAPABILITIES,
    settings: &[API_BASE, APP_BASE],
    address: Some(&API_BASE),
    secrets: &[
        SecretSpec {
            name: API_KEY,
            required: true,
            inbound: false,
            help: "Ashby, Admin, Integrations, API Keys; permissions candidatesRead, candidatesWrite, jobsRead, hiringProcessMetadataRead, apiKeysRead",
        },
        SecretSpec {
            name: WEBHOOK_SECRET,
            required: false,
            inbound: true,
            help: "the secret typed in at Ashby, Admin, Integrations, Webhooks; needed for webhooks",
        },
        SecretSpec {
            name: PARTNER_KEY,
            required: false,
            inbound: true,
            help: "the key the customer types in at Ashby for the assessment partner; needed for partner calls",
        },
    ],
    connect: |account| Ok(Arc::new(Ashby::new(account)?)),
    inbound: Some(&AshbyInbound),
    delegates: false,
    fixtures: "src/ats/ashby/fixtures",
};
