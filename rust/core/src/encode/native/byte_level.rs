//! The byte-level alphabet: every byte as a visible character, as GPT-2 introduced it.

/// From the characters of the alphabet back to bytes.
pub(super) struct Alphabet {
    /// 256 for a character that stands for no byte.
    bytes: [u16; 0x144],
}

impl Alphabet {
    pub(super) fn new() -> Self {
        let mut bytes = [256; 0x144];
        let mut next = 0x100;
        for byte in 0..=255u8 {
            if matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF) {
                bytes[usize::from(byte)] = u16::from(byte);
            } else {
                bytes[next] = u16::from(byte);
                next += 1;
            }
        }
        Self { bytes }
    }

    /// The bytes a token of the file stands for, appended to `bytes`; false (and nothing of use
    /// appended) if one of its characters is not of the alphabet.
    pub(super) fn decode(&self, token: &str, bytes: &mut Vec<u8>) -> bool {
        for c in token.chars() {
            match self.bytes.get(c as usize).map(|&byte| u8::try_from(byte)) {
                Some(Ok(byte)) => bytes.push(byte),
                _ => return false,
            }
        }
        true
    }
}
