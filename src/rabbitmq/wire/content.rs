//! Texts and tables of one content header, made such that any reader takes them. Bytes are only replaced by as many others, so no
//! length changes: a byte that is no UTF-8 becomes a question mark, a table deeper than [`DEEPEST`] becomes a plain run of bytes.

/// Tables within tables that are left. Each level costs a reader that calls itself some of its stack: a header's 128 KiB hold
/// 20,000 levels, which would end the process. The broker's own headers have two.
const DEEPEST: usize = 16;

/// A place in bytes that are read and corrected. `None` from any of it: they are not what AMQP says.
pub(super) struct Cursor<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn over(bytes: &'a mut [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        self.take(count).map(drop)
    }

    fn take(&mut self, count: usize) -> Option<&mut [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get_mut(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn long(&mut self) -> Option<usize> {
        let bytes: [u8; 4] = self.take(4)?.try_into().ok()?;
        usize::try_from(u32::from_be_bytes(bytes)).ok()
    }

    pub(super) fn short_string(&mut self) -> Option<()> {
        let length = usize::from(self.byte()?);
        clean(self.take(length)?);
        Some(())
    }

    fn table(&mut self, depth: usize) -> Option<()> {
        let end = self.long()?.checked_add(self.at)?;
        while self.at < end {
            self.short_string()?;
            self.value(depth)?;
        }
        (self.at == end).then_some(())
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        let end = self.long()?.checked_add(self.at)?;
        while self.at < end {
            self.value(depth)?;
        }
        (self.at == end).then_some(())
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        let kind = self.take(1)?.first_mut()?;
        if depth == DEEPEST && matches!(*kind, b'F' | b'A') {
            *kind = b'x'; // has the same shape: a length, then bytes
        }
        match *kind {
            b'F' => self.table(depth + 1),
            b'A' => self.array(depth + 1),
            b'S' | b'x' => {
                let length = self.long()?;
                self.skip(length)
            }
            b'V' => Some(()),
            b't' | b'b' | b'B' => self.skip(1),
            b's' | b'u' | b'U' => self.skip(2),
            b'I' | b'i' | b'f' => self.skip(4),
            b'D' => self.skip(5),
            b'l' | b'L' | b'd' | b'T' => self.skip(8),
            _ => None,
        }
    }

    /// The properties of a message, which are all that is left.
    pub(super) fn properties(&mut self) -> Option<()> {
        let flags: [u8; 2] = self.take(2)?.try_into().ok()?;
        let flags = u16::from_be_bytes(flags);
        if flags & 0b11 != 0 {
            return None; // there are no more than 14
        }
        for bit in (2..16).rev().filter(|bit| flags & (1 << bit) != 0) {
            match bit {
                13 => self.table(0)?,
                11 | 12 => self.skip(1)?,
                6 => self.skip(8)?,
                _ => self.short_string()?,
            }
        }
        (self.at == self.bytes.len()).then_some(())
    }
}

/// Replaces what is no UTF-8.
fn clean(text: &mut [u8]) {
    let mut from = 0;
    while let Some(Err(error)) = text.get(from..).map(std::str::from_utf8) {
        let start = from + error.valid_up_to();
        let end = error.error_len().map_or(text.len(), |length| start + length);
        if let Some(wrong) = text.get_mut(start..end) {
            wrong.fill(b'?');
        }
        from = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_cleaned_text_is_utf8_of_the_same_length_and_keeps_what_was_right(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            let mut cleaned = bytes.clone();
            clean(&mut cleaned);
            proptest::prop_assert_eq!(cleaned.len(), bytes.len());
            proptest::prop_assert!(std::str::from_utf8(&cleaned).is_ok());
            if std::str::from_utf8(&bytes).is_ok() {
                proptest::prop_assert_eq!(cleaned, bytes);
            }
        }

        #[test]
        fn properties_that_were_read_can_be_read_by_lapins_parser(bytes in proptest::collection::vec(proptest::num::u8::ANY, 2..200)) {
            let mut bytes = bytes;
            if Cursor::over(&mut bytes).properties().is_some() {
                let parsed = lapin::protocol::basic::parse_properties(&bytes[..]);
                proptest::prop_assert!(parsed.is_ok_and(|(rest, _)| rest.is_empty()), "{:?}", bytes);
            }
        }
    }
}
