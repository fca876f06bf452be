//! `kinds!` makes the visible list of what implements a trait: an enum that serde reads as `name: {specification}`,
//! a look-up of names with one line about each, and the way from the enum to the trait. Adding a kind is adding a line.

/// A name that may stand as the one key of a suite entry, with one line about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The key as it stands in a suite.
    pub name: &'static str,
    /// One sentence for `clip-audit list`.
    pub about: &'static str,
}

/// Something wrong with an entry of a suite, found by the kind the entry belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands: keys and indices below the specification of the kind (`["words", "0", "text"]`).
    pub path: Vec<String>,
    /// A lower-case fragment naming what is wrong, what was expected and, where there is one, the remedy.
    pub message: String,
}

impl Problem {
    /// A problem at a path below the specification.
    pub fn new<P: Into<String>>(path: impl IntoIterator<Item = P>, message: impl Into<String>) -> Self {
        Self { path: path.into_iter().map(Into::into).collect(), message: message.into() }
    }
}

macro_rules! kinds {
    ($(#[$meta:meta])* $name:ident: $behaviour:ident { $($key:literal => $variant:ident($spec:ty): $about:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
        pub enum $name {
            $(#[doc = $about] #[serde(rename = $key)] $variant($spec),)+
        }

        impl $name {
            /// Every kind, in the order of the list.
            pub const KINDS: &'static [$crate::types::Kind] =
                &[$($crate::types::Kind { name: $key, about: $about },)+];

            /// The key under which this kind stands in a suite.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $key,)+ }
            }
        }

        impl std::ops::Deref for $name {
            type Target = dyn $behaviour;
            fn deref(&self) -> &Self::Target {
                match self { $(Self::$variant(specification) => specification,)+ }
            }
        }

        impl std::ops::DerefMut for $name {
            fn deref_mut(&mut self) -> &mut Self::Target {
                match self { $(Self::$variant(specification) => specification,)+ }
            }
        }
    };
}
pub(crate) use kinds;
