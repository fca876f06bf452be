//! Pictures before the model: decoding with explicit limits, and the resize and crop that CLIP was published with,
//! bit for bit. Both the canvas a probe is drawn on and the model's preprocessing need the same pixels, so this stands
//! below both.
