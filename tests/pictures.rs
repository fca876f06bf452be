//! Decoding, the Pillow-exact resize and the crop, against values that Pillow gave.
