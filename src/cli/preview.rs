//! `clip-audit preview`: a contact sheet of a suite's probes, without a model.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use rayon::prelude::*;

use super::exit::Failure;
use super::{Compute, exit, place, say};
use crate::audit::{self, probes};
use crate::model::Dtype;
use crate::observe::Renderer;
use crate::pixels::encode_png;
use crate::sheet::{self, Card, Cell, Picture, Section, Sheet};
use crate::suite::{self, Planned, PlannedSet, Suite};
use crate::types::ProbePlan;

#[derive(Args)]
pub(super) struct Preview {
    /// A suite file, or the name of a suite that ships
    suite: String,
    /// The sheet, a PNG file
    #[arg(long, default_value = "preview.png")]
    out: PathBuf,
    /// Pictures on the sheet
    #[arg(long, default_value = "48", value_parser = clap::value_parser!(u16).range(1..=400))]
    count: u16,
    /// Width of the sheet, pixels
    #[arg(long, default_value = "1600", value_parser = clap::value_parser!(u32).range(i64::from(sheet::MIN_WIDTH)..=i64::from(sheet::MAX_WIDTH)))]
    width: u32,
    /// Show the pictures of people, too
    #[arg(long)]
    show_people: bool,
    /// Side of the model's input, pixels; then no model is read
    #[arg(long, conflicts_with = "model", value_parser = clap::value_parser!(u32).range(16..=1024))]
    image_size: Option<u32>,
    /// The model whose input the pictures are drawn for, instead of the one the suite names
    #[arg(long)]
    model: Option<String>,
    #[command(flatten)]
    compute: Compute,
}

/// The labels that tell most about a probe. Those that measures break numbers down by follow, then the others by name.
const FIRST: [&str; 5] = ["label", "word", "target", "attack-word", "size"];
/// Characters of a file's name in the reason why it cannot be used.
const FILE_NAME: usize = 48;

impl Preview {
    pub(super) fn run(&self) -> anyhow::Result<u8> {
        if self.out.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("png")) {
            let message = format!("{}: a sheet is a PNG file; give it a name that ends in .png", self.out.display());
            return Err(Failure::usage(message).into());
        }
        let placed = place::suite(&self.suite)?;
        let side = match self.image_size {
            Some(side) => side,
            None => {
                let source = placed.model(self.model.as_deref(), self.compute.allow_download)?.parse()?;
                let compute = self.compute.clone().saying(&placed, self.model.as_deref());
                compute.open_as(&source, Dtype::F32, None)?.info().image_size
            }
        };
        let place::Placed { suite, files } = placed;
        let planned = suite::plan(&suite, &files, side)?;
        let generators = audit::generators(&suite);
        let groups = suite.measures.iter().flat_map(|measure| measure.compute.by());
        let drawing = Drawing {
            renderer: Renderer::new(&planned.plans, &generators, &files),
            hidden: if self.show_people { BTreeSet::new() } else { suite.people() },
            first: FIRST.into_iter().chain(groups.map(String::as_str)).collect(),
        };

        let chosen = choose(&planned, usize::from(self.count));
        let sections: Vec<Section> = chosen.iter().map(|chosen| drawing.section(chosen, &planned)).collect();
        let cells = || sections.iter().flat_map(|section| &section.cards).flat_map(|card| &card.0);
        let shown = cells().count();
        let unusable = cells().filter(|cell| matches!(cell.picture, Picture::Unusable(_))).count();
        let sheet = Sheet {
            title: suite.name.clone(),
            about: suite.description.clone().unwrap_or_default(),
            notes: notes(&planned, shown, unusable, side),
            footer: footer(&suite),
            sections,
        };
        let image = sheet::draw(&sheet, self.width).ok_or_else(|| {
            Failure::usage(format!(
                "the sheet would be higher than {} pixels: show fewer pictures with --count, or make it wider with --width",
                sheet::MAX_HEIGHT
            ))
        })?;
        let png = encode_png(&image).map_err(|error| Failure::environment(error.to_string()))?;
        place::write_whole(&self.out, |out| Ok(out.write_all(&png)?))?;
        let (width, height) = image.dimensions();
        let refused = if unusable > 0 { format!("; {unusable} of those cannot be used") } else { String::new() };
        say::line(format!(
            "{}: {shown} of {} probes, {width} x {height} px{refused}",
            self.out.display(),
            planned.plans.len()
        ))?;
        Ok(exit::PASS)
    }
}

/// What is shown of a set: cards of one probe, or of a probe and its control twin.
struct Chosen<'a> {
    set: &'a PlannedSet,
    /// Those of the set itself.
    plans: Vec<&'a ProbePlan>,
    /// The names of the labels in which probes differ, of the set and of its control set.
    differing: [BTreeSet<Arc<str>>; 2],
    picked: Vec<usize>,
}

fn choose(planned: &Planned, count: usize) -> Vec<Chosen<'_>> {
    let mut all: Vec<Chosen<'_>> = planned
        .sets
        .iter()
        .map(|set| {
            let range = planned.plans.get(set.range.clone()).unwrap_or_default();
            let (plans, twins): (Vec<&ProbePlan>, Vec<&ProbePlan>) =
                range.iter().partition(|plan| *plan.set == *set.id);
            let differing = [&plans, &twins].map(|plans| sheet::differing(plans.iter().copied()));
            Chosen { set, plans, differing, picked: Vec::new() }
        })
        .collect();
    let sizes: Vec<(usize, usize)> =
        all.iter().map(|one| (one.plans.len(), if one.set.controls > 0 { 2 } else { 1 })).collect();
    for (one, cards) in all.iter_mut().zip(sheet::share(count, &sizes)) {
        one.picked = sheet::spread(&one.plans, &one.differing[0], cards);
    }
    all
}

/// How cells are drawn.
struct Drawing<'a> {
    renderer: Renderer<'a>,
    /// Sets whose pictures are not shown.
    hidden: BTreeSet<String>,
    /// Labels whose facts come first.
    first: Vec<&'a str>,
}

impl Drawing<'_> {
    fn section(&self, chosen: &Chosen<'_>, planned: &Planned) -> Section {
        let set = chosen.set;
        let cards: Vec<Card> = chosen
            .picked
            .par_iter()
            .filter_map(|place| chosen.plans.get(*place))
            .map(|plan| {
                let twin = plan.control.as_ref().and_then(|id| self.renderer.plan(id));
                let shown = std::iter::once(*plan).chain(twin).zip(&chosen.differing);
                Card(shown.map(|(plan, differing)| self.cell(plan, differing)).collect())
            })
            .collect();
        let controls = match set.controls {
            0 => String::new(),
            controls => format!(" and {controls} control twins (`{}.control`)", set.id),
        };
        let shown: usize = cards.iter().map(|card| card.0.len()).sum();
        let counts = format!("{}{controls}, {shown} shown · {}", probes(chosen.plans.len()), set.generator);
        let labels = planned.plans.get(set.range.start).into_iter().flat_map(|plan| &plan.labels);
        let constant = labels.filter(|(name, _)| !chosen.differing[0].contains(*name));
        let constant: Vec<String> = constant.map(|(name, value)| format!("{name} {value}")).collect();
        let common = if constant.is_empty() { String::new() } else { format!("all with {}", constant.join(" · ")) };
        Section { title: set.id.clone(), counts, common, cards }
    }

    fn cell(&self, plan: &ProbePlan, differing: &BTreeSet<Arc<str>>) -> Cell {
        let value = |name: &Arc<str>| Some((name.to_string(), plan.labels.get(name)?.to_string()));
        let mut facts: Vec<(String, String)> = differing.iter().filter_map(value).collect();
        facts.sort_by_key(|(name, _)| self.first.iter().position(|first| first == name).unwrap_or(usize::MAX));
        let mut notes = Vec::new();
        let picture = if self.hidden.contains(&*plan.set) {
            Picture::Hidden("The set shows people; --show-people shows them here.".to_owned())
        } else {
            match self.renderer.render(plan) {
                Ok(rendered) => {
                    notes = rendered.notes;
                    Picture::Shown(rendered.image)
                }
                Err(error) => Picture::Unusable(reason(plan, &error.to_string())),
            }
        };
        Cell { picture, set: plan.set.to_string(), id: plan.id.to_string(), facts, notes }
    }
}

/// Why a probe cannot be used: long names of files leave room for the reason.
fn reason(plan: &ProbePlan, message: &str) -> String {
    plan.recipe.files.iter().fold(message.to_owned(), |message, file| {
        let letters: Vec<char> = file.chars().collect();
        match letters.len().checked_sub(FILE_NAME / 2) {
            Some(tail) if letters.len() > FILE_NAME => {
                let part = |range: &[char]| range.iter().collect::<String>();
                let (head, tail) = (part(&letters[..FILE_NAME / 2]), part(&letters[tail..]));
                message.replace(&**file, &format!("{head}…{tail}"))
            }
            _ => message,
        }
    })
}

fn notes(planned: &Planned, shown: usize, unusable: usize, side: u32) -> Vec<String> {
    let all = planned.plans.len();
    let mut how = format!("{} planned for a model that takes {side} x {side} px, {shown} shown", probes(all));
    if shown < all {
        how += ": evenly from every set, and spread over the values of its labels; the same ones every time";
    }
    let refused = format!(
        "{unusable} of the inputs shown cannot be used: they are marked, and a run would quarantine them for the reason given"
    );
    let twins =
        "On a card of two the right picture is the control twin: the same paint with a word that means nothing.";
    let mut notes = vec![how + "."];
    notes.extend(planned.sets.iter().any(|set| set.controls > 0).then(|| twins.to_owned()));
    notes.extend((unusable > 0).then(|| refused + "."));
    notes
}

fn footer(suite: &Suite) -> String {
    let digest: String = suite.sha256.chars().take(16).collect();
    format!("clip-audit {} · {} · SHA-256 {digest}… · seed {}", env!("CARGO_PKG_VERSION"), suite.file, suite.seed)
}
