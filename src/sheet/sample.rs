//! Which probes a sheet shows: few of many, spread over sets and over the values of their labels, and the same few every time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::types::ProbePlan;

/// Probes looked at for a choice: enough to find every value of a list, few enough to compare them all.
const CANDIDATES: usize = 4096;

/// Shares out `count` pictures: cards go one by one to the section that shows the fewest pictures so far. A section is given
/// by how many cards it has and how many pictures each of them holds; the answer is cards per section.
pub fn share(count: usize, sections: &[(usize, usize)]) -> Vec<usize> {
    let mut cards = vec![0; sections.len()];
    let mut left = count;
    loop {
        let open = sections.iter().zip(&cards).enumerate();
        let open = open.filter(|(_, ((all, pictures), cards))| *cards < all && *pictures <= left);
        let next = open.min_by_key(|(_, ((_, pictures), cards))| *cards * pictures);
        let Some((place, ((_, pictures), _))) = next else { return cards };
        left -= pictures.max(&1);
        cards[place] += 1;
    }
}

/// Names of the labels in which the probes of a set differ.
pub fn differing<'a>(plans: impl Iterator<Item = &'a ProbePlan>) -> BTreeSet<Arc<str>> {
    let mut plans = plans.peekable();
    let mut names = BTreeSet::new();
    let Some(first) = plans.peek().copied() else { return names };
    let known = first.labels.iter().count();
    for plan in plans {
        let mut shared = 0;
        for (name, value) in &plan.labels {
            match first.labels.get(name) {
                Some(other) if other == value => shared += 1,
                other => {
                    shared += usize::from(other.is_some());
                    if !names.contains(name) {
                        names.insert(Arc::clone(name));
                    }
                }
            }
        }
        if shared < known {
            let lacks = |name: &&Arc<str>| !plan.labels.contains_key(name);
            names.extend(first.labels.keys().filter(lacks).cloned());
        }
    }
    names
}

/// Indices of `count` of the plans, ascending: each in turn is the one whose values (of the labels `names`, and its cluster)
/// have been chosen least often so far.
pub fn spread(plans: &[&ProbePlan], names: &BTreeSet<Arc<str>>, count: usize) -> Vec<usize> {
    if count >= plans.len() {
        return (0..plans.len()).collect();
    }
    let candidates = candidates(plans.len());
    let mut numbers: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let values: Vec<Vec<usize>> = candidates
        .iter()
        .filter_map(|place| plans.get(*place))
        .map(|plan| {
            let labels = names.iter().filter_map(|name| Some((&**name, &**plan.labels.get(name)?)));
            // No label has an empty name.
            let all = labels.chain([("", &*plan.cluster)]);
            all.map(|value| {
                let next = numbers.len();
                *numbers.entry(value).or_insert(next)
            })
            .collect()
        })
        .collect();
    let mut chosen = vec![0_u32; numbers.len()];
    let mut taken = vec![false; candidates.len()];
    for _ in 0..count {
        let seen = |values: &Vec<usize>| values.iter().filter_map(|value| chosen.get(*value)).sum::<u32>();
        let free = values.iter().enumerate().filter(|(place, _)| !taken[*place]);
        let Some((best, values)) = free.min_by_key(|(_, values)| seen(values)) else { break };
        taken[best] = true;
        values.iter().for_each(|value| chosen[*value] += 1);
    }
    let mut picked: Vec<usize> =
        candidates.iter().zip(&taken).filter(|(_, taken)| **taken).map(|(place, _)| *place).collect();
    picked.sort_unstable();
    picked
}

/// Places spread over a list, each once: all of a short one, some of a long one. They come in the order of the golden ratio's
/// multiples, which meets no period of the plan (every fourth probe has the fourth size) again and again, and does not favour
/// what stands first.
fn candidates(length: usize) -> Vec<usize> {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let share = |step: usize| ((step as f64 + 0.5) * GOLDEN).fract();
    if length <= CANDIDATES {
        let mut all: Vec<usize> = (0..length).collect();
        all.sort_by(|one, two| share(*one).total_cmp(&share(*two)));
        return all;
    }
    let mut known = BTreeSet::new();
    let places = (0..CANDIDATES).map(|step| (share(step) * length as f64) as usize);
    places.filter(|place| *place < length && known.insert(*place)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{ProbeId, Recipe};

    fn plan(number: usize, labels: &[(&str, String)], cluster: usize) -> ProbePlan {
        ProbePlan {
            id: ProbeId::named(&number.to_string()),
            set: "set".into(),
            labels: labels.iter().map(|(name, value)| ((*name).into(), value.as_str().into())).collect(),
            source: None,
            control: None,
            cluster: cluster.to_string().into(),
            recipe: Recipe { generator: "test@1", parameters: "{}".into(), files: [].into(), seed: 0 },
        }
    }

    /// Bases x words x sizes, in the order in which they are planned.
    fn attack(bases: usize, words: usize, sizes: usize) -> Vec<ProbePlan> {
        let all =
            (0..bases).flat_map(|base| (0..words).flat_map(move |word| (0..sizes).map(move |size| (base, word, size))));
        let labels = |base, word, size| {
            let text = |value: usize| value.to_string();
            [("label", text(base)), ("word", text(word)), ("size", text(size)), ("layout", "banner".to_owned())]
        };
        all.enumerate().map(|(number, (base, word, size))| plan(number, &labels(base, word, size), base)).collect()
    }

    #[test]
    fn every_value_is_shown_before_one_is_shown_twice() {
        for (bases, words, sizes, count) in [(10, 3, 4, 12), (48, 2, 4, 16), (100, 25, 8, 40), (300, 10, 20, 60)] {
            let plans = attack(bases, words, sizes);
            let plans: Vec<&ProbePlan> = plans.iter().collect();
            let names = differing(plans.iter().copied());
            assert_eq!(names.iter().map(|name| &**name).collect::<Vec<_>>(), ["label", "size", "word"]);
            let picked = spread(&plans, &names, count);
            assert_eq!(picked.len(), count);
            assert!(picked.is_sorted_by(|one, two| one < two));
            for (name, values) in [("word", words), ("size", sizes), ("label", bases)] {
                let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
                for place in &picked {
                    *seen
                        .entry(&**plans[*place].labels.get(name).unwrap_or_else(|| panic!("no {name}")))
                        .or_default() += 1;
                }
                // Evenly, but for what several labels at once and the choice of candidates make impossible.
                let (least, most) = (count / values, count.div_ceil(values));
                assert!(seen.len() >= values.min(count) * 9 / 10, "{name}: {seen:?}");
                assert!(seen.values().all(|times| *times + 1 >= least && *times <= most + 1), "{name}: {seen:?}");
            }
            assert_eq!(picked, spread(&plans, &names, count));
        }
    }

    #[test]
    fn a_small_set_is_shown_whole_and_a_label_that_some_lack_differs() {
        let mut plans = attack(2, 1, 1);
        plans.push(plan(9, &[("label", "0".to_owned())], 0));
        let refs: Vec<&ProbePlan> = plans.iter().collect();
        assert_eq!(spread(&refs, &BTreeSet::new(), 99), [0, 1, 2]);
        let names: Vec<String> = differing(refs.into_iter()).iter().map(ToString::to_string).collect();
        assert_eq!(names, ["label", "layout", "size", "word"]);
        assert!(differing(std::iter::empty()).is_empty());
    }

    #[test]
    fn pictures_are_shared_out_evenly() {
        assert_eq!(share(48, &[(146, 1), (1168, 2), (584, 2)]), [16, 8, 8]);
        assert_eq!(share(48, &[(3, 1), (1000, 2)]), [3, 22]);
        assert_eq!(share(1, &[(5, 2), (5, 1)]), [0, 1]);
        assert_eq!(share(99, &[(2, 1), (3, 2)]), [2, 3]);
        assert!(share(9, &[]).is_empty());
    }
}
