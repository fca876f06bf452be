//! Which probes a typographic set holds.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

use super::paint::{Style, Written};
use super::{Control, FromLabels, Typographic, Word, Words, normalized};
use crate::probe::fonts::{font_bytes, source_name};
use crate::probe::glyphs::{Face, refuse};
use crate::probe::pseudo::pseudo_word;
use crate::probe::{Generate, PlanContext, ProbeError, canvas_of};
use crate::types::{Labels, Parameters, ProbeId, ProbePlan, Recipe};

/// Facts of an attacked probe; a fact of the base pictures may not have one of these names.
const FACTS: [&str; 10] =
    ["word", "target", "layout", "place", "size", "opacity", "rotation", "font", "shrunk", "attack-word"];
/// More probes than this in one set are taken for a mistake.
const PROBE_LIMIT: usize = 10_000_000;

fn wrong<P: Into<String>>(path: impl IntoIterator<Item = P>, message: impl Into<String>) -> ProbeError {
    ProbeError::Specification { path: path.into_iter().map(Into::into).collect(), message: message.into() }
}

/// A word with all that does not depend on the picture.
struct Attack {
    word: Arc<str>,
    target: Arc<str>,
    control: Option<Arc<str>>,
}

/// One way to paint a word: its facts and its recipe without text and picture.
struct Way {
    style: Style,
    facts: Labels,
    /// The second part of the recipe's parameters.
    parameters: Arc<str>,
    font: usize,
}

pub(super) fn plan(spec: &Typographic, context: &PlanContext<'_>) -> Result<Vec<ProbePlan>, ProbeError> {
    let bases = context.planned.get(&spec.base).map(Vec::as_slice).unwrap_or_default();
    let canvas = check_bases(spec, bases)?;
    let sources: Vec<String> = spec.font.iter().map(|font| source_name(font)).collect();
    let files = sources.iter().map(|name| font_bytes(context.files, name)).collect::<Result<Vec<_>, _>>();
    let files = files.map_err(|problem| wrong(["font"], format!("{problem}; bundled are {}", bundled())))?;
    let faces = files.iter().zip(&*spec.font).map(|(bytes, font)| {
        Face::parse(bytes)
            .ok_or_else(|| wrong(["font"], format!("{font}: is no TrueType or OpenType font that can be drawn")))
    });
    let faces = faces.collect::<Result<Vec<_>, _>>()?;

    let (words, path) = words(spec, context)?;
    let chosen: Vec<Vec<usize>> =
        bases.iter().map(|base| choose(spec, context, &words, base)).collect::<Result<_, _>>()?;
    let used: BTreeSet<usize> = chosen.iter().flatten().copied().collect();
    if used.is_empty() {
        return Err(wrong(["words"], format!("every word's target is the label of every picture of `{}`", spec.base)));
    }
    for &index in &used {
        let text = words.get(index).map_or("", |word| &word.text);
        let at = || path.iter().cloned().chain((path.len() == 1).then(|| index.to_string()));
        if let Some(reason) = refuse(text) {
            return Err(wrong(at(), format!("`{text}` {reason}")));
        }
        let lacking = faces.iter().zip(&*spec.font).find_map(|(face, font)| Some((face.missing(text)?, font)));
        if let Some((letter, font)) = lacking {
            let message =
                format!("`{text}`: the font {font} has no `{letter}` (U+{:04X}); use another font", u32::from(letter));
            return Err(wrong(at(), message));
        }
    }
    // Counted before they are made: lists of some hundred numbers each have more combinations than memory holds.
    let count = chosen.iter().map(Vec::len).sum::<usize>().saturating_mul(count_ways(spec));
    if count > PROBE_LIMIT {
        return Err(wrong(["words"], format!("would make {count} probes; at most {PROBE_LIMIT} fit in a set")));
    }
    let attacks = attacks(spec, context, &words, &used, bases, &faces, &path)?;
    let ways = ways(spec, &sources);

    let names = Names::new(context.set, canvas);
    let shrunk: Vec<Vec<bool>> = words
        .iter()
        .map(|word| {
            ways.iter()
                .map(|way| faces.get(way.font).is_some_and(|face| way.style.shrinks(&word.text, face, canvas)))
                .collect()
        })
        .collect();
    let mut plans = Vec::with_capacity(count * if spec.control == Control::None { 1 } else { 2 });
    for (base, chosen) in bases.iter().zip(&chosen) {
        let below = Arc::new(base.labels.clone());
        let with_font = |source: &String| base.recipe.files.iter().cloned().chain([source.as_str().into()]).collect();
        let files: Vec<Arc<[Arc<str>]>> = sources.iter().map(with_font).collect();
        let mut controls = Vec::new();
        for (index, attack) in chosen.iter().filter_map(|index| Some((index, attacks.get(*index)?.as_ref()?))) {
            let word = names.text(base, &below, attack, None);
            let pseudo = attack.control.as_ref().map(|pseudo| names.text(base, &below, attack, Some(pseudo)));
            for (number, way) in ways.iter().enumerate() {
                let shrunk = shrunk.get(*index).and_then(|row| row.get(number)).copied().unwrap_or_default();
                let Some(files) = files.get(way.font) else { continue };
                let drawn = |text: &Text| text.drawn(spec, base, way, shrunk, files);
                let control = pseudo.as_ref().map(drawn);
                let mut attacked = drawn(&word);
                attacked.control = control.as_ref().map(|control| control.id.clone());
                plans.push(attacked);
                controls.extend(control);
            }
        }
        plans.append(&mut controls);
    }
    Ok(plans)
}

fn bundled() -> String {
    crate::probe::FONTS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// What the base set must be: clean pictures on one canvas, without facts that an attack would overwrite.
fn check_bases(spec: &Typographic, bases: &[ProbePlan]) -> Result<u32, ProbeError> {
    let name = &spec.base;
    let first = bases.first().ok_or_else(|| wrong(["base"], format!("the set `{name}` holds no pictures")))?;
    let canvas =
        canvas_of(&first.recipe).ok_or_else(|| wrong(["base"], format!("`{name}` has no canvas to paint on")))?;
    let mut last = (&first.recipe.parameters, canvas);
    for base in bases {
        if base.source.is_some() {
            return Err(wrong(
                ["base"],
                format!("the set `{name}` is painted on already: name a set of clean pictures"),
            ));
        }
        if let Some(fact) = FACTS.iter().find(|fact| base.labels.contains_key(fact)) {
            let message =
                format!("pictures of `{name}` have a fact `{fact}`, which an attack sets itself: rename the column");
            return Err(wrong(["base"], message));
        }
        let parameters = &base.recipe.parameters;
        if last.0 != parameters {
            last = (parameters, canvas_of(&base.recipe).unwrap_or_default());
        }
        if last.1 != canvas {
            return Err(wrong(["base"], format!("pictures of `{name}` have canvases of different sizes")));
        }
    }
    match spec.canvas {
        Some(own) if own != canvas => {
            let message =
                format!("is {own}, but the pictures of `{name}` are on {canvas} px: give that set the canvas");
            Err(wrong(["canvas"], message))
        }
        _ => Ok(canvas),
    }
}

/// The words with their targets, composed, and the field they come from.
fn words(spec: &Typographic, context: &PlanContext<'_>) -> Result<(Vec<Word>, Vec<String>), ProbeError> {
    match &spec.words {
        Words::List(words) => {
            let words = words.iter().map(|word| Word { text: normalized(&word.text), target: word.target.clone() });
            Ok((words.collect(), vec!["words".to_owned()]))
        }
        Words::FromLabels(FromLabels { from_labels, .. }) => {
            let path = vec!["words".to_owned(), "from-labels".to_owned()];
            let labels = context.labels.get(from_labels);
            let labels =
                labels.ok_or_else(|| wrong(path.clone(), format!("no readout `{from_labels}` with labels")))?;
            Ok((labels.iter().map(|label| Word { text: normalized(label), target: label.clone() }).collect(), path))
        }
    }
}

/// Which words a picture gets, by index: never one whose target is the picture's own label.
fn choose(
    spec: &Typographic,
    context: &PlanContext<'_>,
    words: &[Word],
    base: &ProbePlan,
) -> Result<Vec<usize>, ProbeError> {
    let own = base.labels.get("label").map(|label| label.to_lowercase());
    let mut others: Vec<usize> = (0..words.len())
        .filter(|&index| words.get(index).is_some_and(|word| own.as_deref() != Some(&word.target.to_lowercase())))
        .collect();
    let Words::FromLabels(FromLabels { per_base, .. }) = &spec.words else { return Ok(others) };
    if *per_base > others.len() {
        let message = format!("asks for {per_base} words, but the readout has only {} other labels", others.len());
        return Err(wrong(["words", "per-base"], message));
    }
    let mut hasher = Sha256::new();
    hasher.update(b"words of a picture");
    hasher.update(context.seed.to_le_bytes());
    hasher.update(base.id.to_string().as_bytes());
    let mut random = ChaCha8Rng::from_seed(hasher.finalize().into());
    // The first steps of a Fisher-Yates shuffle. Spelled out, so that no library's next release changes the choice.
    for step in 0..*per_base {
        let left = (others.len() - step) as u64;
        let pick = ((u64::from(random.next_u32()) * left) >> 32) as usize;
        others.swap(step, step + pick);
    }
    others.truncate(*per_base);
    others.sort_unstable();
    Ok(others)
}

/// The words in use with their pseudo-words, by index.
fn attacks(
    spec: &Typographic,
    context: &PlanContext<'_>,
    words: &[Word],
    used: &BTreeSet<usize>,
    bases: &[ProbePlan],
    faces: &[Face<'_>],
    path: &[String],
) -> Result<Vec<Option<Attack>>, ProbeError> {
    let mut taken = BTreeSet::new();
    let mut take = |text: &str| {
        let lower = text.to_lowercase();
        taken.extend(lower.split_whitespace().map(str::to_owned));
        taken.insert(lower);
    };
    context.labels.values().flatten().for_each(|label| take(label));
    words.iter().for_each(|word| [&word.text, &word.target].into_iter().for_each(|text| take(text)));
    bases.iter().filter_map(|base| base.labels.get("label")).for_each(|label| take(label));
    let attack = |(index, word): (usize, &Word)| {
        if !used.contains(&index) {
            return Ok(None);
        }
        let control = match spec.control {
            Control::None => None,
            Control::PseudoWord => {
                let pseudo = pseudo_word(&word.text, context.seed, &taken, faces).ok_or_else(|| {
                    let message = format!(
                        "no pseudo-word can be made for `{}`: set `control: none`, or use another word",
                        word.text
                    );
                    wrong(path.to_vec(), message)
                })?;
                taken.insert(pseudo.to_lowercase());
                Some(pseudo.into())
            }
        };
        Ok(Some(Attack { word: word.text.as_str().into(), target: word.target.as_str().into(), control }))
    };
    words.iter().enumerate().map(attack).collect()
}

/// How many `ways` there are.
fn count_ways(spec: &Typographic) -> usize {
    let places = spec.place.as_ref().map_or(1, |places| places.len());
    let placed = spec.layout.iter().map(|layout| if layout.has_place() { places } else { 1 }).sum::<usize>();
    let numbers = [&spec.size, &spec.opacity, &spec.rotation].map(|numbers| numbers.len());
    numbers.into_iter().chain([spec.font.len()]).fold(placed, usize::saturating_mul)
}

/// Every combination of layout, place, size, opacity, rotation and font.
fn ways(spec: &Typographic, sources: &[String]) -> Vec<Way> {
    let named: Vec<Option<super::Place>> = match &spec.place {
        Some(places) => places.iter().copied().map(Some).collect(),
        None => vec![None],
    };
    let mut ways = Vec::new();
    for &layout in spec.layout.iter() {
        let places: &[Option<super::Place>] = if layout.has_place() { &named } else { &[None] };
        for &place in places {
            for &size in spec.size.iter() {
                for &opacity in spec.opacity.iter() {
                    for &rotation in spec.rotation.iter() {
                        for (font, (name, source)) in spec.font.iter().zip(sources).enumerate() {
                            let style = Style::new(spec, layout, place, [size, opacity, rotation], source);
                            let place = match place {
                                Some(place) => word_of(&place),
                                None if layout.has_place() => "own".to_owned(),
                                None => "spread".to_owned(),
                            };
                            let facts = [
                                ("layout", word_of(&layout)),
                                ("place", place),
                                ("size", number(size)),
                                ("opacity", number(opacity)),
                                ("rotation", number(rotation)),
                                ("font", name.clone()),
                            ];
                            let facts = facts.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
                            ways.push(Way { facts, parameters: style.to_json(), style, font });
                        }
                    }
                }
            }
        }
    }
    ways
}

/// The word a value has in a suite (`bottom-left`).
fn word_of(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A number as a fact: the shortest decimal that reads back as the same number, and no minus before a zero.
fn number(value: f64) -> String {
    format!("{}", value + 0.0)
}

/// What all probes of a set share.
struct Names {
    canvas: u32,
    attacked: Arc<str>,
    control: Arc<str>,
    word: Arc<str>,
    target: Arc<str>,
    attack_word: Arc<str>,
    shrunk: Arc<str>,
    yes: Arc<str>,
    no: Arc<str>,
}

impl Names {
    fn new(set: &str, canvas: u32) -> Self {
        Self {
            canvas,
            attacked: set.into(),
            control: format!("{set}.control").into(),
            word: "word".into(),
            target: "target".into(),
            attack_word: "attack-word".into(),
            shrunk: "shrunk".into(),
            yes: "yes".into(),
            no: "no".into(),
        }
    }

    /// A word on a picture, or its pseudo-word.
    fn text(&self, base: &ProbePlan, below: &Arc<Labels>, attack: &Attack, pseudo: Option<&Arc<str>>) -> Text {
        let text = pseudo.unwrap_or(&attack.word);
        let written = Written {
            base: Cow::Owned(base.id.to_string()),
            canvas: self.canvas,
            text: Cow::Borrowed(text),
            as_wide_as: pseudo.map(|_| Cow::Borrowed(&*attack.word)),
        };
        let labels = |shrunk: &Arc<str>| {
            let facts = [(&self.word, text), (&self.target, &attack.target), (&self.shrunk, shrunk)];
            let facts = facts.into_iter().chain(pseudo.map(|_| (&self.attack_word, &attack.word)));
            let own = facts.map(|(name, value)| (Arc::clone(name), Arc::clone(value))).collect();
            Arc::new(Labels::over(below, &own))
        };
        Text {
            set: Arc::clone(if pseudo.is_some() { &self.control } else { &self.attacked }),
            parameters: written.to_json(),
            labels: [labels(&self.no), labels(&self.yes)],
        }
    }
}

/// What the drawings of one text on one picture share.
struct Text {
    set: Arc<str>,
    /// The first part of the recipe's parameters.
    parameters: Arc<str>,
    /// Facts of picture and text: drawn as asked, and drawn smaller.
    labels: [Arc<Labels>; 2],
}

impl Text {
    fn drawn(
        &self,
        spec: &Typographic,
        base: &ProbePlan,
        way: &Way,
        shrunk: bool,
        files: &Arc<[Arc<str>]>,
    ) -> ProbePlan {
        let [as_asked, smaller] = &self.labels;
        let recipe = Recipe {
            generator: spec.version(),
            parameters: Parameters::joined(Arc::clone(&self.parameters), Arc::clone(&way.parameters)),
            files: Arc::clone(files),
            seed: 0,
        };
        ProbePlan {
            id: ProbeId::of(&self.set, &recipe),
            set: Arc::clone(&self.set),
            labels: Labels::over(if shrunk { smaller } else { as_asked }, &way.facts),
            source: Some(base.id.clone()),
            control: None,
            cluster: Arc::clone(&base.cluster),
            recipe,
        }
    }
}
