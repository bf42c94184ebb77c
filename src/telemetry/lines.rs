//! The way of a log line to standard error: through a bounded queue, written by one thread that does nothing else. A line that finds the
//! queue full, or that cannot be written, is dropped and counted. So a log that nobody reads, or a full disk, holds up no other thread
//! and ends nothing.

use super::repeats::Repeats;
use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait.
const LINES: usize = 8 * 1024;
/// Bytes that they may have together.
const BYTES: usize = 4 * 1024 * 1024;
/// Longest wait at the end for what still waits.
const LAST_LINES: Duration = Duration::from_secs(1);

/// What goes through the queue.
enum Entry {
    /// A line, with its end.
    Line(Vec<u8>),
    /// Everything before it is written: say so.
    Flush(SyncSender<()>),
}

/// The queue's entrance. Cheap to clone.
#[derive(Clone)]
pub(super) struct Lines {
    queue: SyncSender<Entry>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Bytes in the queue.
    waiting: AtomicUsize,
    /// Lines that were dropped.
    dropped: AtomicU64,
}

/// Standard error's, once there is one.
static STANDARD_ERROR: OnceLock<Lines> = OnceLock::new();

impl Lines {
    /// Those that go to standard error: the same for the whole process.
    pub(super) fn to_standard_error() -> io::Result<Self> {
        if let Some(lines) = STANDARD_ERROR.get() {
            return Ok(lines.clone());
        }
        // A handle of its own: the standard library's has a lock, and a thread that waits in a write would keep it.
        let handle = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let lines = Self::to(handle)?;
        Ok(STANDARD_ERROR.get_or_init(|| lines).clone())
    }

    /// Standard error's, if they were begun.
    pub(super) fn begun() -> Option<&'static Self> {
        STANDARD_ERROR.get()
    }

    fn to(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, entries) = sync_channel(LINES);
        let lines = Self { queue, state: Arc::default() };
        let state = Arc::clone(&lines.state);
        thread::Builder::new().name("atshub-log".into()).spawn(move || write_all(&entries, out, &state))?;
        Ok(lines)
    }

    /// Puts a line into the queue, or drops it.
    pub(super) fn put(&self, line: &[u8]) {
        let size = line.len();
        let before = self.state.waiting.fetch_add(size, Ordering::Relaxed);
        if before.saturating_add(size) > BYTES || self.queue.try_send(Entry::Line(line.to_vec())).is_err() {
            self.state.waiting.fetch_sub(size, Ordering::Relaxed);
            self.state.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many lines were dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.state.dropped.load(Ordering::Relaxed)
    }

    /// Waits until what is in the queue is written, for a moment at most.
    pub(super) fn flush(&self) {
        let (until, (done, written)) = (Instant::now() + LAST_LINES, sync_channel(1));
        while self.queue.try_send(Entry::Flush(done.clone())).is_err() && Instant::now() < until {
            pause();
        }
        let _ = written.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

/// A line is handed over in one piece: the formatter makes it whole first.
impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Writes what comes, and what came again with its count. When lines were dropped and there is nothing left to write, it says how many.
fn write_all(entries: &Receiver<Entry>, mut out: impl Write, state: &State) {
    let (mut said, mut torn, mut repeats) = (0, false, Repeats::default());
    let mut write = |line: &[u8]| {
        let outcome = write_line(&mut out, line, &mut torn);
        if outcome.is_err() {
            state.dropped.fetch_add(1, Ordering::Relaxed);
        }
        outcome.is_ok()
    };
    loop {
        let entry = match repeats.next() {
            None => entries.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(until) => entries.recv_timeout(until.saturating_duration_since(Instant::now())),
        };
        for line in repeats.over(Some(Instant::now())) {
            write(&line);
        }
        match entry {
            Ok(Entry::Line(line)) => {
                let written = !repeats.is_new(&line, Instant::now()) || write(&line);
                state.waiting.fetch_sub(line.len(), Ordering::Relaxed);
                if written && state.waiting.load(Ordering::Relaxed) == 0 {
                    let dropped = state.dropped.load(Ordering::Relaxed);
                    if dropped > said {
                        // By the way of every line: so it has their form. It may be dropped itself, and is counted then.
                        tracing::warn!(lines = dropped - said, "the log was not read or could not be written: lines were dropped");
                        said = dropped;
                    }
                }
            }
            Ok(Entry::Flush(done)) => {
                for line in repeats.over(None) {
                    write(&line);
                }
                // Whoever asked may have given up waiting.
                let _ = done.try_send(());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Writes a line whole. Where the one before was cut off in its middle, a new line is begun first.
fn write_line(out: &mut impl Write, line: &[u8], torn: &mut bool) -> io::Result<()> {
    if *torn {
        out.write_all(b"\n")?;
        *torn = false;
    }
    let mut rest = line;
    while !rest.is_empty() {
        match out.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                rest = rest.get(count..).unwrap_or_default();
                *torn = !rest.is_empty();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The other end of standard error may have been set so, by a terminal's other programs for example.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => pause(),
            Err(error) => return Err(error),
        }
    }
    out.flush()
}

/// A moment, on a thread that has nothing else to do.
fn pause() {
    let (kept, never) = sync_channel::<()>(1);
    let waited = never.recv_timeout(Duration::from_millis(10));
    debug_assert_eq!(waited, Err(RecvTimeoutError::Timeout));
    drop(kept);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, mpsc};

    /// Takes a byte count for each write that it is to do, and fails when told so.
    struct Slow {
        answers: mpsc::Receiver<io::Result<usize>>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = self.answers.recv().unwrap_or(Ok(usize::MAX))?.min(bytes.len());
            self.written.lock().unwrap().extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A log, what lets its next line be written, and what was written.
    type SlowLog = (Lines, mpsc::Sender<io::Result<usize>>, Arc<Mutex<Vec<u8>>>);

    fn slow() -> SlowLog {
        let (answer, answers) = mpsc::channel();
        let written = Arc::default();
        (Lines::to(Slow { answers, written: Arc::clone(&written) }).unwrap(), answer, written)
    }

    fn text(written: &Mutex<Vec<u8>>) -> String {
        String::from_utf8(written.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn lines_are_written_in_their_order_and_flushed() {
        let (lines, answer, written) = slow();
        drop(answer);
        ["one\n", "two\n"].iter().for_each(|line| lines.put(line.as_bytes()));
        lines.flush();
        assert_eq!((text(&written).as_str(), lines.dropped()), ("one\ntwo\n", 0));
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_the_next_line_begins_anew() {
        let (lines, answer, written) = slow();
        for outcome in [Ok(2), Err(io::ErrorKind::StorageFull.into()), Err(io::ErrorKind::BrokenPipe.into()), Ok(1), Ok(9)] {
            answer.send(outcome).unwrap();
        }
        drop(answer);
        // "on" and then nothing; not even the end of the torn line; then all is well.
        ["one\n", "two\n", "three\n"].iter().for_each(|line| lines.put(line.as_bytes()));
        lines.flush();
        assert_eq!((text(&written).as_str(), lines.dropped()), ("on\nthree\n", 2));
    }

    #[test]
    fn lines_beyond_the_bounds_are_dropped_at_once_and_counted() {
        let (lines, answer, written) = slow();
        let line = vec![b'x'; BYTES / 4];
        (0..6).for_each(|_| lines.put(&line));
        // The thread may have taken one; its bytes count until it is written.
        assert_eq!(lines.dropped(), 2);
        drop(answer);
        lines.flush();
        assert_eq!(written.lock().unwrap().len(), BYTES);
        lines.put(b"again\n");
        lines.flush();
        assert!(text(&written).ends_with("again\n"));

        let (lines, answer, _) = slow();
        (0..LINES + 5).for_each(|_| lines.put(b"\n"));
        assert!((4..=5).contains(&lines.dropped()), "{}", lines.dropped());
        drop(answer);
    }
}
