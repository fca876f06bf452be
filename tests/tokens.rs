//! The tokenizer against ids that open_clip's tokenizer gave.
