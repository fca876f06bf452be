//! CSV manifests: pictures, each once, or a fault that names the file.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::LazyLock;

use clip_audit::probe::{Files, Generate, Manifest, PlanContext};
use libfuzzer_sys::fuzz_target;

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

fuzz_target!(|bytes: &[u8]| {
    fs::write(FOLDER.path().join("list.csv"), bytes).unwrap();
    let files = Files::folder(FOLDER.path()).unwrap();
    let manifest = Manifest {
        file: "list.csv".to_owned(),
        columns: BTreeMap::new(),
        rows: BTreeMap::new(),
        canvas: None,
        people: false,
    };
    let (planned, labels) = (BTreeMap::new(), BTreeMap::new());
    let context =
        PlanContext { set: "clean", seed: 7, canvas: 64, files: &files, planned: &planned, labels: &labels };
    match manifest.plan(&context) {
        Err(fault) => assert!(fault.to_string().starts_with("list.csv")),
        Ok(plans) => {
            let ids: BTreeSet<_> = plans.iter().map(|plan| plan.id.clone()).collect();
            assert!(!plans.is_empty() && ids.len() == plans.len());
            for plan in &plans {
                assert!(plan.labels.get("label").is_some_and(|label| !label.is_empty()));
                let [path] = &*plan.recipe.files else { panic!("{plan:?}") };
                assert_eq!(Files::clean(path).as_deref(), Some(&**path));
            }
        }
    }
});
