//! Group commit: whoever asks while a transaction is under way shares the next one. Knows nothing of what is gathered.

use std::{future::Future, sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, timeout_at},
};

/// Most pieces of work in one group.
pub(super) const GROUP: usize = 64;
/// How long a group that is not full waits for more, while half of those that may be are under way. A lone piece does not wait.
const PATIENCE: Duration = Duration::from_millis(2);
/// Most pieces that wait for a group; whoever comes then waits for room.
const WAITING: usize = 1_024;

/// Starts gathering; `flights` groups may be under way at once. Ends when all senders are gone.
pub(super) fn gather<J, F, Fut>(io: &tokio::runtime::Handle, flights: usize, run: F) -> mpsc::Sender<J>
where
    J: Send + 'static,
    F: Fn(Vec<J>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (sender, mut waiting) = mpsc::channel::<J>(WAITING);
    io.spawn(async move {
        let free = Arc::new(Semaphore::new(flights));
        while let Ok(flight) = Arc::clone(&free).acquire_owned().await {
            let mut group = Vec::with_capacity(GROUP);
            if waiting.recv_many(&mut group, GROUP).await == 0 {
                return;
            }
            let busy = flights - free.available_permits() > flights.div_ceil(2);
            let deadline = Instant::now() + PATIENCE;
            while busy && group.len() < GROUP {
                let room = GROUP - group.len();
                match timeout_at(deadline, waiting.recv_many(&mut group, room)).await {
                    Ok(more) if more > 0 => {}
                    _ => break,
                }
            }
            let work = run(group);
            tokio::spawn(async move {
                work.await;
                drop(flight);
            });
        }
    });
    sender
}
