//! `hf://org/name@revision`: a repository of Hugging Face's hub as it stands in the cache that transformers, open_clip and
//! huggingface_hub share (`models--org--name/snapshots/COMMIT`). Reading the cache needs no network and no feature;
//! downloading is the cargo feature `hub`, off by default for the encryption it brings.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{ModelError, hugging, openclip};

/// What a model of the hub begins with.
pub(super) const SCHEME: &str = "hf://";
/// The revision of a repository that is meant where none is named.
const MAIN: &str = "main";

/// Where the cache is, and what may be fetched. `cli/` fills it from the environment.
#[derive(Clone, Debug, Default)]
pub struct HubOptions {
    /// The folder of the cache; none where the environment names no home.
    pub cache: Option<PathBuf>,
    /// The server, instead of Hugging Face's own.
    pub endpoint: Option<String>,
    /// What the server knows the user by.
    pub token: Option<Token>,
    /// The environment asks for no connection.
    pub offline: bool,
    /// The user allows a download.
    pub allow_download: bool,
}

/// A secret that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(not shown)")
    }
}

/// A repository at a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// `org/name`.
    name: String,
    /// A branch, a tag or a commit.
    revision: String,
}

impl fmt::Display for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{SCHEME}{}@{}", self.name, self.revision)
    }
}

impl FromStr for Repository {
    type Err = ModelError;

    /// `hf://org/name` or `hf://org/name@revision`.
    fn from_str(text: &str) -> Result<Self, ModelError> {
        let rest = text.strip_prefix(SCHEME).unwrap_or(text);
        let (name, revision) = rest.split_once('@').unwrap_or((rest, MAIN));
        let owner_and_name = name.split('/').count() == 2 && name.split('/').all(is_part) && !name.contains("--");
        if owner_and_name && revision.split('/').all(is_part) {
            return Ok(Self { name: name.to_owned(), revision: revision.to_owned() });
        }
        Err(ModelError::Input(format!(
            "`{text}` names no model of the hub: expected hf://org/name or hf://org/name@revision"
        )))
    }
}

/// Part of a name or of a revision. Both become names of folders, so none may lead elsewhere.
fn is_part(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !part.is_empty() && part.len() <= 96 && part.bytes().all(plain) && !part.starts_with('.') && !part.contains("..")
}

/// A commit, by which a revision is pinned.
fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// A repository on this machine.
pub(super) struct Found {
    /// Its files.
    pub(super) folder: PathBuf,
    /// The commit they are of.
    pub(super) commit: String,
    /// Whether files were downloaded for this.
    pub(super) downloaded: bool,
}

impl Repository {
    /// The same repository, pinned to a commit.
    pub(super) fn pinned(&self, commit: &str) -> String {
        format!("{SCHEME}{}@{commit}", self.name)
    }

    /// What was asked for, and what it is.
    pub(super) fn about(&self, found: &Found) -> String {
        let from =
            if found.downloaded { "downloaded" } else { "from the cache, without asking the hub for a newer one" };
        format!("{} of {} is commit {}, {from}", self.revision, self.name, found.commit)
    }

    /// The files: those of the cache where they are whole, else downloaded where that is allowed.
    ///
    /// # Errors
    /// Naming file and folder, when the cache lacks something and nothing may be downloaded, or the download failed.
    pub(super) fn find(&self, options: &HubOptions) -> Result<Found, ModelError> {
        let Some(cache) = options.cache.as_deref() else {
            return Err(self.missing("there is no cache: the environment names neither HF_HOME nor a home folder"));
        };
        let lacking = match self.cached(cache)? {
            Ok(found) => match lacking(&found.folder) {
                None => return Ok(found),
                Some(file) => format!("{} lacks {file}", found.folder.display()),
            },
            Err(lacking) => lacking,
        };
        if !options.allow_download {
            return Err(self.missing(&format!("{lacking}, and nothing is downloaded without --allow-download")));
        }
        if options.offline {
            return Err(self.missing(&format!("{lacking}, and the environment asks to stay offline (HF_HUB_OFFLINE)")));
        }
        self.download(cache, options, &lacking)
    }

    fn missing(&self, why: &str) -> ModelError {
        ModelError::Input(format!("{self} is not on this machine: {why}"))
    }

    /// The snapshot in a cache, or what the cache lacks.
    fn cached(&self, cache: &Path) -> Result<Result<Found, String>, ModelError> {
        let repository = cache.join(format!("models--{}", self.name.replace('/', "--")));
        let commit = if is_commit(&self.revision) {
            self.revision.clone()
        } else {
            let reference = repository.join("refs").join(&self.revision);
            match fs::read(&reference) {
                Ok(bytes) => {
                    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(100)]).trim().to_owned();
                    if !is_commit(&text) {
                        let problem = format!("{} holds no commit", reference.display());
                        return Err(ModelError::Input(format!("{self}: {problem}")));
                    }
                    text
                }
                Err(_) => return Ok(Err(format!("{} is missing", reference.display()))),
            }
        };
        let folder = repository.join("snapshots").join(&commit);
        if folder.is_dir() {
            return Ok(Ok(Found { folder, commit, downloaded: false }));
        }
        Ok(Err(format!("{} is missing", folder.display())))
    }

    #[cfg(not(feature = "hub"))]
    fn download(&self, _: &Path, _: &HubOptions, lacking: &str) -> Result<Found, ModelError> {
        Err(self.missing(&format!(
            "{lacking}, and this program was built without downloads: fetch it with `hf download {} --revision {}`, or \
             build with `--features hub`",
            self.name, self.revision
        )))
    }

    #[cfg(feature = "hub")]
    fn download(&self, cache: &Path, options: &HubOptions, lacking: &str) -> Result<Found, ModelError> {
        use hf_hub::api::sync::ApiBuilder;
        use hf_hub::{Cache, Repo, RepoType};

        let failed = |what: &str, error: &dyn fmt::Display| {
            ModelError::Network(format!("{self}: {what} could not be downloaded: {error} ({lacking})"))
        };
        let token = options.token.as_ref().map(|Token(token)| token.clone());
        let mut builder =
            ApiBuilder::from_cache(Cache::new(cache.to_owned())).with_token(token).with_progress(false).with_retries(2);
        if let Some(endpoint) = &options.endpoint {
            builder = builder.with_endpoint(endpoint.clone());
        }
        let api = builder.build().map_err(|error| failed("the list of its files", &error))?;
        let at = |revision: &str| Repo::with_revision(self.name.clone(), RepoType::Model, revision.to_owned());
        let listed = api.repo(at(&self.revision)).info().map_err(|error| failed("the list of its files", &error))?;
        // From here on the commit, so that a branch that moves meanwhile cannot mix two.
        let commit = listed.sha;
        if !is_commit(&commit) {
            return Err(failed("the list of its files", &"the server names no commit"));
        }
        let names: Vec<String> = listed.siblings.into_iter().map(|file| file.rfilename).collect();
        let Ok(wanted) = wanted(&names) else {
            return Err(ModelError::Input(format!(
                "{self} holds no checkpoint of a known format: {}",
                names.join(", ")
            )));
        };
        let pinned = api.repo(at(&commit));
        for name in &wanted {
            // The crate names files after what the server's headers say, and looks neither at length nor at contents.
            let told = api.metadata(&pinned.url(name)).map_err(|error| failed(name, &error))?;
            if told.commit_hash() != commit || !told.etag().split('/').all(is_part) {
                return Err(failed(name, &"the server does not say of which commit it is, and by what name"));
            }
            let path = pinned.get(name).map_err(|error| failed(name, &error))?;
            if let Some(damage) = damage(&path, told.size() as u64, told.etag()) {
                // A link and what it leads to: left there, it would be taken for the file from now on.
                for path in [fs::canonicalize(&path).ok(), Some(path)].into_iter().flatten() {
                    fs::remove_file(path).map_err(|error| failed(name, &error))?;
                }
                return Err(failed(name, &damage));
            }
        }
        let remember = Cache::new(cache.to_owned()).repo(at(&self.revision)).create_ref(&commit);
        remember.map_err(|error| failed("its revision", &error))?;
        match self.cached(cache)? {
            Ok(found) => Ok(Found { downloaded: true, ..found }),
            Err(lacking) => Err(self.missing(&lacking)),
        }
    }
}

/// What is wrong with a file that was downloaded. The hub names large files by their SHA-256, small ones by a hash of git.
#[cfg(feature = "hub")]
fn damage(path: &Path, bytes: u64, etag: &str) -> Option<String> {
    let (folder, name) = (path.parent()?, path.file_name()?.to_str()?);
    let blob = match super::blob::Blob::open(folder, name) {
        Ok(blob) => blob,
        Err(problem) => return Some(problem),
    };
    let record = blob.record();
    if record.bytes != bytes {
        return Some(format!("{} of {bytes} bytes arrived", record.bytes));
    }
    let named = super::sha256(etag).ok()?;
    (named != record.sha256).then(|| format!("its SHA-256 is {}, the server names {named}", record.sha256))
}

/// The file that a snapshot lacks; none where it is whole.
fn lacking(folder: &Path) -> Option<String> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    // A link into the cache whose file was removed counts as no file.
    let there = names.filter(|entry| entry.path().exists()).filter_map(|entry| entry.file_name().into_string().ok());
    wanted(&there.collect::<Vec<String>>()).err()
}

/// Of the files of a repository those that a checkpoint consists of, or the file that is missing for one.
fn wanted(names: &[String]) -> Result<Vec<String>, String> {
    let has = |name: &str| names.iter().any(|found| found == name);
    let first = |candidates: &[&str]| candidates.iter().find(|name| has(name)).map(|name| (*name).to_owned());
    let (configuration, weights, beside) = if has(openclip::CONFIGURATION) {
        (openclip::CONFIGURATION, first(&openclip::WEIGHTS).ok_or_else(|| openclip::WEIGHTS[0].to_owned())?, Vec::new())
    } else {
        let beside: Vec<String> =
            hugging::BESIDE.iter().filter(|name| has(name)).map(|&name| name.to_owned()).collect();
        (hugging::CONFIGURATION, first(&hugging::WEIGHTS).ok_or_else(|| hugging::WEIGHTS[0].to_owned())?, beside)
    };
    if !has(configuration) {
        return Err(configuration.to_owned());
    }
    let mut wanted = vec![configuration.to_owned(), weights.clone()];
    wanted.extend(beside);
    if let Some(stem) = weights.strip_suffix(".index.json").and_then(|name| name.rsplit_once('.')) {
        // `model.safetensors.index.json` stands beside `model-00001-of-00003.safetensors`.
        let (stem, end) = stem;
        let shard = |name: &&String| {
            let rest = name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(end)?.strip_suffix('.'));
            let numbers = rest.and_then(|rest| rest.strip_prefix('-')?.split_once("-of-"));
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            numbers.is_some_and(|(number, of)| digits(number) && digits(of))
        };
        wanted.extend(names.iter().filter(shard).cloned());
    }
    Ok(wanted)
}
