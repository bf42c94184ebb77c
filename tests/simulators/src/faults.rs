//! Misbehaviour to order: which operation goes wrong next, how, and how often. It never decides what an operation does,
//! only whether it does it and whether anybody is told.

use actix_web::{HttpResponse, http::StatusCode, http::header};
use serde::Deserialize;
use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long a hanging answer hangs before the connection is given up: longer than any client here waits.
const HANG: Duration = Duration::from_secs(600);

/// One way to misbehave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Waits, then acts and answers; it acts even if the caller has gone by then.
    Slow(Duration),
    /// Does nothing and answers with this HTTP status.
    Fail(u16),
    /// Does nothing and refuses the credential, as the simulated service itself does it.
    RefuseCredential,
    /// Does nothing and never answers.
    Hang,
    /// Does it and never answers.
    ActThenHang,
    /// Does it and answers with this HTTP status.
    ActThenFail(u16),
    /// Does nothing and answers 429.
    RateLimit {
        /// Seconds to put into `Retry-After`, if it is sent at all.
        retry_after: Option<u64>,
    },
    /// Does nothing and answers 200 with something that is not JSON.
    Garbage,
    /// Does nothing and answers 200 with this JSON.
    Answer(serde_json::Value),
}

#[derive(Debug)]
struct Order {
    matcher: String,
    fault: Fault,
    left: usize,
}

/// The faults that are still to come. Clones are the same list.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    orders: Arc<Mutex<Vec<Order>>>,
}

impl Faults {
    /// Makes the next `times` calls of an operation go wrong. `matcher` is the operation's name (`createInvitation`,
    /// `customField.setValue`) or `*`. Orders for the same operation are served in the order they were given.
    pub fn next(&self, matcher: &str, fault: Fault, times: usize) {
        if times > 0 {
            self.lock().push(Order { matcher: matcher.to_owned(), fault, left: times });
        }
    }

    /// How many faults are still to come.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.lock().iter().map(|order| order.left).fold(0, usize::saturating_add)
    }

    /// Behaves again.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// The fault for a call that does these operations (a GraphQL document may name several).
    pub(crate) fn take(&self, operations: &[&str]) -> Option<Fault> {
        let mut orders = self.lock();
        let at = orders.iter().position(|order| order.matcher == "*" || operations.contains(&order.matcher.as_str()))?;
        let fault = orders[at].fault.clone();
        orders[at].left -= 1;
        if orders[at].left == 0 {
            orders.remove(at);
        }
        Some(fault)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Order>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers a call as the fault says; `act` is what the call does when it is done at all, `refusal` how the service refuses a credential.
pub(crate) async fn answer<A>(fault: Option<Fault>, refusal: impl FnOnce() -> HttpResponse, act: A) -> HttpResponse
where
    A: Future<Output = HttpResponse> + 'static,
{
    match fault {
        None => act.await,
        Some(Fault::Slow(delay)) => {
            // Its own task: a caller that stops waiting does not stop a real server from acting.
            let acting = actix_web::rt::spawn(async move {
                tokio::time::sleep(delay).await;
                act.await
            });
            acting.await.unwrap_or_else(|_| HttpResponse::InternalServerError().finish())
        }
        Some(Fault::Fail(status)) => failed(status),
        Some(Fault::RefuseCredential) => refusal(),
        Some(Fault::Hang) => hang().await,
        Some(Fault::ActThenHang) => {
            act.await;
            hang().await
        }
        Some(Fault::ActThenFail(status)) => {
            act.await;
            failed(status)
        }
        Some(Fault::RateLimit { retry_after }) => {
            let mut answer = HttpResponse::TooManyRequests();
            if let Some(seconds) = retry_after {
                answer.insert_header((header::RETRY_AFTER, seconds.to_string()));
            }
            answer.body("slow down")
        }
        Some(Fault::Garbage) => HttpResponse::Ok().content_type("text/html").body("<html><body>We'll be right back</body></html>"),
        Some(Fault::Answer(body)) => HttpResponse::Ok().json(body),
    }
}

fn failed(status: u16) -> HttpResponse {
    HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)).body("simulated failure")
}

async fn hang() -> HttpResponse {
    tokio::time::sleep(HANG).await;
    HttpResponse::GatewayTimeout().finish()
}

/// The body of `POST /faults`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultOrder {
    operation: String,
    fault: String,
    #[serde(default = "once")]
    times: usize,
    /// For `fail` and `act_then_fail`.
    status: Option<u16>,
    /// For `slow`.
    millis: Option<u64>,
    /// For `rate_limit`, in seconds.
    retry_after: Option<u64>,
}

fn once() -> usize {
    1
}

impl FaultOrder {
    pub(crate) fn place(self, faults: &Faults) -> Result<(), String> {
        const USUAL_STATUS: u16 = 503;
        let fault = match self.fault.as_str() {
            "slow" => Fault::Slow(Duration::from_millis(self.millis.ok_or("`slow` needs `millis`")?)),
            "fail" => Fault::Fail(self.status.unwrap_or(USUAL_STATUS)),
            "refuse_credential" => Fault::RefuseCredential,
            "hang" => Fault::Hang,
            "act_then_hang" => Fault::ActThenHang,
            "act_then_fail" => Fault::ActThenFail(self.status.unwrap_or(USUAL_STATUS)),
            "rate_limit" => Fault::RateLimit { retry_after: self.retry_after },
            "garbage" => Fault::Garbage,
            other => {
                return Err(format!(
                    "no fault `{other}`: one of slow, fail, refuse_credential, hang, act_then_hang, act_then_fail, rate_limit, garbage"
                ));
            }
        };
        faults.next(&self.operation, fault, self.times);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_strike_the_named_operation_as_often_as_ordered_and_in_order() {
        let faults = Faults::default();
        faults.next("roles", Fault::Fail(500), 2);
        faults.next("*", Fault::Hang, 1);
        assert_eq!(faults.take(&["createInvitation"]), Some(Fault::Hang));
        assert_eq!(faults.take(&["createInvitation"]), None);
        assert_eq!(faults.take(&["me", "roles"]), Some(Fault::Fail(500)));
        assert_eq!(faults.pending(), 1);
        faults.clear();
        assert_eq!(faults.take(&["roles"]), None);
    }

    #[test]
    fn an_order_from_outside_that_makes_no_sense_is_refused_with_what_would() {
        let order: FaultOrder = serde_json::from_str(r#"{"operation":"*","fault":"explode"}"#).unwrap();
        assert!(order.place(&Faults::default()).unwrap_err().contains("act_then_hang"));
    }
}
