//! A credential that was replaced and is still good for a while: what was signed with it, and is sent again, is taken. It is sealed like
//! every other, under a name that says whose predecessor it is and until when it is good, so that nobody can prolong it in the store.

use jiff::Timestamp;

/// Between the name of a credential and the time until which its predecessor is good.
const UNTIL: &str = ".until.";

/// The name under which the predecessor of a credential is kept.
#[must_use]
pub fn predecessor_name(name: &str, until: Timestamp) -> String {
    format!("{name}{UNTIL}{until}")
}

/// Whose predecessor this is, and until when it is good; `None` for a credential that is nobody's.
#[must_use]
pub fn predecessor(name: &str) -> Option<(&str, Timestamp)> {
    let (of, until) = name.rsplit_once(UNTIL)?;
    Some((of, until.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_name_says_whose_predecessor_it_is_and_until_when(name in "[a-z_.]{1,40}", seconds in -377_705_023_201_i64..253_402_207_200, nanos in 0..1_000_000_000) {
            let until = Timestamp::new(seconds, nanos).unwrap();
            let kept = predecessor_name(&name, until);
            prop_assert_eq!(predecessor(&kept), Some((name.as_str(), until)));
        }
    }

    #[test]
    fn other_names_are_nobodys_predecessors() {
        for name in ["webhook_secret", "webhook_secret.until.", "webhook_secret.until.tomorrow", "", ".until."] {
            assert_eq!(predecessor(name), None, "{name}");
        }
    }
}
