//! Devices and precision: what the user asks for, what libtorch can give, and the numerics profile that follows.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::num::NonZero;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::OnceLock;

use tch::{Cuda, Device, Kind};

use super::ModelError;
use super::checkpoint::CheckpointOptions;
use super::hub::HubOptions;
use crate::types::Numerics;

/// The release of libtorch that the pinned version of tch is made for; its build script refuses another.
pub const LIBTORCH: &str = "2.11.0";

/// Images per forward pass where nobody says.
const CPU_BATCH: usize = 32;
const CUDA_BATCH: usize = 256;

/// Where to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first CUDA device if there is a usable one, else the CPU; the numerics profile says which.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A CUDA device by its number; an error where it cannot be used.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("cuda:").map(str::parse)) {
            ("auto", _) => Ok(Self::Auto),
            ("cpu", _) => Ok(Self::Cpu),
            ("cuda", _) => Ok(Self::Cuda(0)),
            (_, Some(Ok(index))) => Ok(Self::Cuda(index)),
            _ => Err(format!("`{text}` is not a device: expected auto, cpu, cuda or cuda:NUMBER")),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => formatter.write_str("auto"),
            Self::Cpu => formatter.write_str("cpu"),
            Self::Cuda(index) => write!(formatter, "cuda:{index}"),
        }
    }
}

/// The type that the blocks of the image tower compute in; what follows them, and the text tower, computes in f32. Features
/// and taps are always given as f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dtype {
    /// 24 bits of mantissa; the default.
    #[default]
    F32,
    /// 8 bits of mantissa, the range of f32.
    Bf16,
    /// 11 bits of mantissa, largest value 65504.
    F16,
}

const DTYPES: [(&str, Dtype, Kind); 3] =
    [("f32", Dtype::F32, Kind::Float), ("bf16", Dtype::Bf16, Kind::BFloat16), ("f16", Dtype::F16, Kind::Half)];

impl Dtype {
    /// libtorch's name for it.
    pub(super) fn kind(self) -> Kind {
        DTYPES.iter().find(|(_, dtype, _)| *dtype == self).map_or(Kind::Float, |(_, _, kind)| *kind)
    }
}

impl FromStr for Dtype {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = DTYPES.iter().find(|(name, _, _)| *name == text);
        found
            .map(|(_, dtype, _)| *dtype)
            .ok_or_else(|| format!("`{text}` is not a precision: expected f32, bf16 or f16"))
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(DTYPES.iter().find(|(_, dtype, _)| dtype == self).map_or("", |(name, _, _)| name))
    }
}

/// How to run a model.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Where.
    pub device: DeviceChoice,
    /// In which precision.
    pub dtype: Dtype,
    /// Images per forward pass; by default 32 on a CPU, or less where memory is short, and 256 on CUDA.
    pub batch: Option<usize>,
    /// Threads inside one operator; every available core by default.
    pub threads: Option<usize>,
    /// What is said of the checkpoint besides its files.
    pub checkpoint: CheckpointOptions,
    /// Where models of the hub are.
    pub hub: HubOptions,
}

/// Opens the device and settles everything results depend on beside weights and inputs.
///
/// # Errors
/// When CUDA is asked for and cannot be used, or batch or threads are 0.
pub(super) fn open(options: &LoadOptions) -> Result<(Device, Numerics), ModelError> {
    let (device, name) = match options.device {
        DeviceChoice::Cpu => (Device::Cpu, "cpu".to_owned()),
        DeviceChoice::Cuda(index) => (Device::Cuda(index), cuda(index).map_err(ModelError::Device)?),
        DeviceChoice::Auto => match cuda(0) {
            Ok(name) => (Device::Cuda(0), name),
            Err(_) => (Device::Cpu, "cpu".to_owned()),
        },
    };
    let batch = options.batch.unwrap_or(if device == Device::Cpu { CPU_BATCH } else { CUDA_BATCH });
    let threads = options.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get));
    // libtorch counts threads in an i32; no machine has more cores than this bound.
    if batch == 0 || threads == 0 || threads > 4096 {
        return Err(ModelError::Input(format!(
            "a batch of {batch} on {threads} threads cannot run: expected at least 1 of each and at most 4096 threads"
        )));
    }
    let numerics = Numerics {
        device: name,
        dtype: options.dtype.to_string(),
        batch,
        threads,
        libtorch: LIBTORCH.to_owned(),
        cpu_capability: cpu_capability(),
    };
    Ok((device, numerics))
}

/// The batch where nobody says: `usual`, halved until the values of so many pictures take at most a quarter of the memory.
/// `values` are those of one picture that are alive at once, in f32.
pub fn batch_within(usual: usize, values: usize, memory_bytes: u64) -> usize {
    let room = memory_bytes / 4;
    let needed = |batch: usize| (batch as u64).saturating_mul(values as u64).saturating_mul(size_of::<f32>() as u64);
    std::iter::successors(Some(usual), |batch| Some(batch / 2))
        .find(|&batch| batch <= 1 || needed(batch) <= room)
        .unwrap_or(1)
}

/// The profile with the batch that a model of so many values a picture is run in. A GPU says only by failing how much
/// memory it has; a system without enough of it kills the process, so that it is asked first.
pub(super) fn sized(device: Device, numerics: Numerics, options: &LoadOptions, values: usize) -> Numerics {
    match memory_bytes().filter(|_| device == Device::Cpu && options.batch.is_none()) {
        Some(bytes) => Numerics { batch: batch_within(numerics.batch, values, bytes), ..numerics },
        None => numerics,
    }
}

/// The memory of this machine or, where that is less, of this container: all of it, because what is free changes from run to
/// run and the batch must not.
fn memory_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let total: u64 =
        text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok())?;
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limit: Option<u64> = limits.iter().find_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    Some(total.saturating_mul(1024).min(limit.unwrap_or(u64::MAX)))
}

/// Tells libtorch how many threads the calling thread may use inside an operator; it keeps the number per thread.
pub(super) fn use_threads(threads: usize) {
    tch::set_num_threads(i32::try_from(threads).unwrap_or(1));
}

/// The name of a CUDA device, opened.
fn cuda(index: usize) -> Result<String, String> {
    static LOADED: OnceLock<Result<(), String>> = OnceLock::new();
    LOADED.get_or_init(load_cuda).clone()?;
    let driver = fs::read_to_string("/proc/driver/nvidia/version").ok();
    let driver = driver.as_deref().and_then(|text| text.lines().next()).unwrap_or("no NVIDIA driver is loaded");
    if !Cuda::is_available() {
        return Err(format!(
            "no CUDA device can be used: libtorch {LIBTORCH} with CUDA was loaded, but finds none ({driver})"
        ));
    }
    let count = usize::try_from(Cuda::device_count()).unwrap_or(0);
    if index >= count {
        return Err(format!("cuda:{index} does not exist: CUDA devices here are 0 to {}", count.saturating_sub(1)));
    }
    Ok(format!("cuda:{index} ({})", gpu_model()))
}

/// What the driver calls the GPUs of this machine. libtorch's C interface names no device, and its numbering need not be
/// the driver's, so that on a machine of unlike GPUs all their names stand here.
fn gpu_model() -> String {
    let folders = fs::read_dir("/proc/driver/nvidia/gpus").into_iter().flatten().flatten();
    let mut models: Vec<String> = folders
        .filter_map(|folder| fs::read_to_string(folder.path().join("information")).ok())
        .filter_map(|text| Some(text.lines().find_map(|line| line.strip_prefix("Model:"))?.trim().to_owned()))
        .collect();
    models.sort_unstable();
    models.dedup();
    if models.is_empty() { "unnamed".to_owned() } else { models.join(" or ") }
}

const CUDA_LIBRARY: &str = "libtorch_cuda.so";

/// Brings CUDA into the process. The program is linked against the CPU part of libtorch alone; the CUDA part registers
/// itself when it is opened, which must come before the first CUDA query of the process, because libtorch keeps the
/// answer to that for good.
fn load_cuda() -> Result<(), String> {
    let mut failures = Vec::new();
    let beside = libtorch_folder().map(|folder| folder.join(CUDA_LIBRARY)).filter(|path| path.exists());
    // A bare name goes through the loader's own path (LD_LIBRARY_PATH, run path, system folders).
    for candidate in beside.map(PathBuf::into_os_string).into_iter().chain([OsString::from(CUDA_LIBRARY)]) {
        match open_for_good(&candidate) {
            Ok(()) => return Ok(()),
            Err(error) => failures.push(error),
        }
    }
    Err(format!(
        "CUDA cannot be used: {CUDA_LIBRARY} could not be loaded ({}); `make cuda` installs it",
        failures.join("; ")
    ))
}

#[expect(unsafe_code, reason = "a shared library can be opened in no other way")]
fn open_for_good(name: &OsString) -> Result<(), String> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: opening a library runs its initialisers. This one is the CUDA half of the libtorch that the process
    // already runs, from the same folder or the same loader path; its initialisers register operators and nothing of
    // ours is registered with them. It is never closed, so no code or data of it can vanish while in use.
    let library = unsafe { Library::open(Some(name), RTLD_NOW | RTLD_GLOBAL) };
    // The loader's own words stand one level below the error.
    library.map(std::mem::forget).map_err(|error| error.source().map_or_else(|| error.to_string(), ToString::to_string))
}

/// The folder of the libtorch that this process runs.
fn libtorch_folder() -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.ends_with("/libtorch_cpu.so"))?;
    Some(PathBuf::from(line.get(line.find('/')?..)?).parent()?.to_owned())
}

/// Whether libtorch computes with AVX-512.
pub(super) fn has_avx512() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| cpu_capability().starts_with("AVX512"))
}

/// The vector instructions libtorch chooses, by its own rule from the processor's flags (`ATen/native/DispatchStub.cpp`;
/// its C interface does not tell), and those that oneDNN uses for half precision.
fn cpu_capability() -> String {
    let Ok(information) = fs::read_to_string("/proc/cpuinfo") else { return "unknown".to_owned() };
    let flags: Vec<&str> = information
        .lines()
        .find_map(|line| line.strip_prefix("flags")?.split_once(':'))
        .map_or(Vec::new(), |(_, flags)| flags.split_whitespace().collect());
    let has = |wanted: &[&str]| wanted.iter().all(|flag| flags.contains(flag));
    let base = if has(&["avx512f", "avx512vl", "avx512bw", "avx512dq", "fma"]) {
        "AVX512"
    } else if has(&["avx2", "fma"]) {
        "AVX2"
    } else {
        "DEFAULT"
    };
    let half = ["avx512_bf16", "avx512_fp16", "amx_bf16", "amx_fp16"].into_iter().filter(|flag| has(&[flag]));
    std::iter::once(base).chain(half).collect::<Vec<_>>().join(" ")
}
