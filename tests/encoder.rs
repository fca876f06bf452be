//! The reference model against features, taps and logits that open_clip gave.
