//! Labels: the facts of a probe by name. Most probes of a set share most of their facts (those of the picture, those of
//! the way a word is painted), so labels are kept in layers that many probes share: a million probes stay small.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A name and its value.
type Fact = (Arc<str>, Arc<str>);

/// Facts about a probe by name: the class (`label`), groups, and for attacks `word`, `target`, `size`, `layout`, ...
/// Facts of its own lie over those it shares with other probes, and hide those of the same name.
#[derive(Clone, Default)]
pub struct Labels {
    /// Sorted by name, each name once.
    own: Arc<Vec<Fact>>,
    below: Option<Arc<Labels>>,
}

impl Labels {
    /// The facts of `own` over those of `below`; both are shared, not copied.
    pub fn over(below: &Arc<Self>, own: &Self) -> Self {
        match &own.below {
            None => Self { own: Arc::clone(&own.own), below: Some(Arc::clone(below)) },
            // Facts that are layered themselves are put together first.
            Some(_) => Self { own: Arc::new(own.flat()), below: Some(Arc::clone(below)) },
        }
    }

    /// The value of a fact.
    pub fn get(&self, name: &str) -> Option<&Arc<str>> {
        let found = |facts: &[Fact]| facts.binary_search_by(|(other, _)| (**other).cmp(name)).ok();
        let mut layer = Some(self);
        while let Some(labels) = layer {
            if let Some(place) = found(&labels.own) {
                return labels.own.get(place).map(|(_, value)| value);
            }
            layer = labels.below.as_deref();
        }
        None
    }

    /// Whether there is a fact of this name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The facts, sorted by name.
    pub fn iter(&self) -> Facts<'_> {
        let layers = std::iter::successors(Some(self), |labels| labels.below.as_deref());
        Facts { layers: layers.map(|labels| labels.own.as_slice()).collect() }
    }

    /// The names, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.iter().map(|(name, _)| name)
    }

    /// Sets a fact of this probe alone.
    pub fn insert(&mut self, name: Arc<str>, value: Arc<str>) {
        let own = Arc::make_mut(&mut self.own);
        match own.binary_search_by(|(other, _)| other.cmp(&name)) {
            Ok(place) => own.get_mut(place).into_iter().for_each(|fact| fact.1 = Arc::clone(&value)),
            Err(place) => own.insert(place, (name, value)),
        }
    }

    fn flat(&self) -> Vec<Fact> {
        self.iter().map(|(name, value)| (Arc::clone(name), Arc::clone(value))).collect()
    }
}

/// The facts of a probe, sorted by name.
pub struct Facts<'a> {
    /// What is left of every layer, the uppermost first.
    layers: Vec<&'a [Fact]>,
}

impl<'a> Iterator for Facts<'a> {
    type Item = (&'a Arc<str>, &'a Arc<str>);

    fn next(&mut self) -> Option<Self::Item> {
        // The first of the smallest: the uppermost layer hides the others.
        let (name, value) =
            self.layers.iter().filter_map(|facts| facts.first()).min_by(|one, two| one.0.cmp(&two.0))?;
        for facts in &mut self.layers {
            if let Some((_, rest)) = facts.split_first().filter(|(first, _)| first.0 == *name) {
                *facts = rest;
            }
        }
        Some((name, value))
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a Arc<str>, &'a Arc<str>);
    type IntoIter = Facts<'a>;

    fn into_iter(self) -> Facts<'a> {
        self.iter()
    }
}

impl FromIterator<Fact> for Labels {
    fn from_iter<I: IntoIterator<Item = Fact>>(facts: I) -> Self {
        // The last fact of a name counts, as in any map.
        let sorted: BTreeMap<Arc<str>, Arc<str>> = facts.into_iter().collect();
        Self { own: Arc::new(sorted.into_iter().collect()), below: None }
    }
}

impl<const N: usize> From<[Fact; N]> for Labels {
    fn from(facts: [Fact; N]) -> Self {
        facts.into_iter().collect()
    }
}

impl Extend<Fact> for Labels {
    fn extend<I: IntoIterator<Item = Fact>>(&mut self, facts: I) {
        facts.into_iter().for_each(|(name, value)| self.insert(name, value));
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self).finish()
    }
}
