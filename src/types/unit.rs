//! Units (neurons), the taps that record them and the interventions that change them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// SHA-256 over canonical tensor names, shapes and f32 values: the same weights have one fingerprint in every format.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub String);

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Where in a layer a value is read. The pre-ReLU channel of a residual block is what the literature calls a neuron.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Site {
    /// `bn3(conv3(..)) + identity` of a residual block: keeps inhibition.
    PreRelu,
    /// The same after ReLU.
    PostRelu,
    /// The residual stream after a transformer block.
    Residual,
    /// Hidden units of a transformer block's MLP, after the activation.
    MlpHidden,
    /// What a layer gives out (the attention pool's output).
    Output,
}

/// How positions are pooled to one number per unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// Mean over the positions of the picture; a transformer's class token is none of them.
    Mean,
    /// Maximum over the same positions.
    Max,
    /// The class token's value.
    Class,
}

/// One recording: every unit of a layer's site, pooled. Written `layer4.pre_relu:mean`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Tap {
    /// The layer's name. A ResNet has `layer1` to `layer4`, each the last block of its stage, `layer1.0` and so on for the blocks
    /// before it, and `attnpool`; a transformer has `block0`, `block1` and so on.
    pub layer: String,
    /// Where in the layer.
    pub site: Site,
    /// Pooling over positions.
    pub pool: Pool,
}

const SITES: [(&str, Site); 5] = [
    ("pre_relu", Site::PreRelu),
    ("post_relu", Site::PostRelu),
    ("residual", Site::Residual),
    ("mlp_hidden", Site::MlpHidden),
    ("output", Site::Output),
];
const POOLS: [(&str, Pool); 3] = [("mean", Pool::Mean), ("max", Pool::Max), ("class", Pool::Class)];

fn name_of<T: Copy + PartialEq>(names: &[(&'static str, T)], value: T) -> &'static str {
    names.iter().find(|(_, other)| *other == value).map_or("", |(name, _)| name)
}

impl Site {
    /// How the place's positions can be pooled: only the tokens of a transformer hold a class token.
    pub fn pools(self) -> &'static [Pool] {
        match self {
            Self::Residual | Self::MlpHidden => &[Pool::Mean, Pool::Max, Pool::Class],
            Self::PreRelu | Self::PostRelu | Self::Output => &[Pool::Mean, Pool::Max],
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(name_of(&SITES, *self))
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(name_of(&POOLS, *self))
    }
}

impl fmt::Display for Tap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}:{}", self.layer, self.site, self.pool)
    }
}

impl From<Tap> for String {
    fn from(tap: Tap) -> Self {
        tap.to_string()
    }
}

impl TryFrom<String> for Tap {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Tap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (place, pool) = text.rsplit_once(':')?;
            let (layer, site) = place.rsplit_once('.')?;
            let site = SITES.iter().find(|(name, _)| *name == site)?.1;
            let pool = POOLS.iter().find(|(name, _)| *name == pool)?.1;
            (!layer.is_empty()).then(|| Tap { layer: layer.to_owned(), site, pool })
        };
        parse().ok_or_else(|| {
            format!(
                "`{text}` is not a tap: expected LAYER.SITE:POOL such as layer4.pre_relu:mean, with a site of {} and a pool of {}",
                SITES.map(|(name, _)| name).join(", "),
                POOLS.map(|(name, _)| name).join(", ")
            )
        })
    }
}

/// A unit is never a bare number: weights, layer, site and index together name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unit {
    /// Fingerprint of the weights.
    pub weights: Fingerprint,
    /// The layer's name.
    pub layer: String,
    /// Where in the layer.
    pub site: Site,
    /// Channel number.
    pub index: usize,
}

/// Holds one unit at a value at every position while the model runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intervention {
    /// The layer's name.
    pub layer: String,
    /// Where in the layer; what follows the site sees the value.
    pub site: Site,
    /// Channel number.
    pub index: usize,
    /// The value set at every position.
    pub value: f32,
}
