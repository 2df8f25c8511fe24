//! The memory that a Linux system and the control groups of the process have available.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub(super) fn free() -> Option<usize> {
    let machine = machine(&read_to_string("/proc/meminfo").ok()?);
    let groups = groups().iter().filter_map(Group::free);
    machine.into_iter().chain(groups).min()
}

/// Returns the memory available without evicting other programs, plus the unused swap space.
fn machine(meminfo: &str) -> Option<usize> {
    let kilobytes = |name: &str| number_after(meminfo, name);
    let bytes = kilobytes("MemAvailable:")?.saturating_add(kilobytes("SwapFree:").unwrap_or(0));
    bytes.checked_mul(1024)
}

/// Returns the number that follows a word at the start of a line.
fn number_after(text: &str, word: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix(word))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A control group that may limit the process, described by its files.
struct Group {
    folder: PathBuf,
    limit: &'static str,
    used: &'static str,
    /// The statistics entry for cached files, whose memory the system reclaims on demand.
    cached: &'static str,
}

impl Group {
    fn new(folder: &Path) -> Group {
        let folder = folder.to_owned();
        if folder.join("memory.max").exists() {
            Group { folder, limit: "memory.max", used: "memory.current", cached: "inactive_file " }
        } else {
            let (limit, used) = ("memory.limit_in_bytes", "memory.usage_in_bytes");
            Group { folder, limit, used, cached: "total_inactive_file " }
        }
    }

    /// Returns the bytes available in the group, or `None` if it sets no limit.
    fn free(&self) -> Option<usize> {
        let number = |file: &str| read_to_string(self.folder.join(file)).ok()?.trim().parse().ok();
        let limit: usize = number(self.limit)?; // the word `max` is not a number
        let stat = read_to_string(self.folder.join("memory.stat")).unwrap_or_default();
        let cached = number_after(&stat, self.cached).unwrap_or(0);
        Some(limit.saturating_sub(number(self.used)?.saturating_sub(cached)))
    }
}

/// Returns the control groups of the process and their parents.
fn groups() -> &'static [Group] {
    static GROUPS: OnceLock<Vec<Group>> = OnceLock::new();
    GROUPS.get_or_init(|| {
        let own = read_to_string("/proc/self/cgroup").unwrap_or_default();
        folders(&own).iter().map(|folder| Group::new(folder)).collect()
    })
}

/// Returns the folders of the control groups that the membership list of a process names, and of their
/// parents.
fn folders(own: &str) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for line in own.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let root = match parts.next() {
            Some("") => "/sys/fs/cgroup",
            Some(kinds) if kinds.split(',').any(|kind| kind == "memory") => "/sys/fs/cgroup/memory",
            _ => continue,
        };
        let path = parts.next().unwrap_or_default().trim_matches('/');
        let inner = Path::new(root).join(path);
        folders.extend(inner.ancestors().take_while(|folder| folder.starts_with(root)).map(PathBuf::from));
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_reports_its_memory() {
        let text = "MemTotal: 100 kB\nMemFree: 1 kB\nMemAvailable:   70 kB\nSwapFree: 5 kB\n";
        assert_eq!(machine(text), Some(75 << 10));
        assert_eq!(machine("MemTotal: 100 kB"), None);
        assert!(free().is_some_and(|free| free > 1 << 20));
    }

    #[test]
    fn a_group_and_its_ancestors_are_read() {
        let found = folders("12:cpu,memory:/a\n3:cpu:/x\n0::/b/c\n");
        let expected =
            ["memory/a", "memory", "b/c", "b", ""].map(|path| Path::new("/sys/fs/cgroup").join(path));
        assert_eq!(found, expected);
    }

    #[test]
    fn the_available_memory_of_a_group_is_its_limit_minus_unreclaimable_memory() {
        let folder = std::env::temp_dir().join(format!("tensor-group-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let write = |file: &str, text: &str| std::fs::write(folder.join(file), text).unwrap();
        write("memory.max", "1000\n");
        write("memory.current", "700\n");
        write("memory.stat", "anon 500\ninactive_file 150\n");
        assert_eq!(Group::new(&folder).free(), Some(450));
        write("memory.max", "max\n");
        assert_eq!(Group::new(&folder).free(), None);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
