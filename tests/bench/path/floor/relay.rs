//! The relay of the program by hand: claims a window of the outbox under a lease, publishes it with confirms, and removes what the
//! broker has.

use super::store::Out;
use crate::amqp::{self, Outcome};
use futures_util::future::try_join_all;
use lapin::Channel;
use std::{sync::Arc, time::Duration};
use tokio::sync::{Notify, Semaphore};
use tokio_postgres::Client;

/// Messages claimed at once.
const WINDOW: i64 = 512;
/// Windows whose confirms may be outstanding.
const WINDOWS: usize = 4;
/// Wait before a claim that another one has let run out is looked for.
const LOOK: Duration = Duration::from_secs(5);

const CLAIM: &str = "update outbox set claimed_until = now() + interval '20 s' where number in (select number from outbox \
    where claimed_until is null or claimed_until < now() order by number limit $1 for update skip locked) \
    returning number, exchange, key, message, body";
const SENT: &str = "delete from outbox where number = any($1)";

pub(super) async fn run(client: Client, channel: Channel, bell: Arc<Notify>) -> Outcome<()> {
    let (claim, sent) = (client.prepare(CLAIM).await?, client.prepare(SENT).await?);
    let (client, free) = (Arc::new(client), Arc::new(Semaphore::new(WINDOWS)));
    loop {
        let permit = Arc::clone(&free).acquire_owned().await?;
        let rows = client.query(&claim, &[&WINDOW]).await?;
        if rows.is_empty() {
            drop(permit);
            let _ = tokio::time::timeout(LOOK, bell.notified()).await; // rung, or time to look
            continue;
        }
        let mut window: Vec<(i64, Out)> = rows
            .iter()
            .map(|row| (row.get(0), Out { exchange: row.get(1), key: row.get(2), message: row.get(3), body: row.get(4) }))
            .collect();
        window.sort_unstable_by_key(|(number, _)| *number);
        let mut confirms = Vec::with_capacity(window.len());
        for (_, out) in &window {
            confirms.push(amqp::publish(&channel, &out.exchange, &out.key, &out.message, &out.body).await?);
        }
        let (client, sent) = (Arc::clone(&client), sent.clone());
        tokio::spawn(async move {
            let numbers: Vec<i64> = window.iter().map(|(number, _)| *number).collect();
            let published = async {
                try_join_all(confirms).await?;
                client.execute(&sent, &[&numbers]).await?;
                Outcome::Ok(())
            };
            if let Err(error) = published.await {
                eprintln!("the program by hand could not publish: {error}"); // its claim runs out, and it is published again
            }
            drop(permit);
        });
    }
}
