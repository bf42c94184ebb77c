//! What a decision may use, and what follows from one. Values only.

use super::{
    Dossier, Policy,
    effect::{Effect, EffectKey},
    verdict::Verdict,
};
use jiff::Timestamp;
use uuid::Uuid;

/// What a decision may use besides the fact.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The tenant's settings.
    pub policy: &'a Policy,
    /// Now.
    pub now: Timestamp,
    /// Id for a candidacy, should one be made.
    pub fresh: Uuid,
}

/// What follows for one dossier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The dossier as it is to be saved; `None` if nothing changes.
    pub dossier: Option<Dossier>,
    /// What to send.
    pub effects: Vec<Effect>,
    /// What was asked, and is not to be done any more.
    pub taken_back: Vec<EffectKey>,
    /// What became of it.
    pub verdict: Verdict,
}
