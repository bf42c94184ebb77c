//! `atshub publish`: facts from a file or standard input, one envelope per line. Each is checked before it is published, as the
//! hub would check it, and published with confirms; what was not taken is said with its line number.

use super::{
    exit::{Ended, Exit, Stop},
    out::Out,
    session::Session,
};
use atshub_actors::ports::{Broker, Publication, PublishError};
use atshub_schemas::{CONTENT_TYPE, Envelope, Family, MAX_BYTES, TenantName, topology};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::{Path, PathBuf},
};
use tokio::sync::mpsc;

/// Messages published in one window of outstanding confirms.
const WINDOW: usize = 256;
/// Longest line read: the longest envelope, and room for the line end.
const LONGEST: u64 = MAX_BYTES as u64 + 2;
/// Lines about single messages that are said; the rest is counted.
const SAID: usize = 50;

/// Arguments of `publish`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// File with one envelope per line, - for standard input
    file: PathBuf,
}

/// A line with its number, or why there are no more.
type Read = Result<(u64, Vec<u8>), String>;

/// How it went so far.
#[derive(Debug, Default)]
struct Tally {
    published: u64,
    refused: u64,
    unrouted: u64,
    lost: u64,
    said: usize,
}

/// Publishes.
pub(super) async fn run(args: Args, session: &Session) -> Ended {
    let broker = session.broker().await?;
    let progress = session.out.progress("publishing", None);
    let (lines, mut read) = mpsc::channel(WINDOW);
    std::thread::spawn(move || pump(&args.file, &lines));
    let mut tally = Tally::default();
    let mut window = Vec::with_capacity(WINDOW);
    let mut failed = None;
    while let Some(next) = read.recv().await {
        match next {
            Ok((number, line)) => match check(&line) {
                Ok(Some(envelope)) => window.push((number, envelope)),
                Ok(None) => {}
                Err(why) => {
                    tally.refused += 1;
                    tally.say(session.out, &format!("line {number}: {why}"));
                }
            },
            Err(why) => failed = Some(why),
        }
        // A full window, or nothing more to be had just now: somebody may be typing.
        if window.len() >= WINDOW || (read.is_empty() && !window.is_empty()) {
            send(broker.as_ref(), std::mem::take(&mut window), &mut tally, session.out).await;
            progress.now(&format!("{} published", tally.published));
        }
    }
    drop(progress);
    end(&tally, failed, session.out)
}

impl Tally {
    fn say(&mut self, out: Out, text: &str) {
        self.said += 1;
        match self.said {
            n if n <= SAID => out.warn(text),
            n if n == SAID + 1 => out.warn("more of the same; only counted from here on"),
            _ => {}
        }
    }
}

fn end(tally: &Tally, failed: Option<String>, out: Out) -> Ended {
    let value = json!({
        "published": tally.published, "refused": tally.refused, "no_such_tenant": tally.unrouted, "not_taken": tally.lost
    });
    let mut parts = vec![format!("{} published", tally.published)];
    let counts = [
        (tally.refused, "refused before publishing"),
        (tally.unrouted, "for no tenant that the broker knows"),
        (tally.lost, "not taken by the broker"),
    ];
    parts.extend(counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
    out.one(&parts.join(", "), &value)?;
    if let Some(why) = failed {
        return Err(Stop { exit: if tally.published > 0 { Exit::Partly } else { Exit::Failed }, ..Stop::failed(why) });
    }
    Ok(match (tally.published, tally.refused + tally.unrouted + tally.lost) {
        (_, 0) => Exit::Done,
        (0, _) => Exit::Failed,
        _ => Exit::Partly,
    })
}

/// Reads lines, bounded, and hands them on as they come. Blocks: it has a thread of its own.
fn pump(file: &Path, lines: &mpsc::Sender<Read>) {
    let source: Result<Box<dyn BufRead>, io::Error> = if file.as_os_str() == "-" {
        Ok(Box::new(BufReader::new(io::stdin())))
    } else {
        File::open(file).map(|open| Box::new(BufReader::new(open)) as Box<dyn BufRead>)
    };
    let mut source = match source {
        Ok(source) => source,
        Err(error) => {
            let _ = lines.blocking_send(Err(format!("failed to open `{}`: {error}", file.display())));
            return;
        }
    };
    for number in 1.. {
        let read = match line(source.as_mut()) {
            Ok(None) => return,
            // An editor's byte order mark belongs to the file, not to its first message.
            Ok(Some(line)) => {
                Ok((number, line.strip_prefix("\u{feff}".as_bytes()).filter(|_| number == 1).map(<[u8]>::to_vec).unwrap_or(line)))
            }
            Err(error) => Err(format!("failed to read line {number}: {error}")),
        };
        let last = read.is_err();
        if lines.blocking_send(read).is_err() || last {
            return;
        }
    }
}

/// One line; of one that is too long for an envelope, as much as shows that.
fn line(source: &mut dyn BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if source.take(LONGEST).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.len() as u64 == LONGEST && line.last() != Some(&b'\n') {
        source.skip_until(b'\n')?;
    }
    Ok(Some(line))
}

/// An envelope that a producer may publish; `None` for an empty line.
fn check(line: &[u8]) -> Result<Option<Envelope>, String> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Ok(None);
    }
    let envelope = Envelope::decode(line).map_err(|refusal| refusal.to_string())?;
    match envelope.message.family() {
        Family::Fact | Family::Answer => Ok(Some(envelope)),
        Family::Command | Family::Internal | Family::Lifecycle | Family::Control => Err(format!(
            "not_internal: `{}` is published by the hub alone; `atshub schema list` says who publishes what",
            envelope.message.kind()
        )),
    }
}

async fn send(broker: &dyn Broker, window: Vec<(u64, Envelope)>, tally: &mut Tally, out: Out) {
    let known = known_tenants(broker, &window).await;
    let mut numbers = Vec::with_capacity(window.len());
    let mut messages = Vec::with_capacity(window.len());
    for (number, envelope) in window {
        match envelope.encode() {
            Ok(body) => {
                messages.push(Publication {
                    exchange: topology::EVENTS.to_owned(),
                    routing_key: envelope.routing_key(),
                    message_id: envelope.id.to_string(),
                    content_type: CONTENT_TYPE.to_owned(),
                    headers: BTreeMap::new(),
                    body: body.into(),
                });
                numbers.push((number, envelope.tenant));
            }
            Err(error) => {
                tally.refused += 1;
                tally.say(out, &format!("line {number}: cannot be written as JSON: {error}"));
            }
        }
    }
    for (answer, (number, tenant)) in broker.publish(messages).await.into_iter().zip(numbers) {
        match answer {
            // What no tenant's queue takes goes to the alternate exchange: kept for operators, and performed by nobody.
            Ok(()) if known.as_ref().is_some_and(|known| !known.contains(&tenant)) => {
                tally.unrouted += 1;
                tally.say(
                    out,
                    &format!(
                        "line {number}: the broker has no queue for a tenant `{tenant}`; the message went to `{}`",
                        topology::UNROUTED
                    ),
                );
            }
            Ok(()) => tally.published += 1,
            Err(PublishError::Unroutable { .. }) => {
                tally.unrouted += 1;
                tally.say(out, &format!("line {number}: the broker has no queue for a tenant `{tenant}`, and kept nothing"));
            }
            Err(error) => {
                tally.lost += 1;
                tally.say(out, &format!("line {number}: {error}; publish it again"));
            }
        }
    }
}

/// Those tenants of a window that have a queue; `None` if the broker does not say.
async fn known_tenants(broker: &dyn Broker, window: &[(u64, Envelope)]) -> Option<BTreeSet<TenantName>> {
    let named: BTreeSet<TenantName> = window.iter().map(|(_, envelope)| envelope.tenant.clone()).collect();
    let queues: Vec<String> = named.iter().map(topology::tenant_queue).collect();
    let found = broker.queues(&queues).await.ok()?;
    Some(named.into_iter().filter(|tenant| found.iter().any(|queue| queue.name == topology::tenant_queue(tenant))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_before_the_first_line_is_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("facts.jsonl");
        std::fs::write(&file, "\u{feff}{}\r\n\u{feff}{}\r\n").unwrap();
        let (lines, mut read) = mpsc::channel(8);
        pump(&file, &lines);
        drop(lines);
        let read: Vec<Vec<u8>> = std::iter::from_fn(|| read.blocking_recv()).map(|line| line.unwrap().1).collect();
        assert_eq!(read, [b"{}\r\n".to_vec(), "\u{feff}{}\r\n".as_bytes().to_vec()], "within, it is a message's");
    }

    #[test]
    fn lines_are_bounded_and_the_next_one_is_whole() {
        let text = [vec![b'x'; 3 * MAX_BYTES], b"\nnext\n\nlast".to_vec()].concat();
        let mut source: &[u8] = &text;
        let mut lines = std::iter::from_fn(|| line(&mut source).unwrap());
        assert!(check(&lines.next().unwrap()).unwrap_err().contains("too_large"));
        assert_eq!(lines.collect::<Vec<_>>(), [b"next\n".to_vec(), b"\n".to_vec(), b"last".to_vec()]);
    }

    #[test]
    fn a_producer_may_publish_facts_and_answers_alone() {
        for entry in atshub_schemas::catalog::CATALOG {
            let sample = atshub_schemas::samples::sample(entry.kind).unwrap().encode().unwrap();
            let taken = check(&sample);
            match entry.family {
                Family::Fact | Family::Answer => assert!(taken.unwrap().is_some(), "{}", entry.kind),
                _ => assert!(taken.unwrap_err().starts_with("not_internal: "), "{}", entry.kind),
            }
        }
        assert_eq!(check(b" \r\n"), Ok(None));
    }
}
