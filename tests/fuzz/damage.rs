//! Structure-aware damage for fuzzing: takes a document that is right and spoils it in places, so that what is tried lies near what is
//! taken. Deletes, doubles, replaces, nests, cuts, inserts odd text, moves values elsewhere; then the same with its bytes. Draws by
//! proptest, so a case that fails is made as small as it goes. Knows no decoder.

use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::{Map, Value, json};

/// How many cases a property tries: this many, or what `ATSHUB_TEST_FUZZ_CASES` says.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    let asked = std::env::var("ATSHUB_TEST_FUZZ_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(cases), failure_persistence: None, max_shrink_iters: 2_000, ..ProptestConfig::default() }
}

/// Text that people and programs have really sent, and text made to hurt.
pub(crate) const ODD: &[&str] = &[
    "",
    " ",
    "\0",
    "\u{1b}[31m",
    "\r\nBcc: eve@example.org",
    "\u{7f}",
    "\u{85}",
    "\u{a0}",
    "\u{200b}",
    "\u{200e}",
    "\u{202e}",
    "\u{2028}",
    "\u{2066}",
    "\u{feff}",
    "\u{fffd}",
    "e\u{301}",
    "\u{1f469}\u{200d}\u{1f4bb}",
    "\u{10ffff}",
    "~0/1",
    "%00%2e%2e",
    "null",
    "*",
    "#",
    "9999-12-31T23:59:59.999999999Z",
    "-9999-01-01T00:00:00Z",
    "9999-12-31T23:59:59-23:59",
    "9999-12-31T23:59:59Z",
    "9999-12-30T22:00:01Z",
    "0000-01-01T00:00:00+23:59",
    "0000-01-01T00:00:00Z",
    "javascript:alert(1)",
    "https://a@b/",
    "a@b@c",
    "18446744073709551616",
    "${jndi:ldap://x}",
];

/// Pieces of bytes that are no text, or stop a reader.
const ODD_BYTES: &[&[u8]] = &[
    b"\xff",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\0",
    b"\\ud800",
    b"\\u0000",
    b"\\",
    b"\"",
    b"1e999",
    b"-",
    b"[[[[[[[[[[[[[[[[",
    b"{\"a\":",
    b"}",
    b",",
    b"\n[a]\nb = ",
    b"'''",
];

/// One thing that is done to a document.
#[derive(Debug, Clone)]
pub(crate) struct Damage {
    place: Index,
    pick: Index,
    how: How,
}

#[derive(Debug, Clone, Copy)]
enum How {
    Delete,
    Double,
    Replace,
    /// In lists, or in objects, so many deep.
    Nest(usize),
    Cut,
    Insert,
    /// What stands at another place.
    Copy,
    /// A string so many times as long.
    Grow(usize),
    Rename,
}

/// At most so many.
pub(crate) fn damages(most: usize) -> impl Strategy<Value = Vec<Damage>> {
    let how = prop_oneof![
        Just(How::Delete),
        Just(How::Double),
        Just(How::Replace),
        (1..40usize).prop_map(How::Nest),
        Just(How::Cut),
        Just(How::Insert),
        Just(How::Copy),
        (2..3_000usize).prop_map(How::Grow),
        Just(How::Rename),
    ];
    vec((any::<Index>(), any::<Index>(), how).prop_map(|(place, pick, how)| Damage { place, pick, how }), 1..=most)
}

fn odd_values() -> Vec<Value> {
    let mut all = vec![
        Value::Null,
        json!(true),
        json!(false),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(9_007_199_254_740_992_u64),
        json!([]),
        json!({}),
        json!([null]),
        json!({"value": {"value": null}}),
    ];
    all.extend(ODD.iter().map(|text| json!(text)));
    all
}

/// The JSON pointers of every place but the root.
fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(name, child)| (name.replace('~', "~0").replace('/', "~1"), child)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(n, child)| (n.to_string(), child)).collect(),
        _ => Vec::new(),
    };
    for (name, child) in children {
        let at = format!("{at}/{name}");
        places(child, &at, out);
        out.push(at);
    }
}

/// The document, damaged.
pub(crate) fn damaged(value: &Value, damages: &[Damage]) -> Value {
    let mut value = value.clone();
    for damage in damages {
        apply(&mut value, damage);
    }
    value
}

fn apply(value: &mut Value, damage: &Damage) {
    let mut all = Vec::new();
    places(value, "", &mut all);
    let Some(place) = (!all.is_empty()).then(|| damage.place.get(&all).clone()) else { return };
    let other = value.pointer(damage.pick.get(all.as_slice()).as_str()).cloned();
    let (parent, name) = place.rsplit_once('/').map(|(p, n)| (p.to_owned(), n.replace("~1", "/").replace("~0", "~"))).unwrap();
    match damage.how {
        How::Delete => match value.pointer_mut(&parent) {
            Some(Value::Object(map)) => drop(map.remove(&name)),
            Some(Value::Array(list)) => drop(list.remove(name.parse().unwrap())),
            _ => {}
        },
        How::Rename => {
            if let Some(Value::Object(map)) = value.pointer_mut(&parent)
                && let Some(child) = map.remove(&name)
            {
                map.insert(format!("{name}{}", damage.pick.get(ODD)), child);
            }
        }
        How::Double => match value.pointer_mut(&parent) {
            Some(Value::Array(list)) => {
                let item = list[name.parse::<usize>().unwrap()].clone();
                list.extend(std::iter::repeat_n(item, 1 + damage.pick.index(150)));
            }
            Some(Value::Object(map)) => {
                let child = map[&name].clone();
                map.insert(name.to_uppercase(), child);
            }
            _ => {}
        },
        how => {
            let Some(target) = value.pointer_mut(&place) else { return };
            match how {
                How::Replace => *target = damage.pick.get(&odd_values()).clone(),
                How::Copy => *target = other.unwrap_or_default(),
                How::Nest(depth) => {
                    for _ in 0..depth {
                        let inner = target.take();
                        *target =
                            if damage.pick.index(2) == 0 { json!([inner]) } else { Value::Object(Map::from_iter([(name.clone(), inner)])) };
                    }
                }
                _ => respell(target, damage),
            }
        }
    }
}

/// Damage to a string; anything else is made into one first.
fn respell(target: &mut Value, damage: &Damage) {
    let mut text: Vec<char> = target.as_str().map_or_else(|| target.to_string(), str::to_owned).chars().collect();
    match damage.how {
        How::Cut => text.truncate(damage.pick.index(text.len() + 1)),
        How::Grow(times) => text = text.iter().copied().cycle().take((text.len() * times).min(40_000)).collect(),
        _ => {
            let at = damage.place.index(text.len() + 1);
            text.splice(at..at, damage.pick.get(ODD).chars());
        }
    }
    *target = text.into_iter().collect::<String>().into();
}

/// One thing that is done to bytes.
#[derive(Debug, Clone)]
pub(crate) struct Scratch {
    place: Index,
    to: Index,
    how: u8,
}

/// At most so many, or none.
pub(crate) fn scratches(most: usize) -> impl Strategy<Value = Vec<Scratch>> {
    vec((any::<Index>(), any::<Index>(), 0..5u8).prop_map(|(place, to, how)| Scratch { place, to, how }), 0..=most)
}

/// The bytes, damaged.
pub(crate) fn scratched(mut bytes: Vec<u8>, scratches: &[Scratch]) -> Vec<u8> {
    for Scratch { place, to, how } in scratches {
        let (a, b) = (place.index(bytes.len() + 1), to.index(bytes.len() + 1));
        let (from, until) = (a.min(b), a.max(b));
        match how {
            0 => bytes.truncate(from),
            1 => drop(bytes.drain(from..until.min(from + 40))),
            // A piece twice: a name given twice in one object, a section given twice.
            2 => {
                let piece = bytes[from..until.min(from + 200)].to_vec();
                bytes.splice(until..until, piece);
            }
            3 => drop(bytes.splice(from..from, to.get(ODD_BYTES).iter().copied())),
            _ => {
                if let Some(byte) = bytes.get_mut(from) {
                    *byte ^= 1 << to.index(8);
                }
            }
        }
    }
    bytes
}
