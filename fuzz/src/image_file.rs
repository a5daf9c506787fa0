//! Whatever bytes an image file holds, it is decoded or refused.

use tercet_train::data::{SIDE_LIMIT, decode_bytes};

pub(crate) fn check(bytes: &[u8]) {
    if let Ok(image) = decode_bytes(bytes, "fuzz") {
        let sides = [image.width(), image.height()];
        assert!(sides.iter().all(|side| (1..=SIDE_LIMIT).contains(side)));
    }
}
