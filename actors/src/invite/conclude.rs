//! What came of a request, committed: on the dossier that is in hand, or on the newest one if that is not the newest.

use super::{
    asking::{Answer, Asking},
    work::{PAUSE, RACES, change_of, ignore, is_open, is_wanted},
};
use crate::{
    domain::{Decision, Dossier, Heard, InviteError, Subject, invited, refused, still_open, taken_back},
    failure::Failure,
    ports::{Change, CommitOutcome, Conflict, Invitation, Progress},
};

impl Asking<'_> {
    /// Commits what came of it, and with it that the message is handled. `in_hand`: the dossier as it was last saved, as far as is known.
    /// It holds on for as long as others are faster, with growing pauses: what the platform has done is not to be lost.
    pub(super) async fn conclude(&self, mut in_hand: Option<Dossier>, answer: &Answer) -> Result<(), Failure> {
        let (mut race, mut heard) = (0, None);
        loop {
            // What the platform said of the interview before its invitation is stored counts. Mostly it has said nothing, and the store
            // is not asked for it beforehand.
            let looks = race > 0 || in_hand.is_none();
            if let (true, Answer::Invited(invitation)) = (looks, answer) {
                heard = self.heard_of(invitation).await?;
            }
            let dossier = match in_hand.take() {
                Some(dossier) => dossier,
                None => match self.read().await? {
                    Some((dossier, _)) => dossier,
                    None => break,
                },
            };
            let unheard = match answer {
                Answer::Invited(invitation) if !looks => vec![(dossier.tenant.clone(), Subject::Interview(invitation.candidacy.clone()))],
                _ => vec![],
            };
            let mut decision = self.decide(&dossier, answer, heard.as_ref());
            loop {
                let (change, saved) = change_of(self.desk, self.envelope, &dossier, &decision, self.connector);
                let (handled, entry) = self.desk.handled(self.envelope, &decision.verdict, self.about(Some(saved)));
                let change = Change { handled, journal: vec![entry], unheard: unheard.clone(), ..change };
                match self.desk.commit(change).await? {
                    CommitOutcome::Committed | CommitOutcome::Duplicate => return Ok(()),
                    CommitOutcome::Conflict(Conflict::Taken { key, holder }) => {
                        // Two of one person and role have come about; what this one is stays true without the key.
                        if !decision.dossier.as_mut().is_some_and(|d| d.yield_key(&key, &holder)) {
                            break;
                        }
                    }
                    CommitOutcome::Conflict(_) => break,
                }
            }
            tokio::time::sleep(PAUSE * 2u32.pow(race)).await;
            race = (race + 1).min(RACES);
        }
        ignore(self.desk, self.envelope, "unknown_candidacy", "the candidacy is gone", None).await;
        Ok(())
    }

    fn decide(&self, dossier: &Dossier, answer: &Answer, heard: Option<&Heard>) -> Decision {
        let (id, context) = (self.wanted.candidacy, self.context());
        match answer {
            Answer::Invited(invitation) => invited(dossier, id, invitation, heard, context),
            Answer::Refused(error) => refused(dossier, id, error.clone(), context),
            Answer::StillOpen(found) => still_open(dossier, id, found, context),
            Answer::TakenBack(why) => taken_back(dossier, id, why, context),
        }
    }

    /// What the platform said of the interview before its invitation is stored.
    async fn heard_of(&self, invitation: &Invitation) -> Result<Option<Heard>, Failure> {
        let subject = Subject::Interview(invitation.candidacy.clone());
        let ask = || self.desk.store.heard(&self.envelope.tenant, vec![subject.clone()]);
        Ok(self.desk.patiently("read what was heard", ask).await?.into_iter().next())
    }

    /// Parks the request, and tells the recruiter that nobody is asked any more: another move into the stage asks anew, after a look
    /// whether the platform has invited all the same.
    pub(super) async fn give_up(&self, queue: &str, failure: &Failure, progress: Progress) {
        for race in 0..RACES {
            let Ok(Some((dossier, candidacy))) = self.read().await else { break };
            // An interview that was asked for again stands as it stood: nothing is known of it but that.
            if !is_wanted(self.wanted, &candidacy) || is_open(&candidacy) {
                return self.desk.settle(self.envelope, queue, failure, progress, self.about(Some(&dossier))).await;
            }
            let decision = refused(&dossier, candidacy.id, InviteError::NoAnswer, self.context());
            let (change, saved) = change_of(self.desk, self.envelope, &dossier, &decision, self.connector);
            let outcome = self.desk.settle_with(change, self.envelope, queue, failure, progress, self.about(Some(saved))).await;
            match outcome {
                Ok(CommitOutcome::Committed | CommitOutcome::Duplicate) => return,
                Ok(CommitOutcome::Conflict(_)) => {}
                // The dossier cannot be saved; that it was given up is to be known all the same.
                Err(_) => break,
            }
            tokio::time::sleep(PAUSE * 2u32.pow(race)).await;
        }
        self.desk.settle(self.envelope, queue, failure, progress, self.about(None)).await;
    }
}
