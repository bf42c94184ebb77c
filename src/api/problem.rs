//! Errors as the doors say them: `application/problem+json` (RFC 9457) with a stable code and what to do next.

use crate::ats::Refused;
use actix_web::{
    HttpRequest, HttpResponse, Responder, ResponseError,
    body::{BodySize, BoxBody, MessageBody},
    http::StatusCode,
    web::{Bytes, Payload},
};
use serde_json::json;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

/// Wait before a request is sent again that failed by a fault of ours.
pub(super) const SOON: Duration = Duration::from_secs(5);

/// An error, said to whoever sent the request. Never holds what they sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    status: u16,
    code: &'static str,
    detail: String,
    next_step: Option<String>,
    retry_after: Option<Duration>,
    hang_up: bool,
}

impl Problem {
    pub(super) fn new(status: u16, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), next_step: None, retry_after: None, hang_up: matches!(status, 401 | 408 | 413) }
    }

    /// A fault of ours: the sender is to try again. Several ATSs never do after a 4xx.
    pub(super) fn ours(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(503, code, detail).again(SOON).next("send it again after the time in Retry-After")
    }

    pub(super) fn next(mut self, step: impl Into<String>) -> Self {
        self.next_step = Some(step.into());
        self
    }

    pub(super) fn again(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// What is left of the request is not read: the connection cannot be used again.
    pub(super) fn hang_up(mut self) -> Self {
        self.hang_up = true;
        self
    }

    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// The answer to a request, of which this is what has not been read. Where that is not waited for, it lives as long as the answer is
    /// being sent: the server ends the connection only then; it would read what is sent in chunks to its end, whenever that comes.
    pub(super) fn over(self, rest: Payload) -> Result<HttpResponse, Self> {
        if !self.hang_up {
            return Err(self);
        }
        Ok(self.answer().map_body(|_, body| BoxBody::new(Unread { body, _rest: rest })))
    }

    fn answer(&self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = HttpResponse::build(status);
        if let Some(after) = self.retry_after {
            answer.insert_header(("Retry-After", after.as_secs().to_string()));
        }
        if self.hang_up {
            answer.force_close();
        }
        if self.status == 401 {
            answer.insert_header(("WWW-Authenticate", "Signature"));
        }
        let body = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "next_step": self.next_step,
        });
        answer.content_type("application/problem+json").body(body.to_string())
    }
}

/// An answer, and what has not been read of the request.
struct Unread {
    body: BoxBody,
    _rest: Payload,
}

impl MessageBody for Unread {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(cx)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let problem = Self::new(refused.status, refused.code, refused.detail).next(refused.next_step);
        if refused.status >= 500 { problem.again(SOON) } else { problem }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        self.answer()
    }
}

impl Responder for Problem {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.answer()
    }
}
