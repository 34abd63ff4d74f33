//! What `info` tells about the machine.

use std::fs;
use std::path::Path;

use ctr_cli::template::Value;
use ctr_userns::map::IdMap;
use std::collections::BTreeMap;

use super::tree::{Entry, field, record};

/// A number of `/proc/meminfo`, in bytes.
fn memory(table: &str, name: &str) -> u64 {
    let line = table.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default().saturating_mul(1024)
}

/// The four numbers of memory.
pub(super) fn memory_fields() -> [(&'static str, u64); 4] {
    let table = read("/proc/meminfo");
    [
        ("free", memory(&table, "MemFree")),
        ("total", memory(&table, "MemTotal")),
        ("swap_free", memory(&table, "SwapFree")),
        ("swap_total", memory(&table, "SwapTotal")),
    ]
}

/// Text of a file that may not be there.
pub(super) fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// User, system and idle time since the boot, in per cent.
pub(super) fn processor_time(stat: &str) -> Vec<Entry> {
    let first = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> =
        first.split_whitespace().skip(1).map(|word| word.parse().unwrap_or_default()).collect();
    let at = |index: usize| ticks.get(index).copied().unwrap_or_default();
    let (user, system, idle) = (at(0), at(2), at(3));
    let total = user + system + idle;
    let percent = |part: f64| {
        let share = if total > 0.0 { part / total * 100.0 } else { 0.0 };
        (share * 100.0).round() / 100.0
    };
    vec![
        field("UserPercent", "userPercent", percent(user)),
        field("SystemPercent", "systemPercent", percent(system)),
        field("IdlePercent", "idlePercent", percent(idle)),
    ]
}

/// Distribution, variant, version and code name of os-release.
pub(super) fn distribution(release: &str) -> Vec<Entry> {
    let value = |name: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map(|text| text.trim_matches(['"', '\'']).to_owned())
    };
    let known = |name: &str| value(name).unwrap_or_else(|| "unknown".to_owned());
    let mut fields = vec![field("Distribution", "distribution", known("ID"))];
    fields.extend(value("VARIANT_ID").map(|variant| field("Variant", "variant", variant)));
    fields.push(field("Version", "version", known("VERSION_ID")));
    fields.extend(value("VERSION_CODENAME").map(|name| field("Codename", "codename", name)));
    fields
}

/// The time since the boot, as podman words it.
pub(super) fn uptime(seconds: u64) -> String {
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let text = format!("{hours}h {minutes}m {}.00s", seconds % 60);
    if hours == 0 {
        return text;
    }
    // Hundredths of days, to the nearest.
    let hundredths = (hours * 100 + 12) / 24;
    format!("{text} (Approximately {}.{:02} days)", hundredths / 100, hundredths % 100)
}

/// The controllers we may use, and the version of the hierarchy.
pub(super) fn control_groups() -> (Vec<String>, &'static str) {
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers");
    if !unified.exists() {
        return (Vec::new(), "v1");
    }
    let own = read("/proc/self/cgroup");
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default().to_owned();
    let group = Path::new("/sys/fs/cgroup").join(own).join("cgroup.controllers");
    let text = fs::read_to_string(group).or_else(|_unseen| fs::read_to_string(unified)).unwrap_or_default();
    (text.split_whitespace().map(str::to_owned).collect(), "v2")
}

/// A map as podman's `idMappings` has it.
pub(super) fn id_map(map: &IdMap) -> Value {
    let extents = map.extents().iter().map(|extent| {
        record(
            "idtools.IDMap",
            vec![
                field("ContainerID", "container_id", extent.inner),
                field("HostID", "host_id", extent.outer),
                field("Size", "size", extent.len),
            ],
        )
    });
    Value::from(extents.collect::<Vec<_>>())
}

/// What Go calls this architecture.
pub(crate) fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

/// Foreign architectures whose programs run here, by binfmt_misc with the flag F (or P), as QEMU registers them.
pub(super) fn emulated() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/proc/sys/fs/binfmt_misc") else { return Vec::new() };
    let names = entries.filter_map(Result::ok).filter_map(|entry| entry.file_name().into_string().ok());
    let mut found: Vec<String> = names
        .filter_map(|name| {
            let architecture = name.strip_prefix("qemu-")?;
            let enabled = read(&format!("/proc/sys/fs/binfmt_misc/{name}")).starts_with("enabled");
            enabled.then(|| format!("linux/{architecture}"))
        })
        .collect();
    found.sort();
    found
}

/// An object without fields.
pub(super) fn nothing() -> Value {
    Value::from(BTreeMap::<String, String>::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_worded_as_podman_does() {
        assert_eq!(uptime(3576), "0h 59m 36.00s");
        assert_eq!(uptime(3 * 3600 + 61), "3h 1m 1.00s (Approximately 0.13 days)");
        assert_eq!(uptime(86_400), "24h 0m 0.00s (Approximately 1.00 days)");
    }

    #[test]
    fn the_machines_tables_are_read() {
        assert_eq!(memory("MemTotal:   100 kB\nMemFree:  7 kB\n", "MemFree"), 7168);
        let time = record("CPUUsage", processor_time("cpu  10 5 20 70 9 9\ncpu0 1 1 1 1\n")).to_json();
        assert_eq!(
            time,
            serde_json::json!({"userPercent": 10.0, "systemPercent": 20.0, "idlePercent": 70.0})
        );
        let release = "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n";
        let told = record("DistributionInfo", distribution(release)).to_json();
        assert_eq!(
            told,
            serde_json::json!({"distribution": "debian", "version": "12", "codename": "bookworm"})
        );
    }
}
