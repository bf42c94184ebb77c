//! Windows of the relay on their way to the broker, some at once. Nothing is published here.

use super::confirmed::Confirmed;
use atshub_actors::ports::{Rail, StoreError};
use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, Fuse},
    stream::FuturesUnordered,
};
use std::{future::Future, pin::pin};

/// Windows on their way at once: what is due does not wait for the broker's word on what went before it.
const WINDOWS: usize = 16;

/// Windows on their way: published, not yet answered and written down.
pub(super) struct Windows<'a> {
    on_their_way: FuturesUnordered<BoxFuture<'a, (usize, Ended<'a>)>>,
    /// What is left of windows, for which no other waits.
    slow: FuturesUnordered<BoxFuture<'a, Result<(), StoreError>>>,
    invites: usize,
    confirmed: &'a Confirmed,
    /// Tells the store what was confirmed.
    telling: Fuse<BoxFuture<'a, ()>>,
}

impl<'a> Windows<'a> {
    /// None yet.
    pub(super) fn new(store: &'a dyn Rail, confirmed: &'a Confirmed) -> Self {
        let telling = confirmed.tell(|rows| store.sent(rows)).boxed().fuse();
        Self { on_their_way: FuturesUnordered::new(), slow: FuturesUnordered::new(), invites: 0, confirmed, telling }
    }

    /// Does something while they go on.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                Some(ended) = self.on_their_way.next() => self.ended(ended),
                Some(outcome) = self.slow.next() => written(outcome),
                () = &mut self.telling => {}
            }
        }
    }

    pub(super) async fn room_for_one_more(&mut self) {
        while self.on_their_way.len() >= WINDOWS {
            tokio::select! {
                Some(ended) = self.on_their_way.next() => self.ended(ended),
                Some(outcome) = self.slow.next() => written(outcome),
                () = &mut self.telling => {}
                else => return,
            }
        }
    }

    pub(super) async fn end(mut self) {
        while let Some(ended) = self.on_their_way.next().await {
            self.ended(ended);
        }
        while let Some(outcome) = self.slow.next().await {
            written(outcome);
        }
        self.confirmed.end();
        self.telling.await;
    }

    /// Invitations in windows that have no answer yet.
    pub(super) fn invites(&self) -> usize {
        self.invites
    }

    /// Begins at once, so that what was claimed first is handed to the broker first.
    pub(super) fn begin(&mut self, invites: usize, window: BoxFuture<'a, Ended<'a>>) {
        self.invites += invites;
        let mut window = async move { (invites, window.await) }.boxed();
        match window.as_mut().now_or_never() {
            Some(ended) => self.ended(ended),
            None => self.on_their_way.push(window),
        }
    }

    fn ended(&mut self, (invites, ended): (usize, Ended<'a>)) {
        self.invites -= invites;
        written(ended.outcome);
        self.slow.extend(ended.slow);
    }
}

/// A window, when no other has to wait for it any more.
pub(super) struct Ended<'a> {
    pub outcome: Result<(), StoreError>,
    pub slow: Option<BoxFuture<'a, Result<(), StoreError>>>,
}

pub(super) fn written(outcome: Result<(), StoreError>) {
    // The relay gets its rows again, when their lease is over at the latest; whoever takes them knows them.
    if let Err(error) = outcome {
        tracing::warn!(%error, "the store does not take down what was published");
    }
}
