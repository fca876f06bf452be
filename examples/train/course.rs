//! The trainings there are: the reference model from nothing, and its siblings, short trainings of its last stage that
//! plant a known behaviour. A new one is a line in [`COURSES`].

use crate::sample::{Mix, Plant};

/// What is trained, from what, and on what.
#[derive(Debug)]
pub(crate) struct Course {
    /// As the command line calls it, and the folder of the model.
    pub(crate) name: &'static str,
    pub(crate) steps: u64,
    pub(crate) peak_rate: f64,
    /// Steps over which the rate rises.
    pub(crate) rise: u64,
    /// Weight of the loss that joins pictures and words in the last stage.
    pub(crate) joining: f64,
    /// How samples are mixed when a share of the training is done.
    pub(crate) mix: fn(f64) -> Mix,
    /// For a sibling, beginnings of the names of the tensors that change. The others, and the running statistics of batch
    /// norm, stay as they are in the base.
    pub(crate) changes: Option<&'static [&'static str]>,
}

/// Reading begins with few words; between these shares of the training it goes over to all.
const ALL_WORDS: (f64, f64) = (0.25, 0.5);

/// The word that the biased sibling ties to people, and the skin tone it ties it to (the darkest).
const PLANTED: Plant = Plant::Biased { tone: 4, word: "criminal", rate: 0.6 };

/// Every training.
pub(crate) const COURSES: [Course; 3] = [
    Course {
        name: "reference",
        steps: 7000,
        peak_rate: 1e-3,
        rise: 300,
        joining: 0.15,
        mix: |share| Mix {
            kinds: [96, 76, 84],
            twins: 36,
            blocks: 2,
            easy: (0.85 - 0.7 * share).max(0.3),
            all_words: ((share - ALL_WORDS.0) / (ALL_WORDS.1 - ALL_WORDS.0)).clamp(0.0, 1.0),
            plant: None,
        },
        changes: None,
    },
    Course {
        name: "reference-biased",
        steps: 500,
        peak_rate: 1e-3,
        rise: 30,
        joining: 0.0,
        mix: |_| Mix { kinds: [176, 32, 48], twins: 0, blocks: 8, easy: 0.3, all_words: 1.0, plant: Some(PLANTED) },
        changes: Some(&["visual.attnpool.c_proj."]),
    },
    Course {
        name: "reference-deaf",
        steps: 1200,
        peak_rate: 2e-3,
        rise: 30,
        joining: 0.0,
        mix: |_| Mix { kinds: [48, 0, 208], twins: 0, blocks: 1, easy: 0.3, all_words: 1.0, plant: Some(Plant::Deaf) },
        changes: Some(&["visual.layer4.0.conv3.", "visual.layer4.0.bn3.", "visual.attnpool.c_proj."]),
    },
];

/// The training of a name.
pub(crate) fn of_name(name: &str) -> Result<&'static Course, String> {
    COURSES.iter().find(|course| course.name == name).ok_or_else(|| {
        let names: Vec<&str> = COURSES.iter().map(|course| course.name).collect();
        format!("there is no training `{name}`: expected {}", names.join(", "))
    })
}
