//! Bodies that are on their way, kept here and nowhere else while they come: one number of bytes over all connections and tenants. Only
//! bytes that have come count, so a request that announces much and sends nothing costs nothing. When there is no room, the sender that
//! holds most gives up the body that it has been sending for longest: an ATS sends a webhook at once and whole. Who sent a body, and what
//! it means, is not looked at here.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// Bits of an IPv6 address that one household or machine is given to use as it likes are the lower 64 (RFC 4291 §2.5.4).
const IPV6_OWN: u32 = 64;

/// The bodies on their way. Clones are the same.
#[derive(Clone)]
pub(super) struct Bodies(Arc<Inner>);

struct Inner {
    room: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    bytes: usize,
    begun: u64,
    senders: HashMap<Sender, Sending>,
}

/// Where requests come from: an address, or the part of one that its owner cannot choose. `None` where it is not known.
type Sender = Option<IpAddr>;

/// What one sender has on its way; the bodies in the order in which they began.
#[derive(Default)]
struct Sending {
    bytes: usize,
    bodies: BTreeMap<u64, Body>,
}

struct Body {
    bytes: Vec<u8>,
    /// Dropped when the body is given up.
    _kept: oneshot::Sender<()>,
}

/// One body on its way. Dropped, what has come of it is forgotten.
pub(super) struct Coming {
    bodies: Bodies,
    sender: Sender,
    number: u64,
    given_up: oneshot::Receiver<()>,
}

/// The body was given up, to make room for others.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GivenUp;

impl Bodies {
    /// With room for so many bytes.
    pub(super) fn new(room: usize) -> Self {
        Self(Arc::new(Inner { room, kept: Mutex::default() }))
    }

    /// A body begins. It costs nothing before something of it has come.
    pub(super) fn begin(&self, address: Option<IpAddr>) -> Coming {
        let sender = address.map(owned_part);
        let (keep, given_up) = oneshot::channel();
        let mut kept = self.lock();
        kept.begun += 1;
        let number = kept.begun;
        kept.senders.entry(sender).or_default().bodies.insert(number, Body { bytes: Vec::new(), _kept: keep });
        Coming { bodies: self.clone(), sender, number, given_up }
    }

    /// Bytes that are held, and bodies that are on their way.
    pub(super) fn held(&self) -> (usize, usize) {
        let kept = self.lock();
        (kept.bytes, kept.senders.values().map(|sending| sending.bodies.len()).sum())
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing that runs while it is locked can panic half-way through a change.
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Coming {
    /// A part has come. `largest` is the most that the body may have.
    pub(super) fn add(&mut self, part: &[u8], largest: usize) -> Result<(), GivenUp> {
        let mut kept = self.bodies.lock();
        let Some(body) = kept.body(self.sender, self.number) else { return Err(GivenUp) };
        // Twice as large each time it grows, so that a body that comes in many parts is not copied for each.
        let (has, needs) = (body.bytes.capacity(), body.bytes.len() + part.len());
        let grown = if needs > has { needs.max((2 * has).min(largest)) } else { has };
        while kept.bytes + (grown - has) > self.bodies.0.room {
            let Some((sender, number)) = kept.to_give_up() else { break };
            kept.remove(sender, number);
            if (sender, number) == (self.sender, self.number) {
                return Err(GivenUp);
            }
        }
        if kept.bytes + (grown - has) > self.bodies.0.room {
            kept.remove(self.sender, self.number);
            return Err(GivenUp);
        }
        let Some(body) = kept.body(self.sender, self.number) else { return Err(GivenUp) };
        body.bytes.reserve_exact(grown - body.bytes.len());
        body.bytes.extend_from_slice(part);
        let more = body.bytes.capacity() - has;
        kept.bytes += more;
        if let Some(sending) = kept.senders.get_mut(&self.sender) {
            sending.bytes += more;
        }
        Ok(())
    }

    /// Bytes that have come.
    pub(super) fn len(&self) -> usize {
        self.bodies.lock().body(self.sender, self.number).map_or(0, |body| body.bytes.len())
    }

    /// Waits until the body is given up.
    pub(super) async fn given_up(&mut self) -> GivenUp {
        // Nothing is ever sent: the other end is dropped.
        let _ = (&mut self.given_up).await;
        GivenUp
    }

    /// The whole body, which counts no longer.
    pub(super) fn whole(self) -> Result<Vec<u8>, GivenUp> {
        let body = self.bodies.lock().remove(self.sender, self.number);
        body.ok_or(GivenUp)
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        let body = self.bodies.lock().remove(self.sender, self.number);
        drop(body);
    }
}

impl Kept {
    fn body(&mut self, sender: Sender, number: u64) -> Option<&mut Body> {
        self.senders.get_mut(&sender)?.bodies.get_mut(&number)
    }

    fn remove(&mut self, sender: Sender, number: u64) -> Option<Vec<u8>> {
        let sending = self.senders.get_mut(&sender)?;
        let body = sending.bodies.remove(&number)?.bytes;
        sending.bytes -= body.capacity();
        self.bytes -= body.capacity();
        if sending.bodies.is_empty() {
            self.senders.remove(&sender);
        }
        Some(body)
    }

    /// Of the sender that holds most, the body that began first and holds anything.
    fn to_give_up(&self) -> Option<(Sender, u64)> {
        let (sender, sending) = self.senders.iter().max_by_key(|(_, sending)| sending.bytes)?;
        let (number, _) = sending.bodies.iter().find(|(_, body)| body.bytes.capacity() > 0)?;
        Some((*sender, *number))
    }
}

fn owned_part(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => address.into(),
            None => Ipv6Addr::from_bits(address.to_bits() >> IPV6_OWN << IPV6_OWN).into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LARGEST: usize = 64;

    fn from(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn a_body_comes_out_as_it_came_in_and_then_counts_no_longer() {
        let bodies = Bodies::new(1000);
        let mut coming = bodies.begin(from(1));
        assert_eq!(bodies.held(), (0, 1), "nothing has come");
        for part in [&b"ab"[..], b"", b"c", b"defgh"] {
            coming.add(part, LARGEST).unwrap();
        }
        assert_eq!(coming.len(), 8);
        assert!(bodies.held().0 >= 8);
        assert_eq!(coming.whole().unwrap(), b"abcdefgh");
        assert_eq!(bodies.held(), (0, 0));
        drop(bodies.begin(None));
        assert!(bodies.lock().senders.is_empty());
    }

    #[test]
    fn what_has_been_on_its_way_for_longest_makes_room() {
        let bodies = Bodies::new(100);
        let mut silent = bodies.begin(from(1));
        let mut slow = bodies.begin(from(1));
        slow.add(&[0; 60], LARGEST).unwrap();
        let mut quick = bodies.begin(from(1));
        quick.add(&[1; 60], LARGEST).unwrap();
        assert_eq!(slow.add(&[0; 1], LARGEST), Err(GivenUp));
        assert_eq!(quick.whole().unwrap(), [1; 60]);
        silent.add(&[2; 10], LARGEST).unwrap();
        assert_eq!(silent.whole().unwrap(), [2; 10], "it held nothing, so giving it up would have made no room");
    }

    #[test]
    fn a_sender_that_holds_most_gives_up_before_another_whose_body_is_older() {
        let bodies = Bodies::new(100);
        let mut honest = bodies.begin(from(1));
        honest.add(&[1; 20], LARGEST).unwrap();
        let mut flood: Vec<Coming> = (0..10).map(|_| bodies.begin(from(2))).collect();
        flood.iter_mut().for_each(|coming| coming.add(&[2; 40], LARGEST).unwrap());
        honest.add(&[1; 20], LARGEST).unwrap();
        assert_eq!(honest.whole().unwrap(), [1; 40]);
    }

    #[test]
    fn the_lower_half_of_an_ipv6_address_makes_no_other_sender() {
        let part = |text: &str| owned_part(text.parse().unwrap()).to_string();
        assert_eq!(part("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(part("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(part("192.0.2.7"), "192.0.2.7");
    }

    #[tokio::test]
    async fn whoever_waits_for_more_hears_at_once_that_the_body_was_given_up() {
        let bodies = Bodies::new(10);
        let mut first = bodies.begin(from(1));
        first.add(&[0; 10], LARGEST).unwrap();
        let mut second = bodies.begin(from(2));
        second.add(&[0; 1], LARGEST).unwrap();
        assert_eq!(first.given_up().await, GivenUp);
        assert_eq!(first.whole(), Err(GivenUp));
    }

    proptest! {
        /// Whatever comes, in whatever order: never more than there is room for, the count is that of the bodies, and who is given up is
        /// told so.
        #[test]
        fn there_is_never_more_than_there_is_room_for(
            room in 1_usize..200,
            steps in proptest::collection::vec((0_usize..8, 0_u8..3, 0_usize..LARGEST, 0_u8..4), 1..200),
        ) {
            let bodies = Bodies::new(room);
            let mut coming: HashMap<usize, Coming> = HashMap::new();
            for (which, address, more, act) in steps {
                match act {
                    0 => drop(coming.insert(which, bodies.begin(from(address)))),
                    1 => drop(coming.remove(&which)),
                    _ => if let Some(body) = coming.get_mut(&which).filter(|body| body.len() + more <= LARGEST)
                        && body.add(&vec![0; more], LARGEST) == Err(GivenUp)
                    {
                        prop_assert_eq!(body.len(), 0);
                        coming.remove(&which);
                    },
                }
                let kept = bodies.lock();
                let held: usize = kept.senders.values().flat_map(|s| s.bodies.values()).map(|b| b.bytes.capacity()).sum();
                prop_assert_eq!(kept.bytes, held);
                prop_assert!(held <= room, "{} of {}", held, room);
            }
            coming.clear();
            prop_assert_eq!(bodies.held(), (0, 0));
            prop_assert!(bodies.lock().senders.is_empty());
        }
    }
}
