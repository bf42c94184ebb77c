//! From the store to the relay of the same process, past the database: rows that were just committed. The store has them down as claimed,
//! so that nobody else takes them; if this process dies, their lease ends, and they are handed out as any other.

use super::records::ClaimedRow;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc;

/// Rows that may wait between store and relay. When there are more, what is committed goes the long way until the relay has caught up.
const MOST: usize = 1_024;

#[derive(Debug, Default)]
struct Shared {
    /// The relay takes rows: the broker is up, and nothing older waits in the store.
    open: AtomicBool,
    /// Invitations that it takes still.
    room: AtomicUsize,
    /// Rows that were promised to it, and that it does not have yet.
    promised: AtomicUsize,
}

/// The store's end.
#[derive(Debug, Clone)]
pub struct Handover {
    shared: Arc<Shared>,
    rows: mpsc::UnboundedSender<ClaimedRow>,
    /// For how long a row is the relay's.
    pub lease: Duration,
}

/// The relay's end.
#[derive(Debug)]
pub struct Fresh {
    shared: Arc<Shared>,
    rows: mpsc::UnboundedReceiver<ClaimedRow>,
}

/// Both ends, closed.
#[must_use]
pub fn handover(lease: Duration) -> (Handover, Fresh) {
    let (shared, (sender, receiver)) = (Arc::new(Shared::default()), mpsc::unbounded_channel());
    (Handover { shared: Arc::clone(&shared), rows: sender, lease }, Fresh { shared, rows: receiver })
}

impl Handover {
    /// Whether the relay takes a row that is about to be committed. If so, the row is [handed over](Self::hand) or
    /// [given up](Self::give_up).
    #[must_use]
    pub fn takes(&self, invitation: bool) -> bool {
        if !self.shared.open.load(Ordering::Acquire) || self.rows.is_closed() {
            return false;
        }
        if self.shared.promised.fetch_add(1, Ordering::AcqRel) >= MOST {
            // What is committed from now on is younger than what waits for the relay, which therefore looks here first.
            self.shared.open.store(false, Ordering::Release);
            self.shared.promised.fetch_sub(1, Ordering::AcqRel);
            return false;
        }
        let place = || self.shared.room.fetch_update(Ordering::AcqRel, Ordering::Acquire, |room| room.checked_sub(1));
        if invitation && place().is_err() {
            self.shared.promised.fetch_sub(1, Ordering::AcqRel);
            return false;
        }
        true
    }

    /// A row that the relay was to have was not committed.
    pub fn give_up(&self, invitation: bool) {
        self.shared.promised.fetch_sub(1, Ordering::AcqRel);
        if invitation {
            self.shared.room.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// A row was committed. If the relay is gone, it is handed out again when its lease is over.
    pub fn hand(&self, row: ClaimedRow) {
        let _gone = self.rows.send(row);
    }
}

impl Fresh {
    /// The next row.
    pub async fn next(&mut self) -> Option<ClaimedRow> {
        let row = self.rows.recv().await?;
        self.shared.promised.fetch_sub(1, Ordering::AcqRel);
        Some(row)
    }

    /// Adds those that are here already, up to so many in all.
    pub fn drain(&mut self, into: &mut Vec<ClaimedRow>, most: usize) {
        while into.len() < most
            && let Ok(row) = self.rows.try_recv()
        {
            self.shared.promised.fetch_sub(1, Ordering::AcqRel);
            into.push(row);
        }
    }

    /// Nothing older waits in the store: from here on rows come this way. Or no more: then they go the long way.
    pub fn open(&self, open: bool) {
        self.shared.open.store(open, Ordering::Release);
    }

    /// Whether rows that were promised are still to come.
    #[must_use]
    pub fn is_owed(&self) -> bool {
        self.shared.promised.load(Ordering::Acquire) > 0
    }

    /// Whether rows come this way.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.shared.open.load(Ordering::Acquire)
    }

    /// Takes the places of invitations that are left, for the long way.
    #[must_use]
    pub fn take_room(&self) -> usize {
        self.shared.room.swap(0, Ordering::AcqRel)
    }

    /// So many invitations may come this way: none waits in the store.
    pub fn set_room(&self, places: usize) {
        self.shared.room.store(places, Ordering::Release);
    }

    /// Places of invitations that are left.
    #[must_use]
    pub fn room(&self) -> usize {
        self.shared.room.load(Ordering::Acquire)
    }
}
