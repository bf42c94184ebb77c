//! The one table of message types. A new message is one row here, one struct beside its kin, and one sample.

use crate::{Refusal, RefusalCode, command, control, fact, internal, lifecycle, shape};
use schemars::{JsonSchema, Schema, generate::SchemaSettings, transform::RecursiveTransform};
use serde_json::Value;
use std::{collections::HashMap, sync::LazyLock};

/// Who may publish a type, and where it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Published by producers on `atshub.events`.
    Fact,
    /// Published by the hub on `atshub.commands`, performed by a tenant's bridge.
    Command,
    /// A bridge's answer to a command, on `atshub.events`.
    Answer,
    /// The hub's own, on `atshub.work`.
    Internal,
    /// The hub's own, on `atshub.lifecycle`.
    Lifecycle,
    /// What operators ask of every hub process, on `atshub.control`.
    Control,
}

impl Family {
    /// The exchange that messages of this family are published to.
    #[must_use]
    pub fn exchange(self) -> &'static str {
        match self {
            Self::Fact | Self::Answer => crate::topology::EVENTS,
            Self::Command => crate::topology::COMMANDS,
            Self::Internal => crate::topology::WORK,
            Self::Lifecycle => crate::topology::LIFECYCLE,
            Self::Control => crate::topology::CONTROL,
        }
    }
}

/// A row of the table.
#[derive(Clone, Copy)]
pub struct Entry {
    /// The CloudEvents `type`, version included: `application.moved.v1`.
    pub kind: &'static str,
    /// Who publishes it, and where.
    pub family: Family,
    /// Name of the Rust type of `data`.
    pub rust_type: &'static str,
    /// First sentence of its documentation.
    pub summary: &'static str,
    /// What follows from it in this version; begins with "Nothing yet" where nothing does.
    pub follows: &'static str,
    schema: fn() -> Schema,
}

impl Entry {
    /// JSON Schema 2020-12 of `data`.
    #[must_use]
    pub fn data_schema(&self) -> Schema {
        (self.schema)()
    }

    /// [`Entry::data_schema`], made once: every message is checked against it.
    pub(crate) fn checked_schema(&self) -> &'static Value {
        static MADE: LazyLock<HashMap<&'static str, Value>> =
            LazyLock::new(|| CATALOG.iter().map(|entry| (entry.kind, entry.data_schema().to_value())).collect());
        MADE.get(self.kind).unwrap_or(&Value::Null)
    }

    /// The major version at the end of the type.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.kind.rsplit_once(".v").and_then(|(_, v)| v.parse().ok()).unwrap_or(1)
    }
}

/// The schema of a type, with what its derived form leaves to the reader's good will: how a time and a UUID are
/// written, and how large a number may be.
fn schema_of<T: JsonSchema>() -> Schema {
    let tighten = RecursiveTransform(|schema: &mut Schema| {
        let format = schema.get("format").and_then(Value::as_str).map(str::to_owned);
        let (keyword, limit) = match format.as_deref() {
            Some("date-time") => ("pattern", Value::from(shape::TIME_PATTERN)),
            Some("uuid") => ("pattern", Value::from(shape::UUID_PATTERN)),
            Some("uint32") => ("maximum", Value::from(u32::MAX)),
            Some("uint64") => ("maximum", Value::from(shape::MAX_NUMBER)),
            _ => return,
        };
        if keyword == "maximum" {
            // Not a format that JSON Schema has: the bounds say it.
            schema.remove("format");
        }
        schema.insert(keyword.into(), limit);
    });
    SchemaSettings::draft2020_12().with_transform(tighten).into_generator().into_root_schema_for::<T>()
}

macro_rules! catalog {
    ($($variant:ident = $kind:literal, $family:ident, $data:ty, $summary:literal, $follows:literal;)*) => {
        /// What an envelope carries: one variant per type of the catalog.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Message {
            $(#[doc = $summary] $variant($data),)*
        }

        /// Every message type, in the order of the documentation.
        pub const CATALOG: &[Entry] = &[
            $(Entry { kind: $kind, family: Family::$family, rust_type: stringify!($data), summary: $summary, follows: $follows, schema: schema_of::<$data> },)*
        ];

        impl Message {
            /// The CloudEvents `type`.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self { $(Self::$variant(_) => $kind,)* }
            }

            /// The row of the catalog.
            #[must_use]
            pub fn family(&self) -> Family {
                match self { $(Self::$variant(_) => Family::$family,)* }
            }

            /// Reads `data`; `None` for a type that is not in the catalog.
            pub(crate) fn decode(kind: &str, data: &Value) -> Option<Result<Self, Refusal>> {
                let checked = shape::check(entry(kind)?.checked_schema(), data, "data");
                if let Err(wrong) = checked {
                    return Some(Err(Refusal::at(wrong.code, wrong.path, wrong.detail)));
                }
                match kind {
                    $($kind => Some(serde_path_to_error::deserialize(data).map(Self::$variant).map_err(|e| beyond_schema(&e))),)*
                    _ => None,
                }
            }

            pub(crate) fn data(&self) -> Result<Value, serde_json::Error> {
                match self { $(Self::$variant(data) => serde_json::to_value(data),)* }
            }
        }
    };
}

catalog! {
    ApplicationMoved = "application.moved.v1", Fact, fact::ApplicationChange, "An application entered a stage.",
        "Into a stage that invites: the candidate is invited, or the status says why not. Any other stage is recorded.";
    ApplicationArchived = "application.archived.v1", Fact, fact::ApplicationChange, "An application was archived or rejected.",
        "What was asked for and is not done yet is taken back; of an open interview a note says where it can be cancelled.";
    ApplicationHired = "application.hired.v1", Fact, fact::ApplicationChange, "An application ended in a hire.",
        "As for an archived one.";
    ApplicationTransferred = "application.transferred.v1", Fact, fact::ApplicationTransfer, "An application went to another job or opportunity.",
        "As a move of the application it is now; what was asked for under the one it was is taken back.";
    ApplicationDeleted = "application.deleted.v1", Fact, fact::ApplicationChange, "An application was deleted.",
        "As for an archived one.";
    CandidateUpdated = "candidate.updated.v1", Fact, fact::CandidateUpdate, "A person's data changed.",
        "Corrected data are taken over, and a refused invite that they cure is tried again.";
    CandidateMerged = "candidate.merged.v1", Fact, fact::CandidateMerge, "Two records of one person became one.",
        "The applications of the record that is gone are the other's from then on.";
    JobUpdated = "job.updated.v1", Fact, fact::JobUpdate, "A job changed: its role, recruiter or followers.",
        "A role or recruiter is taken over, and a refused invite that it cures is tried again. Followers are kept; nobody is told of anything yet.";
    AssessmentOrdered = "assessment.ordered.v1", Fact, fact::AssessmentOrder, "An assessment was ordered for an application.",
        "The candidate is invited, as by a move into a stage that invites.";
    AssessmentCancelled = "assessment.cancelled.v1", Fact, fact::AssessmentEnd, "An assessment order was cancelled in the ATS.",
        "What was asked for and is not done yet is taken back; of an open interview a note says where it can be cancelled.";
    AssessmentDeleted = "assessment.deleted.v1", Fact, fact::AssessmentEnd, "An assessment order was deleted in the ATS.",
        "As for a cancelled one.";
    ScheduleRequested = "schedule.requested.v1", Fact, fact::ScheduleRequest, "Somebody asked for the interview to be at a given time.",
        "A note says that this is done on the platform, and where.";
    RedoRequested = "redo.requested.v1", Fact, fact::RedoRequest, "Somebody asked for a redo of an interview.",
        "A note says that the platform offers it to the candidate.";
    InterviewChanged = "interview.changed.v1", Fact, fact::InterviewChange, "An interview changed on the platform.",
        "The status follows. The hub does not watch the platform itself yet: only what somebody publishes is known.";
    RoleChanged = "role.changed.v1", Fact, fact::RoleChange, "A role was added, renamed or archived on the platform.",
        "Invites that were refused for want of this role are tried again.";
    CommandDone = "command.done.v1", Answer, command::CommandDone, "The bridge did what a command asked.",
        "The status or note is known to be written.";
    CommandFailed = "command.failed.v1", Answer, command::CommandFailed, "The bridge could not do what a command asked.",
        "The command is sent again, if it may work later; else it is parked, and the reason is in the history.";
    StatusSet = "status.set.v1", Command, command::StatusSet, "Set the status that recruiters look at.",
        "The bridge sets the status.";
    NoteAdded = "note.added.v1", Command, command::NoteAdded, "Add a note to the activity feed, once.",
        "The bridge adds the note.";
    RolesSynced = "roles.synced.v1", Command, command::RolesSynced, "Make the ATS's list of roles equal to this.",
        "Nothing yet: the hub does not send it.";
    FollowersSynced = "followers.synced.v1", Command, command::FollowersSynced, "Make the ATS's list of allowable followers equal to this.",
        "Nothing yet: the hub does not send it.";
    InviteRequested = "invite.requested.v1", Internal, internal::InviteRequested, "Ask the platform to invite.",
        "The platform is asked.";
    WritebackRequested = "writeback.requested.v1", Internal, internal::WritebackRequested, "Write something back into the ATS.",
        "The status or note is written, by the connector or by a command.";
    NoticeRequested = "notice.requested.v1", Internal, internal::NoticeRequested, "Tell somebody something.",
        "Nothing yet: the hub does not send it.";
    ResultReady = "result.ready.v1", Internal, internal::ResultReady, "The platform has a result for a candidacy.",
        "Nothing yet: the hub does not send it.";
    PhaseChanged = "tenant.phase_changed.v1", Lifecycle, lifecycle::PhaseChange, "A tenant's actor changed phase.",
        "For who listens; the hub does nothing on it.";
    MessageParked = "message.parked.v1", Lifecycle, lifecycle::MessageParked, "A message was parked.",
        "For who listens; the hub does nothing on it.";
    ControlRequested = "control.requested.v1", Control, control::ControlRequest, "Somebody asks something of a tenant's actor.",
        "The process that runs the tenant does it.";
    DrillRequested = "drill.requested.v1", Control, control::DrillRequest, "A fault is to be made on purpose.",
        "The process makes the fault, where drills are allowed.";
    TimerDue = "timer.due.v1", Internal, internal::TimerDue, "Something was to be looked at by now.",
        "A command that no bridge has answered is sent again, or parked.";
}

/// A value that fits its schema and is refused all the same. The property tests look for one and find none; were there
/// one, it would be refused with its field, not lost.
fn beyond_schema(error: &serde_path_to_error::Error<serde_json::Error>) -> Refusal {
    let path = error.path().to_string();
    let field = if path == "." { "data".to_owned() } else { format!("data.{path}") };
    Refusal::at(RefusalCode::InvalidField, field, "is not of the form that `atshub schema show` prints for this type")
}

/// The row of a type, if there is one.
#[must_use]
pub fn entry(kind: &str) -> Option<&'static Entry> {
    CATALOG.iter().find(|entry| entry.kind == kind)
}
