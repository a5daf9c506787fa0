//! Whether a JPEG file goes on to its end.
//!
//! The decoder paints what is missing of a truncated file gray and reports success, so that a
//! half-downloaded photograph would silently be trained on.

const EOI: u8 = 0xD9;
const TEM: u8 = 0x01;
const SOI: u8 = 0xD8;

/// Whether the end-of-image marker is there. Segments are skipped by their length, so that the
/// marker of a thumbnail inside of one does not count.
pub(crate) fn is_complete(file: &[u8]) -> bool {
    let mut at = 0;
    while let Some(skip) =
        file.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xFF))
    {
        at += skip + 1;
        match file.get(at) {
            None => return false,
            // An escaped 0xFF of the entropy-coded data, or a restart marker in it.
            Some(0x00 | 0xD0..=0xD7) => at += 1,
            // A fill byte: the marker follows.
            Some(0xFF) => {}
            Some(&EOI) => return true,
            Some(&(SOI | TEM)) => at += 1,
            Some(_) => match file.get(at + 1..at + 3) {
                Some(&[high, low]) => at += 1 + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_the_image_itself_counts() {
        let thumbnail = [0xFF, 0xD8, 0xFF, 0xE1, 0, 6, 0xFF, 0xD8, 0xFF, 0xD9];
        assert!(!is_complete(&thumbnail));
        let scan = [0xFF, 0xDA, 0, 2, 7, 0xFF, 0x00, 0xFF, 0xD3, 9, 0xFF];
        assert!(!is_complete(&[&thumbnail[..], &scan].concat()));
        assert!(is_complete(&[&thumbnail[..], &scan, &[0xFF, 0xD9]].concat()));
        assert!(is_complete(&[&thumbnail[..], &scan, &[0xD9, 1, 2, 3]].concat()));
        assert!(!is_complete(&[0xFF, 0xD8, 0xFF, 0xE1, 0xFF, 0xFF, 0xFF, 0xD9]));
        assert!(!is_complete(&[]));
    }
}
