//! `word-driven-units`: which units of a tapped layer carry a written word beyond its paint.
//!
//! Per unit and attacked probe: the change for the word (attacked minus clean) less the change for its control twin
//! (control minus clean), which is attacked minus control. The mean is taken within each cluster, then over clusters, in
//! standard deviations of the unit over the clean set (sigma), so that units are comparable. Any paint moves almost every
//! unit a little; the control twin takes that away, and a minimum effect says what is worth a word.
//!
//! What is chosen on some pictures is scored on others: clusters are split in halves by a seeded hash. Units are chosen
//! on the *selection half*; every number is of the *reporting half*. Beside the chosen units stand random ones and those
//! with the largest norm. The claim is about the words of the set: another word may drive other units.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::activations::{Load, Sums, select, sum};
use super::effects::{ALPHA, Contrast, Effects, Halves, blocks};
use super::pairs::{Control, twins};
use super::rows::{Item, Maker, Row, evidence, facts};
use super::{Measure, MeasureError, Measured, Needs, Seen, Statistic};
use crate::stats::{LEVEL, MINIMUM_CLUSTERS, clustered_mean, sample, stream};
use crate::types::{Direction, Estimate, ExhibitKind, Labels, Measurement, ProbeId, Problem, Scale, Tap, Unit, Value};

/// Most units that can be asked for.
const TOP: usize = 100;
/// Words shown for a unit.
const WORDS: usize = 3;
/// Bars of the histogram.
const BARS: usize = 40;

/// Units that a written word drives.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WordDrivenUnits {
    /// The set of clean twins: its spread is the unit of measure.
    pub clean: String,
    /// The set of attacked probes, with control twins.
    pub attacked: String,
    /// The layer, where in it, and how positions are pooled: `layer4.pre_relu:mean`. Left out, the neurons nearest to the
    /// model's embedding, which `inspect` names.
    #[schemars(with = "String", extend("allOf" = [{ "pattern": r"^.+\.[a-z_]+:[a-z]+$" }]))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tap: Option<Tap>,
    /// How many units to choose and to report.
    #[schemars(extend("allOf" = [{ "minimum": 1, "maximum": TOP }]))]
    #[serde(default = "default_top")]
    pub top: usize,
    /// The smallest change that counts, in standard deviations over the clean set.
    #[schemars(extend("allOf" = [{ "minimum": 0 }]))]
    #[serde(default = "default_minimum_effect")]
    pub minimum_effect: f64,
    /// Only attacked probes with this word (their label `word`); left out, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word: Option<String>,
}

fn default_top() -> usize {
    10
}

fn default_minimum_effect() -> f64 {
    0.2
}

const COUNTED: &str = "pairs of the reporting half";

/// How the interval of a mean over clusters is made.
const OF_MEANS: &str = "Student's t over cluster means of the reporting half";

const fn sigma(name: &'static str, about: &'static str, formula: &'static str, method: &'static str) -> Statistic {
    let (scale, worse) = (Scale::Number, Direction::Higher);
    Statistic { name, about, formula, method, counted: COUNTED, scale, worse, of_units: false }
}

const DRIVEN: Statistic = sigma(
    "driven",
    "units that the word changes at least by the minimum effect",
    "number of units with |effect| >= minimum-effect and family-wise p <= 0.05 on the reporting half",
    "bounds by Student's t for all units together (Bonferroni); max-statistic sign-flip permutation over clusters",
);
const SELECTED: Statistic = sigma(
    "selected",
    "mean change of the chosen units for the word, in sigma and their direction",
    "mean over chosen units of sign(effect on the selection half) x effect on the reporting half",
    OF_MEANS,
);
const RANDOM: Statistic =
    sigma("random", "the same for as many random units", "as `selected`, units drawn at random", OF_MEANS);
const LARGEST: Statistic = sigma(
    "largest-norm",
    "the same for as many units of largest norm",
    "as `selected`, units of largest root mean square over the clean set",
    OF_MEANS,
);
const EFFECT: Statistic = Statistic {
    of_units: true,
    ..sigma(
        "effect",
        "change of the unit for the word beyond its control twin, in sigma",
        "mean over clusters of (attacked - control) / standard deviation over the clean set",
        "Student's t over cluster means of the reporting half; q after Benjamini and Hochberg over all units of the tap",
    )
};

impl Measure for WordDrivenUnits {
    fn statistics(&self) -> &'static [Statistic] {
        &[DRIVEN, SELECTED, RANDOM, LARGEST, EFFECT]
    }

    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !(1..=TOP).contains(&self.top) {
            problems.push(Problem::new(["top"], format!("is {}: expected 1 to {TOP}", self.top)));
        }
        if !(self.minimum_effect.is_finite() && self.minimum_effect >= 0.0) {
            let message = format!("is {}: expected a number of standard deviations, 0 or more", self.minimum_effect);
            problems.push(Problem::new(["minimum-effect"], message));
        }
        problems
    }

    fn needs(&self) -> Needs {
        let wanted = |word: &String| {
            let labels = BTreeMap::from([("word".to_owned(), word.clone())]);
            (vec!["word".to_owned()], self.attacked.clone(), labels)
        };
        Needs {
            sets: vec![("clean", self.clean.clone()), ("attacked", self.attacked.clone())],
            selections: self.word.iter().map(wanted).collect(),
            taps: self.tap.iter().cloned().collect(),
            ..Needs::default()
        }
    }

    fn open_tap(&mut self) -> Option<&mut Option<Tap>> {
        Some(&mut self.tap)
    }

    fn of_readouts(&self) -> bool {
        false
    }

    fn measure(&self, seen: &Seen<'_>) -> Result<Measured, MeasureError> {
        let tap = self.tap()?;
        let mut measured = Measured::default();
        let maker = Maker { seen, readout: "", each: 0 };
        let contrasts = self.contrasts(&maker, &mut measured);
        let halves = Halves::of(seen, &contrasts);
        if halves.selection.len() < MINIMUM_CLUSTERS {
            let clusters = halves.selection.len() + halves.reporting.len();
            let reason = format!(
                "{clusters} independent clusters are too few, at least {} are needed: half to choose units, half to \
                 report on",
                2 * MINIMUM_CLUSTERS
            );
            measured.measurements = not_measured(&maker, &halves.counts(), &reason);
            return Ok(measured);
        }

        let sums = self.sums(seen, &halves)?;
        let mut table = Effects::of(&sums, &halves);
        let still = sums.units - table.units.len();
        if still > 0 {
            let note = format!("{still} of {} units of `{tap}` have no variance over `{}`", sums.units, self.clean);
            maker.note(&mut measured, [format!("{note}: they are left out")]);
        }
        if table.units.is_empty() {
            let reason = format!("no unit of `{tap}` has any variance over `{}`", self.clean);
            measured.measurements = not_measured(&maker, &halves.counts(), &reason);
            return Ok(measured);
        }
        table.test(seen.seed, &format!("{} test", maker.id(&EFFECT, &all())));
        self.report(&maker, &sums, &halves, &table, &mut measured)?;
        Ok(measured)
    }
}

impl WordDrivenUnits {
    /// The tap of this run.
    fn tap(&self) -> Result<&Tap, MeasureError> {
        self.tap
            .as_ref()
            .ok_or_else(|| MeasureError::Observations("the suite leaves the tap open, and no model set it".to_owned()))
    }

    /// Every attacked probe that has a control twin.
    fn contrasts<'a>(&self, maker: &Maker<'a>, measured: &mut Measured) -> Vec<Contrast<'a>> {
        let (found, mut out) = twins(maker.seen, &self.clean, &self.attacked);
        let mut contrasts = Vec::with_capacity(found.len());
        for twins in found {
            let Some(attacked) = maker.seen.observations.probes.get(twins.attacked) else { continue };
            let labels = &attacked.plan.labels;
            let word = labels.get("word").map(|word| &**word);
            if self.word.as_ref().is_some_and(|wanted| word != Some(wanted.as_str())) {
                continue;
            }
            match twins.control {
                Control::Row(row) => {
                    contrasts.push(Contrast { attacked, attacked_row: twins.attacked, control_row: row });
                }
                Control::Lost => out.add("left out: the control twin could not be used", facts(labels)),
                Control::Unplanned => out.add("left out: there is no control twin", facts(labels)),
            }
        }
        maker.note(measured, out.notes());
        contrasts
    }

    /// Streams the tap: the mean effect of every block of clusters, in activations.
    fn sums(&self, seen: &Seen<'_>, halves: &Halves<'_>) -> Result<Sums, MeasureError> {
        let mut loads = Vec::new();
        let mut first = 0;
        for half in [&halves.selection, &halves.reporting] {
            let (size, count) = blocks(half.len());
            for (place, cluster) in half.iter().enumerate() {
                // Scaled so that the mean over blocks is the mean over clusters, the last block being smaller or not.
                let weight = count as f64 / half.len() as f64 / cluster.len() as f64;
                for contrast in cluster {
                    let sum = first + place / size;
                    loads.push(Load { row: contrast.attacked_row, sum, weight });
                    loads.push(Load { row: contrast.control_row, sum, weight: -weight });
                }
            }
            first += count;
        }
        let observations = seen.observations;
        let clean = |row: usize| observations.probes.get(row).is_some_and(|probe| *probe.plan.set == *self.clean);
        sum(observations, self.tap()?, loads, first, clean)
    }

    /// Chooses units, and makes all numbers and charts of the reporting half.
    fn report(
        &self,
        maker: &Maker<'_>,
        sums: &Sums,
        halves: &Halves<'_>,
        effects: &Effects,
        measured: &mut Measured,
    ) -> Result<(), MeasureError> {
        let (seen, tap) = (maker.seen, self.tap()?);
        let unit = |place: usize| effects.units.get(place).copied().unwrap_or_default();
        let selection = |place: usize| effects.selection.get(place).copied().unwrap_or_default();
        let random = &mut stream(seen.seed, &maker.id(&RANDOM, &all()));
        let chosen = effects.largest(self.top, |place| selection(place).abs());
        let random = sample(self.top, effects.units.len(), random);
        let largest = effects.largest(self.top, |place| sums.norms.get(unit(place)).copied().unwrap_or_default());
        let changes = self.changes(seen, sums, halves, &chosen.iter().map(|place| unit(*place)).collect::<Vec<_>>())?;
        let strongest = |value: &dyn Fn(&Change<'_>) -> f64| {
            let items: Vec<&Change<'_>> = changes.iter().collect();
            evidence(&items, |_| None, |change| Some(value(change)).filter(|value| *value > 0.0))
        };
        let together = strongest(&|change| {
            chosen.iter().zip(&change.effects).map(|(place, effect)| effects.direction(*place) * effect).sum()
        });

        let counts = halves.counts();
        let mut add = |statistic, value: &dyn Fn(f64) -> Value, cited: &[ProbeId]| {
            measured.measurements.push(maker.measurement(statistic, &all(), counts, value, cited.to_vec()));
        };
        add(&DRIVEN, &|level| self.driven(effects, level), &together);
        for (statistic, places, cited) in
            [(&SELECTED, &chosen, &together[..]), (&RANDOM, &random, &[]), (&LARGEST, &largest, &[])]
        {
            let means = effects.aligned(places);
            add(statistic, &|level| clustered_mean(&means, level), cited);
        }
        for (order, place) in chosen.iter().enumerate() {
            let column = effects.column(*place);
            let cited = strongest(&|change| effects.direction(*place) * change.effect(order));
            let value = |level| clustered_mean(&column, level);
            let mut effect = maker.measurement(&EFFECT, &all(), counts, value, cited);
            effect.id.push_str(&format!("/unit={}", unit(*place)));
            effect.unit = Some(Unit {
                weights: seen.observations.weights.clone(),
                layer: tap.layer.clone(),
                site: tap.site,
                index: unit(*place),
            });
            effect.test = effects.tests.get(*place).cloned().flatten();
            measured.measurements.push(effect);
        }

        let (size, count) = blocks(halves.reporting.len());
        if size > 1 {
            let note = format!("the {} clusters of the reporting half stand in {count} blocks of {size}", counts.1);
            maker.note(measured, [note]);
        }
        let groups = [("chosen", &chosen), ("random", &random), ("largest norm", &largest)];
        let mut rows = Vec::new();
        for (name, places) in groups {
            for (order, place) in places.iter().enumerate() {
                let effect = clustered_mean(&effects.column(*place), LEVEL);
                let q = effects.tests.get(*place).and_then(|test| test.as_ref()?.adjusted_p);
                let words =
                    if name == "chosen" { self.words(&changes, order, effects.direction(*place)) } else { None };
                rows.push(vec![
                    name.to_owned(),
                    unit(*place).to_string(),
                    sigmas(selection(*place)),
                    cell(&effect, effects.mean(*place)),
                    q.map_or("-".to_owned(), p_cell),
                    effects.family_wise.get(*place).map_or("-".to_owned(), |p| p_cell(*p)),
                    if effects.driven(*place, self.minimum_effect) { "yes" } else { "no" }.to_owned(),
                    words.unwrap_or_default(),
                ]);
            }
        }
        let columns = [
            "chosen how",
            "unit",
            "effect, selection half",
            "effect, reporting half [95 %]",
            "q",
            "p, family-wise",
            "driven",
            "words that move it most (pairs)",
        ];
        let about = format!(
            "Change of the unit's activation for the word beyond its control twin (same paint, a pseudo-word), in \
             standard deviations of the unit over clean pictures (sigma). Units were chosen by the size of their \
             effect on one half of the clusters; everything else is of the other half ({} pairs in {} clusters), beside \
             random units and those of largest norm. Driven: at least {} sigma, and p at most {ALPHA:.2} by a \
             max-statistic sign-flip permutation over clusters and all {} units ({}). q ranks: Benjamini and Hochberg.",
            counts.0,
            counts.1,
            self.minimum_effect,
            effects.units.len(),
            effects.draws,
        );
        measured.exhibits.push(maker.exhibit(
            "units",
            format!("Units of {tap} that the word drives"),
            &about,
            ExhibitKind::Table { columns: columns.map(str::to_owned).to_vec(), rows },
        ));
        let means: Vec<f64> = (0..effects.units.len()).map(|place| effects.mean(place)).collect();
        measured.exhibits.push(maker.exhibit(
            "effects",
            format!("Effects of all units of {tap}"),
            "Every unit with variance over the clean set, on the reporting half: a word that drives a few units leaves \
             most of them near zero.",
            histogram(&means),
        ));
        Ok(())
    }

    /// The chosen units' effects, pair by pair of the reporting half.
    fn changes<'a>(
        &self,
        seen: &Seen<'_>,
        sums: &Sums,
        halves: &Halves<'a>,
        units: &[usize],
    ) -> Result<Vec<Change<'a>>, MeasureError> {
        let contrasts = || halves.reporting.iter().flatten();
        let rows: BTreeSet<usize> = contrasts().flat_map(|one| [one.attacked_row, one.control_row]).collect();
        let values = select(seen.observations, self.tap()?, units, |row| rows.contains(&row))?;
        let change = |contrast: &&'a Contrast<'a>| {
            let (attacked, control) = (values.get(&contrast.attacked_row)?, values.get(&contrast.control_row)?);
            let pairs = attacked.iter().zip(control).zip(units);
            let effects = pairs
                .map(|((attacked, control), unit)| {
                    let deviation = sums.deviations.get(*unit).copied().unwrap_or(1.0);
                    (f64::from(*attacked) - f64::from(*control)) / deviation
                })
                .collect();
            Some(Change { contrast, effects })
        };
        Ok(contrasts().filter_map(change).collect())
    }

    /// The words that move a unit most in its direction: mean effect over their pairs.
    fn words(&self, changes: &[Change<'_>], order: usize, direction: f64) -> Option<String> {
        let mut words: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
        for change in changes {
            let word = change.labels().get("word")?;
            let (sum, pairs) = words.entry(word).or_default();
            *sum += change.effect(order);
            *pairs += 1;
        }
        let mut means: Vec<(f64, &str, usize)> =
            words.into_iter().map(|(word, (sum, pairs))| (sum / pairs as f64, word, pairs)).collect();
        means.sort_by(|first, second| (direction * second.0).total_cmp(&(direction * first.0)));
        let shown = means.iter().take(WORDS).filter(|(mean, ..)| direction * mean > 0.0);
        let shown: Vec<String> =
            shown.map(|(mean, word, pairs)| format!("{word} {} ({pairs})", sigmas(*mean))).collect();
        Some(shown.join(", "))
    }

    /// How many units pass on the reporting half. The interval counts those whose effects certainly reach, and those that
    /// may reach, the minimum, by Student's intervals that hold for all units together (Bonferroni).
    fn driven(&self, effects: &Effects, level: f64) -> Value {
        let places = || 0..effects.units.len();
        let each = 1.0 - (1.0 - level) / effects.units.len().max(1) as f64;
        let least = self.minimum_effect;
        let (mut low, mut high) = (0_usize, 0_usize);
        for place in places() {
            match clustered_mean(&effects.column(place), each) {
                Value::Measured(effect) => {
                    low += usize::from(effect.low() > least || effect.high() < -least);
                    high += usize::from(effect.high() >= least || effect.low() <= -least);
                }
                Value::NotMeasured { .. } => high += usize::from(effects.mean(place).abs() >= least),
            }
        }
        let point = places().filter(|place| effects.driven(*place, least)).count();
        let method = format!(
            "of {} units: at least {least} sigma and p <= {ALPHA:.2} by max-statistic sign-flip ({}); bounds by Student's t \
             for all units together",
            effects.units.len(),
            effects.draws
        );
        match Estimate::new(point as f64, low.min(point) as f64, high.max(point) as f64, level, method) {
            Ok(estimate) => Value::Measured(estimate),
            Err(error) => unmeasured(&error.to_string()),
        }
    }
}

/// A contrast of the reporting half with the chosen units' effects, in sigma.
struct Change<'a> {
    contrast: &'a Contrast<'a>,
    effects: Vec<f64>,
}

impl Change<'_> {
    fn effect(&self, order: usize) -> f64 {
        self.effects.get(order).copied().unwrap_or_default()
    }
}

impl Item for Change<'_> {
    fn labels(&self) -> &Labels {
        self.contrast.labels()
    }
    fn cluster(&self) -> &str {
        self.contrast.cluster()
    }
    fn id(&self) -> &ProbeId {
        self.contrast.id()
    }
}

/// All summary numbers, without a number.
fn not_measured(maker: &Maker<'_>, counts: &(usize, usize), reason: &str) -> Vec<Measurement> {
    let none = |statistic| maker.measurement(statistic, &all(), *counts, |_| unmeasured(reason), Vec::new());
    [&DRIVEN, &SELECTED, &RANDOM, &LARGEST].into_iter().map(none).collect()
}

fn unmeasured(reason: &str) -> Value {
    Value::NotMeasured { reason: reason.to_owned() }
}

fn all<'a>() -> Row<'a, Contrast<'a>> {
    Row { group: BTreeMap::new(), items: Vec::new(), each: false }
}

/// Two decimals with a sign: `+1.25`.
fn sigmas(value: f64) -> String {
    format!("{value:+.2}")
}

fn cell(value: &Value, mean: f64) -> String {
    match value {
        Value::Measured(effect) => {
            format!("{} [{}, {}]", sigmas(effect.point()), sigmas(effect.low()), sigmas(effect.high()))
        }
        Value::NotMeasured { .. } => format!("{} (no spread)", sigmas(mean)),
    }
}

fn p_cell(p: f64) -> String {
    if p < 0.0001 { "< 0.0001".to_owned() } else { format!("{p:.4}") }
}

/// Counts between the smallest and the largest value, in bars of equal width.
fn histogram(values: &[f64]) -> ExhibitKind {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (low, high) = if low < high { (low, high) } else { (low - 0.5, low + 0.5) };
    let edges: Vec<f64> = (0..=BARS).map(|bar| low + (high - low) * bar as f64 / BARS as f64).collect();
    let mut counts = vec![0; BARS];
    for value in values {
        let bar = edges.partition_point(|edge| edge <= value).saturating_sub(1).min(BARS - 1);
        if let Some(count) = counts.get_mut(bar) {
            *count += 1;
        }
    }
    ExhibitKind::Histogram { x_title: "effect of the word beyond its control twin (sigma)".to_owned(), edges, counts }
}
