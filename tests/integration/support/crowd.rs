//! Candidates of one simulated Ashby account who are all to be invited, each once.

#![cfg(test)]

use super::hub::{happens, values};
use atshub::demo::world::{ROLES, TRIGGER, World};
use atshub_simulators::{
    Effect, Ledger,
    ashby::{AshbySimulator, NewCandidate},
};
use std::collections::BTreeSet;

/// Those who have entered the stage that invites.
pub(crate) struct Crowd<'a> {
    ats: &'a AshbySimulator,
    platform: Ledger,
    tenant: String,
    job: String,
    /// Application and address of each.
    pub(crate) all: Vec<(String, String)>,
}

impl<'a> Crowd<'a> {
    /// Nobody yet, at the account of this number.
    pub(crate) async fn of(world: &'a World, account: usize) -> Self {
        let (tenant, ats) = &world.ashby[account];
        let job = ats.add_job("Backend engineer", Some(ROLES[0].0), "rae@acme.example").await;
        Self { ats, platform: world.platform.ledger(), tenant: tenant.to_string(), job, all: Vec::new() }
    }

    /// So many more apply and are moved to the stage.
    pub(crate) async fn enter(&mut self, count: usize) {
        for _ in 0..count {
            let number = self.all.len();
            let email = format!("c{number}@{}.example", self.tenant);
            let new = NewCandidate {
                name: format!("Candidate {number}"),
                email: email.clone(),
                job: self.job.clone(),
                ..NewCandidate::default()
            };
            let application = self.ats.add_candidate(new).await.unwrap();
            self.ats.move_stage(&application, TRIGGER).await.unwrap();
            self.all.push((application, email));
        }
    }

    /// Waits until every webhook was answered 2xx, at the first attempt.
    pub(crate) async fn is_taken(&self) {
        self.ats.wait_until_idle().await;
        let told = self.ats.deliveries();
        assert_eq!((told.lost(), told.attempts), (0, told.delivered), "{told:?}");
    }

    /// Waits until so many of them have an invitation.
    pub(crate) async fn invitations(&self, least: usize) {
        happens(&self.platform, &format!("{least} invitations"), |effects| self.invited(effects).len() >= least).await;
    }

    /// Waits until the ATS shows of every one that they are invited.
    pub(crate) async fn is_shown_as_invited(&self) {
        self.invitations(self.all.len()).await;
        let shown = |effects: &[Effect]| {
            let last = |application: &str| {
                effects.iter().rev().find(|e| e.kind == "status" && e.subject == application).and_then(|e| e.value.as_str())
            };
            self.all.iter().all(|(application, _)| last(application) == Some("Invited"))
        };
        happens(&self.ats.ledger(), "that all are shown as invited", shown).await;
    }

    fn invited(&self, effects: &[Effect]) -> BTreeSet<String> {
        let ours = |email: &str| self.all.iter().any(|(_, own)| own == email);
        effects.iter().filter(|e| e.kind == "invitation" && ours(&e.subject)).map(|e| e.subject.clone()).collect()
    }

    /// What is not as it should be: not invited once, or a status that was made worse.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (application, email) in &self.all {
            let invitations = self.platform.effects().iter().filter(|e| e.kind == "invitation" && e.subject == *email).count();
            let statuses = values(&self.ats.ledger(), "status", application);
            let failed = statuses.iter().any(|status| status.starts_with("Invite failed"));
            if invitations != 1 || failed || statuses.last().map(String::as_str) != Some("Invited") {
                wrong.push(format!("{email}: {invitations} invitations, {statuses:?}"));
            }
        }
        wrong
    }
}
