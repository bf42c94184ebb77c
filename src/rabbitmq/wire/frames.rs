//! The frames of one connection, as they come from the broker and as lapin is to see them. Pure: bytes in, bytes out.
//!
//! A body larger than the hub takes is cut to its first [`KEPT`] bytes, followed by a seal that says how large it was and its
//! SHA-256. What is cut off is never kept, so many large bodies cost no more memory than many small ones. For each frame that is
//! left out a heartbeat is put in, so that lapin does not take the connection for dead meanwhile.

use super::content::Cursor;
use atshub_schemas::MAX_BYTES;
use sha2::{Digest as _, Sha256};
use std::{collections::HashMap, sync::LazyLock};

/// What is left of a body that is too large.
pub(in crate::rabbitmq) const KEPT: usize = 64 * 1024;
/// Type, channel and length of a frame.
const HEAD: usize = 7;
const END: u8 = 0xCE;
const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: [u8; 8] = [8, 0, 0, 0, 0, 0, 0, END];
/// A longer frame than any broker sends: what comes is not understood, and is left to lapin.
const LONGEST: usize = 16 * 1024 * 1024;
const BASIC: u16 = 60;
const RETURN: u16 = 50;
const DELIVER: u16 = 60;
const GET_OK: u16 = 71;
/// Length of class, weight and body size in a content header.
const FIXED: usize = 12;

/// Known to this process alone, so that no producer can write a seal.
static MARK: LazyLock<[u8; 16]> = LazyLock::new(rand::random);
/// Mark, size and digest.
const SEAL: usize = 16 + 8 + 32;

/// Size and SHA-256 of the body that was cut to this one, if it was.
pub(in crate::rabbitmq) fn cut_of(body: &[u8]) -> Option<(u64, [u8; 32])> {
    let seal = body.get(KEPT..).filter(|seal| seal.len() == SEAL)?.strip_prefix(&*MARK)?;
    let (size, digest) = seal.split_at_checked(8)?;
    Some((u64::from_be_bytes(size.try_into().ok()?), digest.try_into().ok()?))
}

/// A body that is being cut.
struct Cut {
    size: u64,
    seen: u64,
    digest: Sha256,
}

#[derive(Default)]
pub(super) struct Frames {
    /// The beginning of a frame that has not come whole.
    partial: Vec<u8>,
    /// By channel.
    cuts: HashMap<u16, Cut>,
    /// Not understood: everything passes as it is.
    foreign: bool,
}

impl Frames {
    /// Takes what has come, and adds to `out` what is to be read of it.
    pub(super) fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut waiting = std::mem::take(&mut self.partial);
        waiting.extend_from_slice(bytes);
        let mut done = 0;
        while let Some(rest) = waiting.get_mut(done..).filter(|_| !self.foreign) {
            let Some(&[kind, high, low, a, b, c, d]) = rest.first_chunk::<HEAD>() else { break };
            let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
            if !matches!(kind, METHOD | HEADER | BODY | 8) || length > LONGEST {
                self.foreign = true;
                break;
            }
            let Some(frame) = rest.get_mut(..HEAD + length + 1) else { break };
            self.frame(kind, u16::from_be_bytes([high, low]), frame, out);
            done += HEAD + length + 1;
        }
        waiting.drain(..done);
        if self.foreign {
            out.append(&mut waiting);
        }
        self.partial = waiting;
    }

    fn frame(&mut self, kind: u8, channel: u16, frame: &mut [u8], out: &mut Vec<u8>) {
        let whole = HEAD..frame.len() - 1;
        let Some(payload) = frame.get_mut(whole) else { return };
        match kind {
            METHOD => {
                // What is not read to its end is as the broker made it.
                let _ = method(payload);
                out.extend_from_slice(frame);
            }
            HEADER => self.header(channel, payload, out),
            BODY if self.cuts.contains_key(&channel) => self.body(channel, payload, out),
            _ => out.extend_from_slice(frame),
        }
    }

    fn header(&mut self, channel: u16, payload: &mut [u8], out: &mut Vec<u8>) {
        self.cuts.remove(&channel);
        let Some((fixed, properties)) = payload.split_at_mut_checked(FIXED) else { return put(HEADER, channel, &[payload], out) };
        if let Some(size) = fixed.last_chunk_mut::<8>() {
            let found = u64::from_be_bytes(*size);
            if found > MAX_BYTES as u64 {
                self.cuts.insert(channel, Cut { size: found, seen: 0, digest: Sha256::new() });
                *size = ((KEPT + SEAL) as u64).to_be_bytes();
            }
        }
        // Properties that cannot be read, by lapin's own word, are left out: the body says what the message is.
        let readable = Cursor::over(properties).properties().is_some() && lapin_reads(properties);
        put(HEADER, channel, &[fixed, if readable { properties } else { &[0, 0] }], out);
    }

    fn body(&mut self, channel: u16, payload: &[u8], out: &mut Vec<u8>) {
        let Some(cut) = self.cuts.get_mut(&channel) else { return };
        cut.digest.update(payload);
        let room = KEPT.saturating_sub(usize::try_from(cut.seen).unwrap_or(usize::MAX));
        cut.seen += payload.len() as u64;
        match payload.get(..room.min(payload.len())) {
            Some(kept) if !kept.is_empty() => put(BODY, channel, &[kept], out),
            _ => out.extend_from_slice(&HEARTBEAT),
        }
        if cut.seen >= cut.size
            && let Some(Cut { size, digest, .. }) = self.cuts.remove(&channel)
        {
            put(BODY, channel, &[&*MARK, &size.to_be_bytes(), &digest.finalize()], out);
        }
    }
}

/// Whether lapin's parser reads these properties to their end. So no message can end a connection, whatever that parser takes.
fn lapin_reads(properties: &[u8]) -> bool {
    lapin::protocol::basic::parse_properties(properties).is_ok_and(|(rest, _)| rest.is_empty())
}

fn put(kind: u8, channel: u16, parts: &[&[u8]], out: &mut Vec<u8>) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.push(kind);
    out.extend_from_slice(&channel.to_be_bytes());
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.push(END);
}

/// Corrects exchange and routing key of a message that is handed over.
fn method(payload: &mut [u8]) -> Option<()> {
    let id = payload.first_chunk::<4>().map(|[a, b, c, d]| (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])))?;
    let mut cursor = Cursor::over(payload.get_mut(4..)?);
    match id {
        (BASIC, DELIVER) => {
            cursor.short_string()?; // consumer tag
            cursor.skip(8 + 1)?;
        }
        (BASIC, RETURN) => {
            cursor.skip(2)?;
            cursor.short_string()?; // reply text
        }
        (BASIC, GET_OK) => cursor.skip(8 + 1)?,
        _ => return None,
    }
    cursor.short_string()?;
    cursor.short_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        put(kind, 1, parts, &mut out);
        out
    }

    fn message(body: &[u8]) -> Vec<u8> {
        let mut all = frame(HEADER, &[&[0, 60, 0, 0], &(body.len() as u64).to_be_bytes(), &[0, 0]]);
        for part in body.chunks(100_000) {
            all.extend(frame(BODY, &[part]));
        }
        all
    }

    /// The body that is announced, and the body that comes.
    fn read(mut bytes: &[u8]) -> (u64, Vec<u8>) {
        let (mut size, mut body) = (0, Vec::new());
        while let Some([kind, _, _, a, b, c, d]) = bytes.first_chunk::<HEAD>() {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            let payload = &bytes[HEAD..HEAD + length];
            assert_eq!(bytes[HEAD + length], END);
            match *kind {
                HEADER => size = u64::from_be_bytes(payload[4..12].try_into().unwrap()),
                BODY => body.extend_from_slice(payload),
                _ => assert!(payload.is_empty()),
            }
            bytes = &bytes[HEAD + length + 1..];
        }
        (size, body)
    }

    #[test]
    fn a_body_up_to_the_limit_passes_whole_and_a_larger_one_is_cut_and_sealed() {
        for (size, cut) in [(0, false), (KEPT + SEAL, false), (MAX_BYTES, false), (MAX_BYTES + 1, true), (3_000_000, true)] {
            let body: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            // However the network cuts it up.
            for chunk in [97, 4_096, usize::MAX] {
                let (mut frames, mut out) = (Frames::default(), Vec::new());
                for part in message(&body).chunks(chunk.min(size + 1_000)) {
                    frames.pass(part, &mut out);
                }
                let (announced, came) = read(&out);
                assert_eq!(announced, came.len() as u64);
                if cut {
                    assert_eq!(cut_of(&came), Some((size as u64, Sha256::digest(&body).into())));
                    assert_eq!(came[..KEPT], body[..KEPT]);
                } else {
                    assert_eq!((came == body, cut_of(&came)), (true, None), "{size}");
                }
                if size > 100_000 && chunk == 97 {
                    break; // once is enough of the slowest
                }
            }
        }
    }

    /// Every kind of property, and tables in tables.
    const PROPERTIES: &[u8] = &[
        0xff, 0xfc, 1, b'c', 1, b'e', 0, 0, 0, 16, 1, b'k', b'F', 0, 0, 0, 9, 1, b's', b'S', 0, 0, 0, 2, b'o', b'k', 2, 0, 1, b'i', 1,
        b'r', 1, b'x', 1, b'm', 0, 0, 0, 0, 0, 0, 0, 1, 1, b't', 1, b'u', 1, b'a', 1, b'q',
    ];

    /// The properties of a message as lapin gets them.
    fn passed(properties: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Frames::default().pass(&frame(HEADER, &[&[0, 60, 0, 0], &[0; 8], properties]), &mut out);
        out[HEAD + FIXED..out.len() - 1].to_vec()
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_properties_of_a_message_lapin_reads_what_it_gets(
            damage in proptest::collection::vec((0..PROPERTIES.len(), proptest::num::u8::ANY), 0..6),
            length in 2..=PROPERTIES.len(),
        ) {
            let mut properties = PROPERTIES.to_vec();
            damage.iter().for_each(|(at, byte)| properties[*at] = *byte);
            properties.truncate(length);
            proptest::prop_assert!(lapin_reads(&passed(&properties)), "{:?}", properties);
        }
    }

    #[test]
    fn lapin_still_ends_its_connection_at_a_text_that_is_no_utf8_so_that_this_filter_is_still_needed() {
        assert_eq!(passed(PROPERTIES), PROPERTIES, "what is right stays as it is");
        let mut wrong = PROPERTIES.to_vec();
        wrong[3] = 0xff;
        assert!(!lapin_reads(&wrong), "lapin reads it now: what is here for that alone can go");
        assert!(passed(&wrong).starts_with(&[0xff, 0xfc, 1, b'?']), "it costs that text alone");
    }

    #[test]
    fn what_is_no_amqp_passes_as_it_is() {
        let (mut frames, mut out) = (Frames::default(), Vec::new());
        frames.pass(b"AMQP\x00\x00\x09\x01 and more", &mut out);
        frames.pass(b"and more", &mut out);
        assert_eq!(out, b"AMQP\x00\x00\x09\x01 and moreand more");
    }
}
