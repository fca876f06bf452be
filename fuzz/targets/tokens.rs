//! The tokenizer: any text is framed by start and end, or refused.
#![no_main]

use std::sync::LazyLock;

use clip_audit::model::Tokenizer;
use libfuzzer_sys::fuzz_target;

static TOKENIZERS: LazyLock<[(Tokenizer, u32, usize); 2]> = LazyLock::new(|| {
    [(49_408, 77), (1_514, 96)].map(|(vocabulary, context)| {
        (Tokenizer::new(vocabulary as usize, context).unwrap(), vocabulary, context)
    })
});

fuzz_target!(|text: &str| {
    for (tokenizer, vocabulary, context) in &*TOKENIZERS {
        let Ok(ids) = tokenizer.encode(text) else { continue };
        assert_eq!((ids.len(), ids[0]), (*context, vocabulary - 2));
        let end = ids.iter().position(|id| *id == vocabulary - 1).unwrap();
        assert!(ids[1..end].iter().all(|id| *id < vocabulary - 2) && ids[end + 1..].iter().all(|id| *id == 0));
    }
});
