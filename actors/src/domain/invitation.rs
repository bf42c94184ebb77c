//! What is asked of a platform and what it answers, as values.

use atshub_schemas::{Email, ExternalId, Line, Link};
use serde::{Deserialize, Serialize};

/// What to ask the platform for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationRequest {
    /// The person's name.
    pub name: Line,
    /// Where the self-scheduling link goes.
    pub email: Email,
    /// The platform's id of the role.
    pub role: ExternalId,
    /// Phone, if there is one; never blank.
    pub phone: Option<String>,
    /// The application's (else the person's) page in the ATS; the key by which an invitation is found again.
    pub ats_url: Option<Link>,
}

/// An invitation as the platform knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Id of the invitation or assessment, where the platform names one.
    pub id: Option<ExternalId>,
    /// Id of the candidacy: the person × role on the platform.
    pub candidacy: ExternalId,
    /// The interview's page.
    pub link: Option<Link>,
    /// The platform's own word for the interview's state, where one was asked for.
    pub state: Option<Line>,
    /// The ATS address it was made with.
    pub ats_url: Option<Link>,
}

/// A role on the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformRole {
    /// Its id.
    pub id: ExternalId,
    /// Its name.
    pub name: Line,
}
