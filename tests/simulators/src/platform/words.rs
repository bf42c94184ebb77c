//! The platform's vocabularies, spelled as its published documents spell them. No rules here.

use async_graphql::Enum;

/// State of an interview.
#[derive(Debug, Enum, Copy, Clone, PartialEq, Eq)]
pub(crate) enum InterviewState {
    Scheduling,
    Scheduled,
    Interviewing,
    Processing,
    Creating,
    AwaitingQc,
    Qc,
    Hold,
    FinalCheck,
    ContentCheck,
    ReadyToShip,
    Shipping,
    Shipped,
    Cancelled,
    Rescheduled,
}

impl InterviewState {
    /// Whether another invitation of the same person and role is refused because of it.
    pub(crate) fn is_live(self) -> bool {
        matches!(self, Self::Scheduling | Self::Scheduled)
    }
}

/// Status of a candidacy.
#[derive(Debug, Enum, Copy, Clone, PartialEq, Eq)]
pub(crate) enum CandidacyStatus {
    CodeChallengePending,
    CodeChallengeReadyToReview,
    InterviewPending,
    InterviewReadyToReview,
    InvitedToPhoneScreen,
    InvitedToOnsiteInterview,
    DeclinedAtKaratCodeChallenge,
    DeclinedAtKaratInterview,
    DeclinedAtPhoneScreen,
    DeclinedAtOnsiteInterview,
    OfferOutstanding,
    OfferAccepted,
    OfferDeclined,
    Inactive,
}

impl CandidacyStatus {
    /// Whether `bulkUpdateCandidacyStatus` may set it.
    pub(crate) fn is_settable(self) -> bool {
        matches!(
            self,
            Self::InvitedToPhoneScreen
                | Self::InvitedToOnsiteInterview
                | Self::DeclinedAtPhoneScreen
                | Self::DeclinedAtOnsiteInterview
                | Self::OfferOutstanding
                | Self::OfferAccepted
                | Self::OfferDeclined
                | Self::Inactive
        )
    }
}

/// State of a code challenge. The simulator makes none; the word list is part of the schema.
#[derive(Debug, Enum, Copy, Clone, PartialEq, Eq)]
pub(crate) enum CodeChallengeState {
    Invited,
    Registered,
    InProgress,
    Submitted,
    Scoring,
    NeedsDecision,
    ToInvite,
    InviteInterview,
    SendToClient,
    Declined,
    Hold,
    Reset,
}

/// Kind of a user.
#[derive(Debug, Enum, Copy, Clone, PartialEq, Eq)]
pub(crate) enum ClientUserType {
    Admin,
    TeamMember,
    LimitedTeamMember,
    ExternalMember,
}

/// Order of candidacies.
#[derive(Debug, Enum, Copy, Clone, PartialEq, Eq)]
pub(crate) enum CandidacyOrderBy {
    IdAsc,
    IdDesc,
    CreatedAtAsc,
    CreatedAtDesc,
    UpdatedAtAsc,
    UpdatedAtDesc,
    CandidateNameAsc,
    CandidateNameDesc,
    RecruiterNameAsc,
    RecruiterNameDesc,
    RoleNameAsc,
    RoleNameDesc,
    GroupNameAsc,
    GroupNameDesc,
    LastActivityAsc,
    LastActivityDesc,
    LastInterviewAtAsc,
    LastInterviewAtDesc,
    LastStatusUpdateAsc,
    LastStatusUpdateDesc,
}

/// Order of roles.
#[derive(Debug, Enum, Copy, Clone, PartialEq, Eq)]
pub(crate) enum RoleOrderBy {
    NameAsc,
    NameDesc,
    GroupIdAsc,
    GroupIdDesc,
    ScheduledInterviewAsc,
    ScheduledInterviewDesc,
    ShippedInterviewAsc,
    ShippedInterviewDesc,
    UpdatedAtAsc,
    UpdatedAtDesc,
    LastUpdatedAsc,
    LastUpdatedDesc,
}

/// Order of users.
#[derive(Debug, Enum, Copy, Clone, PartialEq, Eq)]
pub(crate) enum UserOrderBy {
    IdAsc,
    IdDesc,
    CreatedAtAsc,
    CreatedAtDesc,
    UpdatedAtAsc,
    UpdatedAtDesc,
    LastSeenAsc,
    LastSeenDesc,
    NameAsc,
    NameDesc,
    EmailAsc,
    EmailDesc,
    ClientUserTypeAsc,
    ClientUserTypeDesc,
}
