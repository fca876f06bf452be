//! The environment of Hugging Face's hub: where its cache is, who asks, and whether the user wants no connection. The
//! variables and their order are those of huggingface_hub.

use std::env;
use std::fs;
use std::path::PathBuf;

use crate::model::{HubOptions, Token};

/// What the environment says; `allow_download` is the command line's.
pub(super) fn options(allow_download: bool) -> HubOptions {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.trim().is_empty());
    let path = |name: &str| set(name).map(PathBuf::from);
    let home = path("HF_HOME")
        .or_else(|| path("XDG_CACHE_HOME").map(|folder| folder.join("huggingface")))
        .or_else(|| path("HOME").map(|folder| folder.join(".cache/huggingface")));
    let cache = path("HF_HUB_CACHE")
        .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
        .or_else(|| home.as_ref().map(|home| home.join("hub")));
    let token_file = path("HF_TOKEN_PATH").or_else(|| home.map(|home| home.join("token")));
    let token = set("HF_TOKEN")
        .or_else(|| set("HUGGING_FACE_HUB_TOKEN"))
        .or_else(|| fs::read_to_string(token_file?).ok())
        .map(|token| token.trim().to_owned())
        .filter(|token| !token.is_empty());
    let asks =
        |name: &str| set(name).is_some_and(|value| ["1", "on", "yes", "true"].contains(&value.to_lowercase().as_str()));
    HubOptions {
        cache,
        endpoint: set("HF_ENDPOINT"),
        token: token.map(Token),
        offline: asks("HF_HUB_OFFLINE") || asks("TRANSFORMERS_OFFLINE"),
        allow_download,
    }
}
