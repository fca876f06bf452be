//! Everything that can be wrong with an overlay, what is said of it, and nothing else: what was harmed is put right in between.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{CHANGED, DECLARATION, PROJECTION, Pair, pair};
use crate::checkpoints::{CONFIGURATION, Entry, WEIGHTS, entries_of, open, problems, serialise};
use crate::formats::{agrees, formats};

/// What happens to an overlay before it is opened.
type Harm = Box<dyn Fn(&Pair)>;

fn with_key(key: &'static str, value: Value) -> Harm {
    Box::new(move |pair| {
        let mut declared = pair.declared();
        declared[key] = value.clone();
        pair.declare(&declared);
    })
}

fn with_text(text: &'static str) -> Harm {
    Box::new(move |pair| fs::write(pair.sibling().join(DECLARATION), text).unwrap())
}

fn with_entries(change: impl Fn(&mut Vec<Entry>) + 'static) -> Harm {
    Box::new(move |pair| {
        let path = pair.sibling().join(CHANGED);
        let mut entries = entries_of(&path);
        change(&mut entries);
        fs::write(path, serialise(&entries)).unwrap();
    })
}

fn with_bytes(change: impl Fn(Vec<u8>) -> Vec<u8> + 'static) -> Harm {
    Box::new(move |pair| {
        let path = pair.sibling().join(CHANGED);
        fs::write(&path, change(fs::read(&path).unwrap())).unwrap();
    })
}

fn entry(entries: &mut [Entry], name: &str) -> usize {
    entries.iter().position(|entry| entry.name == name).unwrap()
}

/// Everything that can be wrong with an overlay, and what is said of it.
fn harms() -> Vec<(&'static str, Harm, Vec<&'static str>)> {
    vec![
        ("no JSON", with_text("base: ../reference"), vec!["overlay.json: not JSON: "]),
        ("a list", with_text("[]"), vec!["overlay.json: is not an object"]),
        ("empty", with_text(""), vec!["overlay.json: not JSON: "]),
        ("unknown version", with_key("version", json!(2)), vec!["overlay.json: version is 2, this program reads 1"]),
        (
            "version in quotes",
            with_key("version", json!("1")),
            vec!["overlay.json: version is \"1\", this program reads 1"],
        ),
        (
            "another format",
            with_key("format", json!("lora")),
            vec!["overlay.json: format is \"lora\", this program reads \"clip-audit-overlay\""],
        ),
        ("somebody else's", with_text("{\"layers\": 3}"), vec!["overlay.json: format is missing, this program reads"]),
        (
            "unknown key",
            with_key("scale", json!(0.5)),
            vec![
                "overlay.json: \"scale\" is no key of an overlay; its keys are format, version, base, base_fingerprint",
            ],
        ),
        (
            "several problems",
            with_text(
                "{\"format\":\"clip-audit-overlay\",\"version\":1,\"alpha\":1,\"base\":7,\"base_fingerprint\":\"abc\"}",
            ),
            vec![
                "overlay.json: \"alpha\" is no key",
                "overlay.json: base is 7, expected the path of the base's folder",
                "overlay.json: base_fingerprint is \"abc\", expected the 64 digits that `inspect` prints of the base",
            ],
        ),
        (
            "a key twice",
            with_text("{\"format\":\"clip-audit-overlay\",\"version\":1,\"base\":\"a\",\"base\":\"b\"}"),
            vec!["overlay.json: `base` stands twice", "overlay.json: base_fingerprint is missing"],
        ),
        (
            "wrong fingerprint",
            with_key("base_fingerprint", json!("0".repeat(64))),
            vec![
                "the base ../reference has the fingerprint ",
                "overlay.json is bound to 0000000000000000000000000000000000000000000000000000000000000000: the overlay \
                 was made over other weights; put the checkpoint with that fingerprint there, or make the overlay anew",
            ],
        ),
        (
            "a base that changed",
            Box::new(|pair| {
                let path = pair.reference().join(WEIGHTS);
                let mut entries = entries_of(&path);
                let place = entry(&mut entries, "ln_final.weight");
                entries[place].data[0] ^= 1;
                fs::write(path, serialise(&entries)).unwrap();
            }),
            vec!["the base ../reference has the fingerprint ", "the overlay was made over other weights"],
        ),
        (
            "missing base",
            with_key("base", json!("../absent")),
            vec!["overlay.json: base: ", "sibling/../absent: No such file or directory"],
        ),
        (
            "base without a checkpoint",
            with_key("base", json!("..")),
            vec!["overlay.json: base: ", "sibling/..: the folder holds no checkpoint of a known format"],
        ),
        (
            "base that is a file",
            with_key("base", json!("../reference/open_clip_model.safetensors")),
            vec!["is a file, expected the folder of a checkpoint"],
        ),
        ("base that is itself", with_key("base", json!(".")), vec!["sibling/. is an overlay itself"]),
        (
            "base that is an overlay",
            Box::new(|pair| {
                let other = pair.sibling().with_file_name("other");
                fs::create_dir(&other).unwrap();
                for name in [DECLARATION, CHANGED] {
                    fs::copy(pair.sibling().join(name), other.join(name)).unwrap();
                }
                with_key("base", json!("../other"))(pair);
            }),
            vec!["sibling/../other is an overlay itself: an overlay lies over a whole checkpoint only"],
        ),
        (
            "absolute base",
            Box::new(|pair| with_key("base", json!(pair.reference()))(pair)),
            vec!["overlay.json: base is \"/", "it is absolute; expected a path relative to the overlay's folder"],
        ),
        (
            "base on the hub",
            with_key("base", json!("hf://some/clip@main")),
            vec!["base is \"hf://some/clip@main\": a base stands on this machine"],
        ),
        ("nameless base", with_key("base", json!(" ")), vec!["base is \" \": it is empty"]),
        (
            "broken base",
            Box::new(|pair| fs::write(pair.reference().join(CONFIGURATION), "{}").unwrap()),
            vec!["base ../reference: open_clip_config.json: model_cfg is missing"],
        ),
        (
            "base cut short",
            Box::new(|pair| {
                let path = pair.reference().join(WEIGHTS);
                let bytes = fs::read(&path).unwrap();
                fs::write(path, &bytes[..bytes.len() - 2]).unwrap();
            }),
            vec!["base ../reference: open_clip_model.safetensors: the header describes ", "(cut short)"],
        ),
        (
            "unknown tensors and wrong shapes",
            with_entries(|entries| {
                let place = entry(entries, PROJECTION);
                entries[place].shape.reverse();
                let data = vec![0; 4];
                for (name, shape) in [("visual.extra", vec![2]), ("visual_projection.weight", vec![1, 2])] {
                    entries.push(Entry { name: name.into(), dtype: "F16".into(), shape, data: data.clone() });
                }
            }),
            vec![
                "overlay.safetensors: tensor `visual.extra` [2] is not in the base",
                "overlay.safetensors: tensor `visual_projection.weight` [1, 2] is not in the base",
                "overlay.safetensors: tensor `visual.proj` has shape [20, 32], [32, 20] in the base",
            ],
        ),
        (
            "unknown counter",
            with_entries(|entries| {
                let name = "visual.bn1.num_batches_tracked".to_owned();
                entries.push(Entry { name, dtype: "I64".into(), shape: vec![], data: vec![0; 8] });
            }),
            vec!["tensor `visual.bn1.num_batches_tracked` [] is not expected"],
        ),
        ("no tensors", with_entries(Vec::clear), vec!["overlay.safetensors: holds no tensors of weights"]),
        (
            "only a counter",
            with_entries(|entries| {
                let name = "visual.bn1.num_batches_tracked".to_owned();
                *entries = vec![Entry { name, dtype: "I64".into(), shape: vec![], data: vec![0; 8] }];
            }),
            vec!["overlay.safetensors: holds no tensors of weights"],
        ),
        (
            "NaN and infinity",
            with_entries(|entries| {
                let place = entry(entries, PROJECTION);
                entries[place].data[..4].copy_from_slice(&[0, 0x7e, 0, 0x7c]);
            }),
            vec!["overlay.safetensors: tensor `visual.proj` has 2 of 640 values that are NaN or infinite"],
        ),
        (
            "wrong type",
            with_entries(|entries| {
                let place = entry(entries, PROJECTION);
                entries[place].dtype = "I16".into();
            }),
            vec!["overlay.safetensors: tensor `visual.proj` is stored as i16, expected f32, f16, bf16 or f64"],
        ),
        (
            "duplicate names",
            with_entries(|entries| entries.push(entries[0].clone())),
            vec!["overlay.safetensors: `ln_final.bias` stands twice in the header"],
        ),
        (
            "cut short",
            with_bytes(|bytes| bytes[..bytes.len() - 1].to_vec()),
            vec!["overlay.safetensors: ", "(cut short)"],
        ),
        (
            "cut in the header",
            with_bytes(|bytes| bytes[..20].to_vec()),
            vec!["overlay.safetensors: not a safetensors file"],
        ),
        (
            "appended",
            with_bytes(|bytes| [bytes, vec![0]].concat()),
            vec!["overlay.safetensors: ", "(something was appended)"],
        ),
        ("no bytes", with_bytes(|_| Vec::new()), vec!["overlay.safetensors: is empty"]),
        (
            "a pickle",
            with_bytes(|_| fs::read(formats().join("legacy.bin")).unwrap()),
            vec!["overlay.safetensors: not a safetensors file"],
        ),
        (
            "a git-LFS pointer",
            with_bytes(|_| b"version https://git-lfs.github.com/spec/v1\n".to_vec()),
            vec!["overlay.safetensors: is a git-LFS pointer"],
        ),
        (
            "declaration and weights",
            Box::new(|pair| {
                with_bytes(|_| Vec::new())(pair);
                with_text("{}")(pair);
            }),
            vec!["overlay.json: format is missing", "overlay.safetensors: is empty"],
        ),
        (
            "a folder in place of the weights",
            Box::new(|pair| {
                fs::remove_file(pair.sibling().join(CHANGED)).unwrap();
                fs::create_dir(pair.sibling().join(CHANGED)).unwrap();
            }),
            vec!["overlay.safetensors is not a plain file"],
        ),
        (
            "a declaration of 2 MB",
            Box::new(|pair| fs::write(pair.sibling().join(DECLARATION), " ".repeat(2 << 20)).unwrap()),
            vec!["overlay.json: is 2097152 bytes, expected at most 1048576"],
        ),
    ]
}

#[test]
fn what_is_wrong_is_refused_by_name() {
    let pair = pair();
    let kept: Vec<(PathBuf, Vec<u8>)> = [pair.reference(), pair.sibling()]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|file| file.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    let mut wrong = Vec::new();
    for (name, harm, expected) in harms() {
        harm(&pair);
        let found = problems(&pair.sibling()).join("\n");
        wrong.extend(
            expected
                .iter()
                .filter(|expected| !found.contains(**expected))
                .map(|expected| format!("{name}: expected {expected:?}, found {found}")),
        );
        for (path, bytes) in &kept {
            if path.is_dir() {
                fs::remove_dir(path).unwrap();
            }
            fs::write(path, bytes).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    agrees(open(&pair.sibling()).unwrap().as_ref(), "vit");
}
