//! What this process has used of the machine, for `bench` and `check`.

/// What the process has used so far, as Linux counts it; 0 where it does not tell.
pub(super) struct Process {
    /// The most resident memory so far.
    pub(super) peak_memory_bytes: u64,
    /// Processor time of all threads, user and system.
    pub(super) seconds: f64,
}

impl Process {
    pub(super) fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let peak =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // Fields 14 and 15, counted behind the name of the program, which may hold spaces; in hundredths of a second.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
        let hundredths: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Self { peak_memory_bytes: peak.unwrap_or(0u64) * 1024, seconds: hundredths as f64 / 100.0 }
    }
}
