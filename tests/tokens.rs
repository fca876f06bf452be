//! The tokenizer against ids that open_clip's and OpenAI's tokenizers gave.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use clip_audit::model::{ModelError, Tokenizer};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    made_by: BTreeMap<String, String>,
    refused: Vec<Refused>,
    /// Text, ids with the full vocabulary, ids with 1,000 merges; without start and end.
    cases: Vec<(String, Vec<u32>, Vec<u32>)>,
}

#[derive(Deserialize)]
struct Refused {
    text: String,
    because: String,
    full: Vec<u32>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/tokens.json")).unwrap()
}

/// Start, `ids`, end, zeros.
fn framed(ids: &[u32], vocabulary: u32, context: usize) -> Vec<u32> {
    let mut framed = vec![vocabulary - 2];
    framed.extend(ids);
    framed.push(vocabulary - 1);
    framed.resize(context, 0);
    framed
}

#[test]
fn ids_equal_the_reference() {
    let golden = golden();
    assert_eq!(golden.made_by["open_clip_torch"], "3.3.0");
    assert!(golden.cases.len() >= 1000);
    let context = 1024;
    for (vocabulary, cut) in [(49_408, false), (1_514, true)] {
        let tokenizer = Tokenizer::new(vocabulary as usize, context).unwrap();
        let mut wrong = Vec::new();
        for (text, full, short) in &golden.cases {
            let expected = framed(if cut { short } else { full }, vocabulary, context);
            match tokenizer.encode(text) {
                Ok(ids) if ids == expected => {}
                other => wrong.push(format!("{text:?}: {:?}", other.map(|ids| ids[..8].to_vec()))),
            }
        }
        assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), golden.cases.len(), wrong.join("\n"));
    }
}

/// Ten thousand strings: many, so what is kept of their ids is a checksum.
#[derive(Deserialize)]
struct Many {
    made_by: BTreeMap<String, String>,
    kinds: Vec<OneKind>,
}

#[derive(Deserialize)]
struct OneKind {
    kind: String,
    texts: Vec<String>,
    /// A digit for each text: 0 open_clip's tokenizer and OpenAI's give the same ids, 1 they differ and open_clip's count, 2
    /// the text looks wrongly decoded, 3 it holds open_clip's end token.
    outcomes: String,
    /// CRC-32 of open_clip's ids without start and end, each a little-endian u32.
    checksums: Vec<u32>,
}

#[test]
fn ten_thousand_strings_of_many_scripts_have_the_ids_of_both_references() {
    let packed = include_bytes!("golden/tokens-many.json.gz").as_slice();
    let many: Many = serde_json::from_reader(flate2::read::GzDecoder::new(packed)).unwrap();
    assert_eq!((&*many.made_by["open_clip_torch"], &*many.made_by["openai-clip"]), ("3.3.0", "1.0.1"));
    let tokenizer = Tokenizer::new(49_408, 4096).unwrap();
    let checksum = |framed: &[u32]| {
        let end = framed.iter().rposition(|id| *id == 49_407).unwrap();
        let mut checksum = flate2::Crc::new();
        framed[1..end].iter().for_each(|id| checksum.update(&id.to_le_bytes()));
        checksum.sum()
    };
    let mut wrong = Vec::new();
    let mut counts: BTreeMap<char, usize> = BTreeMap::new();
    for kind in &many.kinds {
        assert!(kind.texts.len() == kind.checksums.len() && kind.texts.len() == kind.outcomes.len(), "{}", kind.kind);
        for ((text, outcome), expected) in kind.texts.iter().zip(kind.outcomes.chars()).zip(&kind.checksums) {
            *counts.entry(outcome).or_default() += 1;
            let given = tokenizer.encode(text);
            let right = match (outcome, &given) {
                ('0' | '1', Ok(ids)) => checksum(ids) == *expected,
                ('2', Err(error)) => error.to_string().contains("decoded in a wrong encoding"),
                ('3', Err(error)) => error.to_string().contains("would be ignored"),
                _ => false,
            };
            // The two references differ only in how they spell their control tokens.
            let spelled =
                outcome != '1' || ["<start_of_text>", "<|"].iter().any(|token| text.to_lowercase().contains(token));
            if !right || !spelled {
                let given = given.map(|ids| ids.into_iter().filter(|id| *id != 0).collect::<Vec<_>>());
                wrong.push(format!("{}: {text:?}: {outcome}, {given:?}", kind.kind));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    let total: usize = counts.values().sum();
    assert!(total >= 10_000 && counts[&'0'] >= 9_000, "{counts:?}");
}

#[test]
fn what_would_hide_something_is_refused_and_says_why() {
    let tokenizer = Tokenizer::new(49_408, 77).unwrap();
    for Refused { text, because, full } in golden().refused {
        let error = tokenizer.encode(&text).expect_err(&text).to_string();
        let reason = if because == "<end_of_text>" { "would be ignored" } else { "decoded in a wrong encoding" };
        assert!(error.contains(reason), "{error}");
        assert_eq!(full.contains(&49_407), because == "<end_of_text>");
    }
}

#[test]
fn a_typed_start_token_is_the_control_token_as_in_the_reference() {
    let ids = Tokenizer::new(49_408, 8).unwrap().encode("dog <START_OF_TEXT>").unwrap();
    assert_eq!(ids, [49_406, 1_929, 49_406, 49_407, 0, 0, 0, 0]);
}

#[test]
fn a_text_that_does_not_fit_is_refused_with_its_count() {
    let tokenizer = Tokenizer::new(49_408, 77).unwrap();
    assert!(tokenizer.encode(&"dog ".repeat(75)).is_ok());
    let Err(ModelError::Input(error)) = tokenizer.encode(&"dog ".repeat(76)) else { panic!("76 words were taken") };
    assert!(error.contains("78 tokens") && error.contains("takes 77") && error.contains("dog dog"), "{error}");
    assert!(error.chars().count() < 200, "{error}");
    let endless = tokenizer.encode(&"x".repeat(16_000)).unwrap_err().to_string();
    assert!(endless.contains("more than 500 tokens"), "{endless}");
    assert!(tokenizer.encode(&"x".repeat(1_000_000)).is_err());
}

#[test]
fn vocabularies_that_the_merges_cannot_make_are_refused() {
    for size in [0, 513, 49_409, usize::MAX] {
        assert!(Tokenizer::new(size, 77).is_err(), "{size}");
    }
    assert!(Tokenizer::new(514, 1).is_err());
    // Without merges a text is its bytes.
    assert_eq!(Tokenizer::new(514, 5).unwrap().encode("ab").unwrap(), [512, 64, 65 + 256, 513, 0]);
}

#[test]
fn the_hash_names_the_merges_in_use() {
    let hash = |size| Tokenizer::new(size, 77).unwrap().sha256();
    assert_eq!(hash(49_408), "d308b7377a8ceaa9707a21614fe8c831b9196e197b7aeb69833359362907af02");
    assert_ne!(hash(49_408), hash(1_514));
}

static REFERENCE_MODEL: LazyLock<Tokenizer> = LazyLock::new(|| Tokenizer::new(1_514, 96).unwrap());

proptest! {
    #[test]
    fn any_text_is_framed_or_refused(text in any::<String>()) {
        if let Ok(ids) = REFERENCE_MODEL.encode(&text) {
            prop_assert_eq!(ids.len(), 96);
            prop_assert_eq!(ids[0], 1_512);
            let end = ids.iter().position(|id| *id == 1_513).unwrap();
            prop_assert!(ids[end + 1..].iter().all(|id| *id == 0));
        }
    }

    #[test]
    fn references_and_markup_never_break_it(text in "[&#xX;<>/_a-zA-Z0-9 '\u{301}\u{345}Σ]{0,60}") {
        let _ = REFERENCE_MODEL.encode(&text);
    }
}
