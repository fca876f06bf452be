//! What changed since the baseline, as rows: then and now.

use std::collections::BTreeMap;

use serde::Serialize;

use super::chart::Shown;
use super::view::Tally;
use super::words::{self, Word};
use crate::types::{Baseline, Change, Delta, Value};

/// What changed since the baseline.
#[derive(Serialize)]
pub(super) struct Changes {
    rows: Vec<ChangeRow>,
    /// How many findings are as before, which no row tells of.
    same: usize,
    tally: Vec<Tally>,
}

/// A finding then and now.
#[derive(Serialize)]
pub(super) struct ChangeRow {
    /// The finding's card; none when it is gone.
    anchor: Option<String>,
    title: String,
    delta: Word,
    before: Option<Word>,
    after: Option<Word>,
    value_before: Option<Shown>,
    value_after: Option<Shown>,
}

impl Changes {
    pub(super) fn new(baseline: &Baseline, anchors: &BTreeMap<&str, String>) -> Self {
        let count = |delta: Delta| baseline.changes.iter().filter(|one| one.delta == delta).count();
        let all = [Delta::Broken, Delta::New, Delta::Changed, Delta::Fixed, Delta::Gone, Delta::Same];
        let mut changed: Vec<&Change> = baseline.changes.iter().filter(|one| one.delta != Delta::Same).collect();
        changed.sort_by_key(|one| one.delta);
        let row = |one: &&Change| ChangeRow { anchor: anchors.get(one.id.as_str()).cloned(), ..ChangeRow::new(one) };
        Self {
            rows: changed.iter().map(row).collect(),
            same: count(Delta::Same),
            tally: all
                .map(|delta| Tally { word: words::delta(delta), count: count(delta) })
                .into_iter()
                .filter(|tally| tally.count > 0)
                .collect(),
        }
    }
}

impl ChangeRow {
    pub(super) fn new(change: &Change) -> Self {
        let shown = |value: &Option<Value>| value.as_ref().map(|value| Shown::new(value, change.scale, None));
        Self {
            anchor: None,
            title: change.title.clone(),
            delta: words::delta(change.delta),
            before: change.before.map(words::verdict),
            after: change.after.map(words::verdict),
            value_before: shown(&change.value_before),
            value_after: shown(&change.value_after),
        }
    }
}
