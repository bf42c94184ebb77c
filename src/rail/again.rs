//! What was sent to a queue that is no longer there is sent again: the broker's confirm was no promise for longer than its disk.

use async_trait::async_trait;
use atshub_actors::ports::{Missing, Rail};
use std::sync::Arc;

/// Puts what was sent to a missing queue, and is not handled, back into the outbox.
pub struct SendAgain(pub Arc<dyn Rail>);

#[async_trait]
impl Missing for SendAgain {
    async fn missing(&self, queue: &str) -> Result<(), String> {
        let rows = self.0.send_again(queue).await.map_err(|error| format!("what was in it cannot be sent again yet: {error}"))?;
        if rows > 0 {
            tracing::warn!(
                queue,
                rows,
                "a queue was gone with what was in it; what the hub had sent there and is not handled goes out again"
            );
        }
        Ok(())
    }
}
