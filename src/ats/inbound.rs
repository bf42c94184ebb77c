//! What an ATS's calls to the hub are: which door, who sent it, what it means. Who sent a request is found out first and by itself; what
//! a request means is asked only of one that is [`Known`], which nothing else can make. No HTTP server and no limits here: see `src/api`.

use super::Account;
use atshub_actors::ports::PlatformRole;
use atshub_schemas::{Envelope, ExternalId};
use jiff::Timestamp;

/// The door that a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call<'a> {
    /// `POST /hooks/{tenant}`.
    Hook,
    /// `POST /partner/{tenant}/{path}`, with this path.
    Partner(&'a str),
}

/// The head of a request: nothing of it is trusted.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a>(
    /// Header names in lower case, and values; a name may occur more than once.
    pub &'a [(String, String)],
);

impl<'a> Head<'a> {
    /// The first header of this name (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// What the head of a request says of its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The head holds a key, and the key is right.
    Proven,
    /// The head holds a signature over the body: [`Inbound::signed`] checks it when the body is here.
    Signed,
}

/// A request whose sender has been found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Known {
    /// Finds out who sent a whole request.
    ///
    /// # Errors
    /// [`Refused`], with the status the sender is to hear.
    pub fn authenticate(
        inbound: &dyn Inbound,
        account: &Account,
        call: Call<'_>,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
        now: Timestamp,
    ) -> Result<Self, Refused> {
        match inbound.claim(account, call, Head(&headers), now)? {
            Claim::Proven => {}
            Claim::Signed => inbound.signed(account, call, Head(&headers), &body, now)?,
        }
        Ok(Self { headers, body })
    }

    /// The first header of this name (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        Head(&self.headers).header(name)
    }

    /// The body, byte for byte as it came.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

/// What a webhook means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// These facts; to be durable before the ATS hears 2xx.
    Facts(Vec<Envelope>),
    /// Understood, and nothing follows from it; the words say why (a ping, an event that the hub does not use).
    Nothing(String),
}

/// Why a request was not taken, as the door answers it (`application/problem+json`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// HTTP status. 401 only where the sender is really unauthorised: several ATSs never retry after it.
    pub status: u16,
    /// Stable code.
    pub code: &'static str,
    /// What was wrong.
    pub detail: String,
    /// What to do next.
    pub next_step: String,
}

/// A partner call, answered.
#[derive(Debug, Clone, PartialEq)]
pub struct PartnerAnswer {
    /// HTTP status.
    pub status: u16,
    /// JSON body.
    pub body: serde_json::Value,
    /// Facts to make durable before answering.
    pub facts: Vec<Envelope>,
}

/// What a partner call may need to know of the hub.
#[derive(Debug, Clone, Copy)]
pub struct PartnerContext<'a> {
    /// The platform's roles.
    pub roles: &'a [PlatformRole],
    /// What is known of the application named by [`Inbound::partner_application`].
    pub application: &'a Ordered,
}

/// What is known of an application for which an assessment is ordered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ordered {
    /// It has a live candidacy.
    pub live: bool,
    /// The order that was last heard of.
    pub order: Option<ExternalId>,
    /// How many askings of it have ended.
    pub ended: u32,
}

/// How an ATS calls us. [`Inbound::claim`] and [`Inbound::signed`] find out who sent a request, and do nothing else: until they have, the
/// hub asks neither store nor platform, and a request without signature or key is refused before its body is read.
pub trait Inbound: Sync {
    /// What the head of a request says of its sender. Compares in constant time.
    ///
    /// # Errors
    /// [`Refused`]: 401 where signature or key is missing, has not the form that the ATS gives it, or is a wrong key; 503 where the
    /// tenant has no secret to compare with, which is our fault.
    fn claim(&self, account: &Account, call: Call<'_>, head: Head<'_>, now: Timestamp) -> Result<Claim, Refused>;

    /// Whether the signature in the head is that of this body. Asked where the claim is [`Claim::Signed`].
    ///
    /// # Errors
    /// [`Refused`]: 401 if it is not.
    fn signed(&self, account: &Account, call: Call<'_>, head: Head<'_>, body: &[u8], now: Timestamp) -> Result<(), Refused>;

    /// Says what a webhook means. Message ids are made from the ATS's own delivery id, so that a webhook that comes twice gives the
    /// same ids.
    ///
    /// # Errors
    /// [`Refused`], with the status the ATS is to hear.
    fn hook(&self, account: &Account, request: &Known, now: Timestamp) -> Result<Heard, Refused>;

    /// Whether `/partner/{tenant}/{path}` exists here and needs the platform's roles. `None`: no such path.
    fn partner_needs_roles(&self, path: &str) -> Option<bool>;

    /// The application a partner call is about, so that the door can say whether it has a live candidacy.
    fn partner_application(&self, path: &str, request: &Known) -> Option<ExternalId>;

    /// Answers a partner call.
    ///
    /// # Errors
    /// [`Refused`], with the status the ATS is to hear.
    fn partner(
        &self,
        account: &Account,
        path: &str,
        request: &Known,
        context: PartnerContext<'_>,
        now: Timestamp,
    ) -> Result<PartnerAnswer, Refused>;
}
