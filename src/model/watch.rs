//! Taps and interventions: a tower hands every tappable value to a `Watch`, which first holds the units an intervention
//! names and then records what a tap asks for. A tower with new places adds calls; nothing else changes.

use tch::{Kind, Tensor};

use super::ModelError;
use super::layers::Run;
use crate::types::{Intervention, Pool, Site, Tap};

/// A place that can be tapped: its layer, where in it, and its number of units.
pub(super) type Place = (String, Site, usize);

/// How the values of a place lie.
#[derive(Clone, Copy, Debug)]
pub(super) enum Layout {
    /// [N, C, H, W]: positions are pixels.
    Grid,
    /// [N, L, W]: a class token, then the patches.
    Tokens,
    /// [N, C]: one position, so that mean and maximum are the value itself.
    Single,
}

/// What to change and what to record during one forward pass.
pub(super) struct Watch<'a> {
    taps: &'a [Tap],
    interventions: &'a [Intervention],
    seen: Vec<Option<Tensor>>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(taps: &'a [Tap], interventions: &'a [Intervention]) -> Self {
        Self { taps, interventions, seen: taps.iter().map(|_| None).collect() }
    }

    /// Takes the value of a place, holds the units that interventions name at their values at every position, records
    /// the pooled units that taps ask for, and gives the value back for what follows. A tap sees what an intervention
    /// at its own place has set.
    pub(super) fn visit(&mut self, layer: &str, site: Site, layout: Layout, x: Tensor) -> Run<Tensor> {
        for held in self.interventions.iter().filter(|held| held.layer == layer && held.site == site) {
            let units = if matches!(layout, Layout::Tokens) { 2 } else { 1 };
            let _ = x.f_narrow(units, held.index as i64, 1)?.f_fill_(f64::from(held.value))?;
        }
        for (tap, seen) in self.taps.iter().zip(&mut self.seen) {
            if tap.layer == layer && tap.site == site {
                let values = x.f_to_kind(Kind::Float)?;
                let patches = || values.f_narrow(1, 1, values.size3()?.1 - 1); // [N, P, W]
                *seen = Some(match (layout, tap.pool) {
                    (Layout::Tokens, Pool::Class) => values.f_select_copy(1, 0)?,
                    (Layout::Tokens, Pool::Max) => patches()?.f_amax([1], false)?,
                    (Layout::Tokens, Pool::Mean) => patches()?.f_mean_dim([1].as_slice(), false, Kind::Float)?,
                    (Layout::Grid, Pool::Max) => values.f_amax([2, 3], false)?,
                    (Layout::Grid, _) => values.f_mean_dim([2, 3].as_slice(), false, Kind::Float)?,
                    (Layout::Single, _) => values.shallow_clone(),
                }); // [N, C]
            }
        }
        Ok(x)
    }

    /// What was recorded, in the order of the taps; `None` for a place the tower never came by.
    pub(super) fn seen(self) -> Vec<Option<Tensor>> {
        self.seen
    }
}

/// Checks that every tap and intervention names a place and unit of the model.
///
/// # Errors
/// Listing everything that does not fit, and what exists.
pub(super) fn check(places: &[Place], taps: &[Tap], interventions: &[Intervention]) -> Result<(), ModelError> {
    let units = |layer: &str, site: Site| {
        places.iter().find(|(name, other, _)| name == layer && *other == site).map(|(_, _, units)| *units)
    };
    let mut problems = Vec::new();
    for tap in taps {
        if units(&tap.layer, tap.site).is_none() {
            problems.push(format!("tap `{tap}` names no place of this model"));
        } else if !tap.site.pools().contains(&tap.pool) {
            problems.push(format!("tap `{tap}` pools a class token, and this place has none"));
        }
    }
    for (number, held) in interventions.iter().enumerate() {
        let name = format!("{}.{} unit {}", held.layer, held.site, held.index);
        match units(&held.layer, held.site) {
            None => problems.push(format!("intervention on {name} names no place of this model")),
            Some(units) if held.index >= units => {
                problems.push(format!("intervention on {name}: the place has {units} units, counted from 0"));
            }
            Some(_) if !held.value.is_finite() => {
                problems.push(format!("intervention on {name}: {} is not a finite value", held.value));
            }
            Some(_) => {}
        }
        let twice =
            |other: &&Intervention| other.layer == held.layer && other.site == held.site && other.index == held.index;
        if interventions.iter().take(number).find(twice).is_some() {
            problems.push(format!("intervention on {name} stands twice"));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    problems.extend(listed(places).iter().map(|places| format!("this model has {places}")));
    Err(ModelError::Input(problems.join("; ")))
}

/// Every place in few lines: neighbouring layers with the same sites and units stand together, and of many the first two and
/// the last two are named.
pub(super) fn listed(places: &[Place]) -> Vec<String> {
    let mut layers: Vec<(&str, Vec<(Site, usize)>)> = Vec::new();
    for (layer, site, units) in places {
        match layers.last_mut() {
            Some((last, sites)) if last == layer => sites.push((*site, *units)),
            _ => layers.push((layer, vec![(*site, *units)])),
        }
    }
    let line = |alike: &[(&str, Vec<(Site, usize)>)]| {
        let names: Vec<&str> = alike.iter().map(|(layer, _)| *layer).collect();
        let names = match names.as_slice() {
            [first, second, .., last_but_one, last] if names.len() > 4 => {
                format!("{first}, {second} ... {last_but_one}, {last}")
            }
            few => few.join(", "),
        };
        let sites: &[(Site, usize)] = alike.first().map_or(&[], |(_, sites)| sites);
        let units: Vec<String> = sites.iter().map(|(site, units)| format!(".{site} ({units} units)")).collect();
        let pools = sites.first().map_or(&[][..], |(site, _)| site.pools());
        let pools: Vec<String> = pools.iter().map(|pool| format!(":{pool}")).collect();
        format!("{names}: {}, pooled {}", units.join(", "), pools.join(" "))
    };
    layers.chunk_by(|(_, one), (_, other)| one == other).map(line).collect()
}
