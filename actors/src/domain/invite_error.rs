//! The errors a recruiter can be shown instead of an invitation (B5). The four sentences are the platform's own, word for
//! word (Karat's FAQ on ATS integrations); they never retry by themselves.

use atshub_schemas::{Link, Unread};
use serde::{Deserialize, Deserializer, Serialize, de::Error};

/// Why an invitation was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum InviteError {
    /// The job names no role, or one that the platform does not have.
    RoleMissing,
    /// A phone is given and has fewer than seven characters.
    PhoneTooShort,
    /// A live interview of this person and role exists.
    AlreadyActive {
        /// Where to change it.
        link: Option<Link>,
    },
    /// Recruiter and candidate have the same address.
    RecruiterIsCandidate,
    /// There is nobody to invite: no e-mail address, in the fact or in the ATS.
    EmailMissing,
    /// The request was given up: whatever the platform answered, if it did, does not say what came of it.
    NoAnswer,
    /// The platform refused with a sentence we do not know; it is kept.
    Other {
        /// The platform's own words.
        text: String,
    },
    /// One that a newer version of the hub wrote and this one does not know; it is written back unchanged.
    #[serde(untagged)]
    Unknown(UnknownError),
}

/// An error that this version does not know, with all that was written of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct UnknownError(Unread);

impl<'de> Deserialize<'de> for UnknownError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Unread::deserialize(deserializer)?;
        match written.text("code") {
            None => Err(D::Error::custom("an error has no code")),
            Some(known) if known == "other" || InviteError::class_of(known).is_some() => {
                Err(D::Error::custom("a known error is not written as it should be"))
            }
            Some(_) => Ok(Self(written)),
        }
    }
}

/// What has to be done about it, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Remedy {
    /// Who.
    pub who: &'static str,
    /// What, as a sentence.
    pub what: &'static str,
}

impl InviteError {
    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Unknown(UnknownError(written)) => written.text("code").unwrap_or("unknown"),
            Self::RoleMissing => "role_missing",
            Self::PhoneTooShort => "phone_too_short",
            Self::AlreadyActive { .. } => "already_active",
            Self::RecruiterIsCandidate => "recruiter_is_candidate",
            Self::EmailMissing => "email_missing",
            Self::NoAnswer => "no_answer",
            Self::Other { .. } => "refused_by_platform",
        }
    }

    /// `data` for errors that correcting a datum in the ATS cures, `state` for a live interview, `platform` for the rest.
    #[must_use]
    pub fn class(&self) -> &'static str {
        Self::class_of(self.code()).unwrap_or("platform")
    }

    /// The class of the error that has this code; `None` if none has.
    #[must_use]
    pub fn class_of(code: &str) -> Option<&'static str> {
        Some(match code {
            "role_missing" | "phone_too_short" | "recruiter_is_candidate" | "email_missing" => "data",
            "already_active" => "state",
            "no_answer" | "refused_by_platform" => "platform",
            _ => return None,
        })
    }

    /// The words in the ATS's status field. `platform` is the brand name, `Karat` by default.
    #[must_use]
    pub fn text(&self, platform: &str) -> String {
        match self {
            Self::RoleMissing => format!("Missing or invalid {platform} role on the job."),
            Self::PhoneTooShort => "Phone is too short (minimum is 7 characters).".into(),
            Self::AlreadyActive { link } => {
                let link = link.as_ref().map(|l| format!(" {l}")).unwrap_or_default();
                format!(
                    "Invite failed: Role already has an active interview for this candidate. Please visit this interview to make changes to it.{link}"
                )
            }
            Self::RecruiterIsCandidate => "Recruiter and candidate can't be the same.".into(),
            Self::EmailMissing => "Candidate has no e-mail address.".into(),
            Self::NoAnswer => format!(
                "Invite failed: no usable answer from {platform}. Please move the candidate out of this stage and back to try again."
            ),
            Self::Other { text } => text.clone(),
            Self::Unknown(UnknownError(written)) => {
                written.text("text").map_or_else(|| format!("Invite failed: {}.", self.code()), str::to_owned)
            }
        }
    }

    /// Who must do what.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::RoleMissing => {
                Remedy { who: "recruiter", what: "Choose a role of the platform on the job; the invite is then tried again by itself." }
            }
            Self::PhoneTooShort => Remedy {
                who: "recruiter",
                what: "Correct or remove the candidate's phone number; the invite is then tried again by itself.",
            },
            Self::AlreadyActive { .. } => Remedy {
                who: "recruiter",
                what: "Open the interview behind the link and change it there; the platform allows one live interview per candidate and role.",
            },
            Self::RecruiterIsCandidate => Remedy {
                who: "recruiter",
                what: "Correct the candidate's or the recruiter's e-mail address; the invite is then tried again by itself.",
            },
            Self::EmailMissing => {
                Remedy { who: "recruiter", what: "Give the candidate an e-mail address; the invite is then tried again by itself." }
            }
            Self::NoAnswer => Remedy {
                who: "recruiter",
                what: "Move the candidate out of the stage and back; if the platform has invited after all, the interview's link is shown then.",
            },
            Self::Unknown(_) => {
                Remedy { who: "operator", what: "Run the version of atshub that wrote this, on every machine; it says what is to be done." }
            }
            Self::Other { .. } => Remedy {
                who: "support",
                what: "Ask the platform's support what the sentence means; then move the candidate out of the stage and back.",
            },
        }
    }
}
