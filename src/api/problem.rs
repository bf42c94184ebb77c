//! Errors as the doors give them: `application/problem+json` (RFC 9457) with a stable `code` and the next step.

use crate::ats::Refused;
use actix_web::{HttpResponse, http::StatusCode};
use serde_json::json;
use std::time::Duration;

/// Media type of an error.
pub(super) const CONTENT_TYPE: &str = "application/problem+json";

/// An error, ready to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: u16,
    code: &'static str,
    detail: String,
    next_step: String,
    retry_after: Option<Duration>,
}

impl Problem {
    /// With this status and code.
    pub fn new(status: u16, code: &'static str, detail: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), next_step: next_step.into(), retry_after: None }
    }

    /// A fault of our own: 503 with `Retry-After`. Several ATSs never retry after a 4xx.
    pub fn ours(code: &'static str, detail: impl Into<String>, wait: Duration) -> Self {
        let next_step = "send the same request again after the time in Retry-After";
        Self { retry_after: Some(wait), ..Self::new(503, code, detail, next_step) }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The answer.
    #[must_use]
    pub fn answer(&self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = HttpResponse::build(status);
        answer.content_type(CONTENT_TYPE);
        if let Some(wait) = self.retry_after {
            answer.insert_header(("Retry-After", wait.as_secs().max(1).to_string()));
        }
        if self.status == 401 {
            // RFC 9110 §15.5.2 wants a challenge with every 401.
            answer.insert_header(("WWW-Authenticate", "Basic realm=\"atshub\""));
        }
        let title = status.canonical_reason().unwrap_or("Error");
        answer.json(json!({
            "type": "about:blank", "title": title, "status": self.status, "code": self.code, "detail": self.detail, "next_step": self.next_step,
        }))
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let retry_after = (refused.status == 503).then_some(Duration::from_secs(60));
        Self { status: refused.status, code: refused.code, detail: refused.detail, next_step: refused.next_step, retry_after }
    }
}
