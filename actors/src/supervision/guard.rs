//! The guard around one piece of work: every step of it runs where a panic is caught and tied to its message, where the thread's
//! pulse says for whom it works, and only while the delivery has not been taken back.

use super::{lifeline::Bench, token::Token};
use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

/// How a piece of work ended.
pub(super) enum Ended {
    /// Done and durable.
    Done(Token),
    /// It panicked, with these words.
    Panicked(Token, String),
    /// The delivery was taken back: the work was dropped where it stood.
    TakenBack,
}

/// A piece of work inside its guard.
pub(super) struct Guard {
    work: Pin<Box<dyn Future<Output = ()>>>,
    token: Option<Token>,
    bench: Bench,
}

impl Guard {
    /// Around work that has begun.
    pub(super) fn new(token: Token, bench: Bench, work: impl Future<Output = ()> + 'static) -> Self {
        Self { work: Box::pin(work), token: Some(token), bench }
    }
}

impl Future for Guard {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended> {
        let this = &mut *self;
        let Some(token) = this.token.take() else { return Poll::Ready(Ended::TakenBack) };
        token.listen(context.waker());
        if !token.enter() {
            return Poll::Ready(Ended::TakenBack);
        }
        let Bench { pulse, number, stage } = &this.bench;
        let step = || {
            pulse.during(*number, || {
                token.flights().during(|| {
                    stage.perform();
                    this.work.as_mut().poll(context)
                })
            })
        };
        let polled = catch_unwind(AssertUnwindSafe(step));
        let mine = token.leave();
        match polled {
            _ if !mine => Poll::Ready(Ended::TakenBack),
            Ok(Poll::Pending) => {
                this.token = Some(token);
                Poll::Pending
            }
            Ok(Poll::Ready(())) => Poll::Ready(Ended::Done(token)),
            Err(payload) => {
                let cause = words(payload.as_ref());
                Poll::Ready(Ended::Panicked(token, cause))
            }
        }
    }
}

/// The words of a panic.
fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned()).or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without words".into())
}
