//! `zero-shot`: the readout CLIP was published with. The vector of a class is the renormalised mean over templates of the
//! normalised text features; a picture gets the class with the highest cosine (Radford et al. 2021, section 3.1.4).

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::{MeasureError, Predictions, Ranked, Read};
use crate::types::{Matrix, Observations, Problem};

/// How many labels of a prediction are kept.
const KEPT: usize = 5;

/// Two class vectors whose cosine is this close to 1 are one: 100 times what rounding in f32 features can make of equal
/// prompts, and far below what a different word makes of them.
const SAME: f64 = 1e-10;

/// Zero-shot classification over a label set.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ZeroShot {
    /// The label set.
    #[schemars(extend("allOf" = [{ "minItems": 2, "uniqueItems": true, "items": { "pattern": r"^\S(.*\S)?$" } }]))]
    pub labels: Vec<String>,
    /// Prompt templates, each with one `{}` where the label goes.
    #[schemars(extend("allOf" = [{ "minItems": 1, "uniqueItems": true, "items": { "pattern": r"^((?!\{\}).)*\{\}((?!\{\}).)*$" } }]))]
    pub templates: Vec<String>,
}

impl ZeroShot {
    fn prompt(template: &str, label: &str) -> String {
        template.replacen("{}", label, 1)
    }

    /// Class vectors of length 1, [labels][dimension], in f64.
    fn classes(&self, seen: &Observations) -> Result<Vec<Vec<f64>>, MeasureError> {
        let places: BTreeMap<&str, usize> =
            seen.prompts.iter().enumerate().map(|(row, prompt)| (prompt.as_str(), row)).collect();
        let unusable = |prompt: &str, why: &str| MeasureError::Observations(format!("the prompt `{prompt}` {why}"));
        self.labels
            .iter()
            .map(|label| {
                let mut sum = vec![0.0; seen.prompt_features.columns()];
                for template in &self.templates {
                    let prompt = Self::prompt(template, label);
                    let row = places.get(prompt.as_str()).filter(|row| **row < seen.prompt_features.rows());
                    let row = *row.ok_or_else(|| unusable(&prompt, "has no text feature"))?;
                    let feature = unit(seen.prompt_features.row(row).iter().map(|value| f64::from(*value)))
                        .ok_or_else(|| unusable(&prompt, "has a text feature of length 0 or with a NaN"))?;
                    sum.iter_mut().zip(feature).for_each(|(sum, value)| *sum += value);
                }
                unit(sum.into_iter()).ok_or_else(|| {
                    MeasureError::Observations(format!("the prompts of `{label}` cancel to a class vector of length 0"))
                })
            })
            .collect()
    }
}

impl ZeroShot {
    /// Of two labels with one class vector the second could never be answered: an attack on it would never succeed, and
    /// its pictures would never be right.
    fn distinct(&self, classes: &[Vec<f64>]) -> Result<(), MeasureError> {
        let same = |first: &[f64], second: &[f64]| {
            1.0 - first.iter().zip(second).map(|(first, second)| first * second).sum::<f64>() < SAME
        };
        for (place, (label, class)) in self.labels.iter().zip(classes).enumerate() {
            let before = self.labels.iter().zip(classes).take(place);
            if let Some((other, _)) = before.into_iter().find(|(_, other)| same(other, class)) {
                return Err(MeasureError::Readout(format!(
                    "the labels `{other}` and `{label}` have the same text features, so `{label}` could never be answered: \
                     the tokenizer reads them as one text, or the model does not tell texts apart; leave one out"
                )));
            }
        }
        Ok(())
    }
}

/// The vector at length 1; `None` when its length is 0 or not finite.
fn unit(values: impl Iterator<Item = f64> + Clone) -> Option<Vec<f64>> {
    let norm = values.clone().map(|value| value * value).sum::<f64>().sqrt();
    (norm > 0.0 && norm.is_finite()).then(|| values.map(|value| value / norm).collect())
}

/// The first labels of one picture; `None` when its feature has no direction.
fn rank(feature: &[f32], classes: &[Vec<f64>], scale: f64, bias: f64) -> Option<Vec<Ranked>> {
    let feature = unit(feature.iter().map(|value| f64::from(*value)))?;
    let cosines: Vec<f64> =
        classes.iter().map(|class| class.iter().zip(&feature).map(|(class, value)| class * value).sum()).collect();
    let logits: Vec<f64> = cosines.iter().map(|cosine| scale * cosine + bias).collect();
    // Shifted by the largest logit, so that no exponential overflows.
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    let mut order: Vec<usize> = (0..classes.len()).collect();
    // A stable sort: exact ties stay in the order of the label set.
    order.sort_by(|first, second| cosines[*second].total_cmp(&cosines[*first]));
    let ranked = |label: usize| Ranked {
        label: label as u32,
        probability: ((logits[label] - largest).exp() / total) as f32,
        cosine: cosines[label] as f32,
    };
    Some(order.into_iter().take(KEPT).map(ranked).collect())
}

impl Read for ZeroShot {
    fn labels(&self) -> &[String] {
        &self.labels
    }

    fn prompts(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let all = self.labels.iter().flat_map(|label| self.templates.iter().map(|one| Self::prompt(one, label)));
        all.filter(|prompt| seen.insert(prompt.clone())).collect()
    }

    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.labels.len() < 2 {
            problems.push(Problem::new(["labels"], "expected at least two labels to choose between"));
        }
        if self.templates.is_empty() {
            problems.push(Problem::new(["templates"], "expected at least one template such as \"a photo of a {}\""));
        }
        let mut first: BTreeMap<String, usize> = BTreeMap::new();
        for (place, label) in self.labels.iter().enumerate() {
            let mut problem = |message: String| {
                problems.push(Problem::new(["labels".to_owned(), place.to_string()], message));
            };
            text_problem(label).into_iter().for_each(&mut problem);
            match first.get(&folded(label)) {
                Some(other) if self.labels[*other] == *label => problem(format!("`{label}` stands in the list twice")),
                Some(other) => problem(format!(
                    "`{label}` and `{}` are one label to the model, which ignores case and repeated spaces",
                    self.labels[*other]
                )),
                None => {
                    first.insert(folded(label), place);
                }
            }
        }
        let mut templates = BTreeSet::new();
        for (place, template) in self.templates.iter().enumerate() {
            let mut problem = |message: String| {
                problems.push(Problem::new(["templates".to_owned(), place.to_string()], message));
            };
            text_problem(template).into_iter().for_each(&mut problem);
            let holes = template.matches("{}").count();
            if holes != 1 {
                problem(format!("expected exactly one `{{}}` where the label goes, found {holes}"));
            }
            if !templates.insert(folded(template)) {
                problem(format!("`{template}` stands in the list twice and would count twice in the mean"));
            }
        }
        problems
    }

    fn predict(&self, seen: &Observations) -> Result<Predictions, MeasureError> {
        let classes = self.classes(seen)?;
        self.distinct(&classes)?;
        let mut top = Vec::with_capacity(seen.probes.len());
        let mut unusable = None;
        seen.for_each_chunk(|_, chunk| {
            let features: &Matrix = &chunk.embeddings;
            let ranked: Vec<Option<Vec<Ranked>>> = (0..features.rows())
                .into_par_iter()
                .map(|row| rank(features.row(row), &classes, seen.logit_scale, seen.logit_bias))
                .collect();
            for (id, ranked) in chunk.ids.iter().zip(ranked) {
                if ranked.is_none() {
                    unusable.get_or_insert_with(|| id.clone());
                }
                top.push(ranked.unwrap_or_default());
            }
        })?;
        if let Some(id) = unusable {
            return Err(MeasureError::Observations(format!(
                "probe {id} has an image feature of length 0 or with a NaN"
            )));
        }
        if top.len() != seen.probes.len() {
            return Err(MeasureError::Observations(format!(
                "the chunks hold {} image features for {} probes",
                top.len(),
                seen.probes.len()
            )));
        }
        Ok(Predictions { labels: self.labels.clone(), top })
    }
}

/// A text as the tokenizer sees it: composed, lower-case, white space collapsed.
fn folded(text: &str) -> String {
    let composed: String = text.nfc().collect();
    composed.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Why a text of a suite cannot be shown and compared safely.
fn text_problem(text: &str) -> Option<String> {
    let hidden = |character: &char| {
        character.is_control()
            || matches!(character, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{061C}' | '\u{FEFF}')
    };
    if text.trim().is_empty() {
        return Some("expected some text".to_owned());
    }
    if text.trim() != text {
        return Some(format!("`{text}` begins or ends with white space"));
    }
    let found = text.chars().find(hidden)?;
    Some(format!("contains U+{:04X}, a control or direction character that a reader cannot see", u32::from(found)))
}
