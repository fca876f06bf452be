//! CLIP's byte-level byte-pair encoding: from a text to the ids a text tower takes.
//!
//! Gives the ids of open_clip 3.3's `SimpleTokenizer`, except where that would hide something:
//! - A text that does not fit the context is refused; the reference cuts it.
//! - A text that looks wrongly decoded is refused; the reference guesses and repairs (see `mojibake`).
//! - `<end_of_text>` typed in a text is refused. The reference makes the control token of it, and the text tower reads
//!   its features at the first such token, so everything after it would be ignored in silence.
//!
//! `<start_of_text>` typed in a text becomes the control token, in any case of letters: so do the reference and OpenAI's
//! tokenizer (with its own spelling), which models are deployed with. It is one token in the middle of a text and hides
//! nothing; an audit has to show what the deployed model makes of it. `<|startoftext|>`, OpenAI's spelling, is text.
//!
//! The merges are those of CLIP (github.com/openai/CLIP, MIT licence, Copyright 2021 OpenAI): the 48,894 of
//! `bpe_simple_vocab_16e6.txt.gz` that CLIP uses, without the header line and the unused rest.

mod clean;
mod entities;
mod mojibake;

use std::collections::HashMap;
use std::io::Read;
use std::sync::LazyLock;

use fancy_regex::Regex;
use sha2::{Digest, Sha256};

use super::ModelError;

/// The merges, best first, one "left right" a line.
static MERGES: &[u8] = include_bytes!("tokenizer/merges.txt.gz");

/// Number of merges in the list.
const MAX_MERGES: usize = 49_152 - 256 - 2;

/// Ids below: 256 bytes inside a word, then the same 256 at its end.
const SYMBOLS: usize = 512;

/// Longest text that is looked at, bytes. Any that fits a context is far shorter, and the work stays bounded.
const MAX_BYTES: usize = 16 << 10;

/// Longest token, bytes: the longest entry of the full vocabulary.
const LONGEST_TOKEN: usize = 32;

/// What stands alone as a word: control tokens, English contractions, letters, single digits, the rest. Only the fixed
/// strings ignore case. The reference folds the classes too, whereby U+0345 (a combining iota that folds to a letter and is
/// none) falls between the last two and vanishes.
static WORDS: LazyLock<Result<Regex, fancy_regex::Error>> = LazyLock::new(|| {
    Regex::new(&format!(r"(?i:{START}|{END}|'s|'t|'re|'ve|'m|'ll|'d)|\p{{L}}+|\p{{N}}|[^\s\p{{L}}\p{{N}}\x{{345}}]+"))
});

const START: &str = "<start_of_text>";
const END: &str = "<end_of_text>";

/// Cuts texts into tokens.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    /// From two neighbouring tokens to the one they merge into. Looked up only, never iterated.
    merges: HashMap<(u32, u32), u32>,
    /// Id of every byte inside a word; at its end it is 256 more.
    bytes: [u32; 256],
    start: u32,
    end: u32,
    context_length: usize,
    sha256: String,
}

impl Tokenizer {
    /// The tokenizer of a model whose text tower knows `vocabulary_size` ids and takes `context_length` of them. A
    /// vocabulary of V ids holds 512 byte symbols, the first V - 514 merges and the two control tokens.
    ///
    /// # Errors
    /// When CLIP's merges cannot make such a vocabulary, or the context holds less than the two control tokens.
    pub fn new(vocabulary_size: usize, context_length: usize) -> Result<Self, ModelError> {
        let count = vocabulary_size.checked_sub(SYMBOLS + 2).filter(|count| *count <= MAX_MERGES).ok_or_else(|| {
            ModelError::Input(format!(
                "vocabulary of {vocabulary_size}: CLIP's tokenizer makes {} to {} ids; another tokenizer is not supported",
                SYMBOLS + 2,
                SYMBOLS + 2 + MAX_MERGES
            ))
        })?;
        if context_length < 2 {
            return Err(ModelError::Input(format!("context of {context_length} tokens holds no text")));
        }
        let mut list = String::new();
        flate2::read::GzDecoder::new(MERGES)
            .read_to_string(&mut list)
            .map_err(|error| ModelError::Input(format!("merges of the tokenizer: {error}")))?;
        let alphabet = alphabet();
        let mut ids: HashMap<String, u32> = HashMap::with_capacity(SYMBOLS + count);
        for (id, (_, symbol)) in (0..).zip(alphabet) {
            ids.insert(symbol.into(), id);
            ids.insert(format!("{symbol}</w>"), id + 256);
        }
        let mut merges = HashMap::with_capacity(count);
        let mut hash = Sha256::new();
        for (id, line) in (SYMBOLS as u32..).zip(list.lines().take(count)) {
            let broken = || ModelError::Input(format!("merges of the tokenizer: {line:?} cannot be read"));
            let (left, right) = line.split_once(' ').ok_or_else(broken)?;
            let pair = (*ids.get(left).ok_or_else(broken)?, *ids.get(right).ok_or_else(broken)?);
            ids.insert(format!("{left}{right}"), id);
            merges.insert(pair, id);
            hash.update(line);
            hash.update("\n");
        }
        if merges.len() != count {
            return Err(ModelError::Input(format!("merges of the tokenizer: {} instead of {count}", merges.len())));
        }
        let mut bytes = [0; 256];
        for (id, (byte, _)) in (0..).zip(alphabet) {
            bytes[usize::from(byte)] = id;
        }
        let start = (SYMBOLS + count) as u32;
        let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { merges, bytes, start, end: start + 1, context_length, sha256 })
    }

    /// SHA-256 of the merges in use, one "left right" a line, as lower-case hexadecimal; for the provenance.
    #[must_use]
    pub fn sha256(&self) -> String {
        self.sha256.clone()
    }

    /// `context_length` ids: start, the text, end, zeros.
    ///
    /// # Errors
    /// `Input` when the text has more tokens than fit (it is never cut), holds `<end_of_text>`, or looks wrongly decoded.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        let refuse = |reason: String| ModelError::Input(format!("text {:?}: {reason}", shortened(text)));
        if text.len() > MAX_BYTES {
            return Err(refuse(format!("{} bytes; no context holds more than {MAX_BYTES}", text.len())));
        }
        let clean = clean::clean(text).map_err(refuse)?;
        let mut ids = vec![self.start];
        for word in WORDS.as_ref().map_err(|error| ModelError::Input(error.to_string()))?.find_iter(&clean) {
            let word = word.map_err(|error| refuse(error.to_string()))?.as_str();
            match word {
                START => ids.push(self.start),
                END => {
                    return Err(refuse(format!(
                        "{END} ends what the model reads; the rest would be ignored: remove it"
                    )));
                }
                // One word that cannot fit is not worth the quadratic work of counting its tokens.
                _ if word.len() > self.context_length * LONGEST_TOKEN => {
                    return Err(refuse(self.too_long(&format!("more than {}", word.len() / LONGEST_TOKEN))));
                }
                _ => ids.extend(self.merge(word)),
            }
        }
        ids.push(self.end);
        if ids.len() > self.context_length {
            return Err(refuse(self.too_long(&ids.len().to_string())));
        }
        ids.resize(self.context_length, 0);
        Ok(ids)
    }

    fn too_long(&self, tokens: &str) -> String {
        format!("{tokens} tokens, start and end included; the model takes {}: shorten it", self.context_length)
    }

    /// Merges the bytes of a word, the earliest merge of the list first, all its places at once from left to right.
    fn merge(&self, word: &str) -> Vec<u32> {
        let mut tokens: Vec<u32> = word.bytes().map(|byte| self.bytes[usize::from(byte)]).collect();
        if let Some(last) = tokens.last_mut() {
            *last += 256;
        }
        let merged = |pair: &[u32]| self.merges.get(&(*pair.first()?, *pair.get(1)?)).copied();
        while let Some(best) = tokens.windows(2).filter_map(merged).min() {
            let mut next = Vec::with_capacity(tokens.len());
            let mut rest = tokens.as_slice();
            while let Some((first, tail)) = rest.split_first() {
                if merged(rest) == Some(best) {
                    next.push(best);
                    rest = tail.get(1..).unwrap_or_default();
                } else {
                    next.push(*first);
                    rest = tail;
                }
            }
            tokens = next;
        }
        tokens
    }
}

/// The 256 bytes in the order of their ids, each with the character that the list of merges writes for it: itself if it
/// is visible, else the next one from U+0100 on (`bytes_to_unicode` of GPT-2).
fn alphabet() -> [(u8, char); 256] {
    let visible = |byte: &u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let shown = (0..=u8::MAX).filter(visible).map(|byte| (byte, char::from(byte)));
    let hidden = (0..=u8::MAX).filter(|byte| !visible(byte)).zip('\u{100}'..);
    let mut alphabet = [(0, '\0'); 256];
    for (place, symbol) in alphabet.iter_mut().zip(shown.chain(hidden)) {
        *place = symbol;
    }
    alphabet
}

/// The beginning of a text, for messages.
fn shortened(text: &str) -> String {
    const LENGTH: usize = 60;
    if text.chars().count() <= LENGTH { text.into() } else { text.chars().take(LENGTH - 1).chain(['…']).collect() }
}
