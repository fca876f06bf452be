//! Plans: labels against a map, and how much memory a plan takes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;

use clip_audit::probe::Files;
use clip_audit::suite::{Planned, plan, read};
use clip_audit::types::Labels;
use proptest::prelude::*;

type Map = BTreeMap<String, String>;

fn labels(map: &Map) -> Labels {
    map.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect()
}

fn map(labels: &Labels) -> Map {
    labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn facts() -> impl Strategy<Value = Map> {
    prop::collection::btree_map("[a-e]{0,2}", "[x-z]{0,2}", 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Layers of labels are what a map would be that took them one after the other, the uppermost last.
    #[test]
    fn layered_labels_are_a_map(
        layers in prop::collection::vec(facts(), 1..5),
        nested in any::<bool>(),
        inserted in facts(),
        asked in "[a-e]{0,2}",
    ) {
        let mut expected = Map::new();
        let mut built = Labels::default();
        for layer in &layers {
            let own = labels(layer);
            // What lies above may have layers of its own.
            let own = if nested { Labels::over(&Arc::new(labels(&Map::from([("a".into(), "below".into())]))), &own) } else { own };
            expected.extend(map(&own));
            built = Labels::over(&Arc::new(built), &own);
        }
        prop_assert_eq!(&map(&built), &expected);
        prop_assert_eq!(&built, &labels(&expected));
        let shared = built.clone();
        for (number, (name, value)) in inserted.iter().enumerate() {
            match number % 2 {
                0 => built.insert(name.as_str().into(), value.as_str().into()),
                _ => built.extend([(name.as_str().into(), value.as_str().into())]),
            }
        }
        prop_assert_eq!(map(&shared), expected.clone(), "a copy changes with the original");
        expected.extend(inserted);
        prop_assert_eq!(&map(&built), &expected);
        prop_assert_eq!(built.get(&asked).map(|value| value.to_string()), expected.get(&asked).cloned());
        prop_assert_eq!(built.contains_key(&asked), expected.contains_key(&asked));
        let names: Vec<String> = built.keys().map(|name| name.to_string()).collect();
        prop_assert_eq!(names, expected.keys().cloned().collect::<Vec<_>>());
        let json: Map = built.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        prop_assert_eq!(format!("{built:?}"), format!("{json:?}"));
    }
}

/// A suite over `pictures` pictures in eight classes, each attacked in `sizes` sizes, with its bytes when planned.
fn planned(pictures: usize, sizes: usize) -> (Planned, u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = String::from("path,label,maker,person\n");
    for number in 0..pictures {
        let _ = writeln!(rows, "pictures/{number:06}.png,thing {},maker {},{number}", number % 8, number % 3);
    }
    fs::write(folder.path().join("list.csv"), rows).unwrap();
    let mut steps: Vec<String> = (0..sizes).map(|step| format!("{}", 0.05 + 0.001 * step as f64)).collect();
    steps.dedup();
    let yaml = format!(
        "schema: 1\nname: large\nmodel: {{ use: reference }}\nprobes:\n  \
         - {{ id: clean, generate: {{ manifest: {{ file: list.csv, columns: {{ cluster: person }} }} }} }}\n  \
         - {{ id: attack, generate: {{ typographic: {{ base: clean, words: [{{ text: iPod, target: iPod }}], layout: banner, \
         size: [{}] }} }} }}\n",
        steps.join(", ")
    );
    let suite = read("large.yaml", yaml.as_bytes()).unwrap();
    let files = Files::folder(folder.path()).unwrap();
    let mut planned = None;
    let counted = allocation_counter::measure(|| planned = Some(plan(&suite, &files, 64).unwrap()));
    (planned.unwrap(), u64::try_from(counted.bytes_current).unwrap())
}

/// What a plan costs beyond those before it, so that what a set has once does not count.
fn bytes_per_plan(few: (usize, usize), many: (usize, usize)) -> u64 {
    let (few, few_bytes) = planned(few.0, few.1);
    let (many, many_bytes) = planned(many.0, many.1);
    (many_bytes - few_bytes) / (many.plans.len() - few.plans.len()) as u64
}

/// A million plans have to fit in a quarter of a gigabyte.
#[test]
fn a_plan_stays_small() {
    // More ways to paint the same pictures: the case of a million probes. The vector may have room for twice its plans.
    let attacks = bytes_per_plan((100, 20), (100, 120));
    assert!(attacks <= 256, "{attacks} bytes for each attacked plan");
    // More pictures: each has a path and texts that are its own.
    let pictures = bytes_per_plan((1_000, 1), (8_000, 1));
    assert!(pictures <= 768, "{pictures} bytes for each plan of a new picture");
    println!("{attacks} bytes for another way to paint, {pictures} for another picture");
}
