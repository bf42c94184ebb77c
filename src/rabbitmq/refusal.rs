//! What the broker's errors mean to the port: a refusal (with its words and what to do) or an absence. Nothing here retries.

use atshub_actors::ports::BrokerError;
use lapin::{Error, ErrorKind};

const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const RESOURCE_LOCKED: u16 = 405;
const PRECONDITION_FAILED: u16 = 406;
const NOT_ALLOWED: u16 = 530;

/// The reply code, if the broker gave one.
fn code(error: &Error) -> Option<u16> {
    match error.kind() {
        ErrorKind::ProtocolError(refusal) => Some(refusal.get_id()),
        _ => None,
    }
}

/// The broker's own words where it has some, without lapin's preface.
pub(super) fn words(error: &Error) -> String {
    match error.kind() {
        ErrorKind::ProtocolError(refusal) => refusal.get_message().to_string(),
        _ => error.to_string(),
    }
}

/// True if the queue or exchange is not there.
pub(super) fn is_missing(error: &Error) -> bool {
    code(error) == Some(NOT_FOUND)
}

/// Sorts an error that came of `what` (a phrase such as "declare queue `x`").
pub(super) fn of(error: &Error, what: &str) -> BrokerError {
    let said = words(error);
    match code(error) {
        Some(PRECONDITION_FAILED) => BrokerError::Refused(format!(
            "{what}: {said}; it exists with other arguments: drain and delete it, or set `broker.queue_type` to what it is"
        )),
        Some(ACCESS_REFUSED) => BrokerError::Refused(format!(
            "{what}: {said}; check user and password, and grant configure, write and read on `^atshub\\.` (rabbitmqctl set_permissions)"
        )),
        Some(NOT_ALLOWED) => {
            BrokerError::Refused(format!("{what}: {said}; check that the virtual host exists and that the user may enter it"))
        }
        Some(NOT_FOUND) => BrokerError::Refused(format!("{what}: {said}; declare it first")),
        Some(RESOURCE_LOCKED) => BrokerError::Refused(format!("{what}: {said}; another connection holds it exclusively")),
        _ => BrokerError::Away(format!("{what}: {}", crate::tls::explained(&said))),
    }
}
