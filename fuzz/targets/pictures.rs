//! Pictures: decoded within the limits or refused; what was decoded fits every canvas or is refused as too extreme.
#![no_main]

use clip_audit::pixels::{MAX_SIDE, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(decoded) = decode(bytes) else { return };
    for size in [1, 16, 80] {
        if let Ok(image) = decoded.fit(size) {
            assert_eq!(image.dimensions(), (size, size));
        }
    }
    assert!(decoded.notes.iter().all(|note| !note.is_empty()));
    const { assert!(MAX_SIDE > 0) };
});
