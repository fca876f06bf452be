//! The program `clip-audit`.

fn main() {}
