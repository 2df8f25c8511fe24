//! Saving and restoring models of five kinds: time, throughput, memory.
//!
//! `cargo bench -p monitored-checkpoint --bench w2 -- [MODEL ...] [--dir DIR] [--rounds N]`, where MODEL is `one1g` (one
//! tensor of 1 GiB), `m256` (100 tensors, 256 MiB), `small2000` (2,000 of 64 KiB), `scalars20k` or
//! `scalars200k`; all of them without an argument. Prints one JSON object per line. `floor` is the same
//! number of bytes without any format, by the plainest means.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a program for the terminal

use checkpoint::bundle::{BundleReader, ReadOptions};
use checkpoint::{SaveOptions, SaveSource, Saver, SaverOptions};
use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tensor::{DType, Tensor};

const MIB: usize = 1 << 20;

struct Settings {
    models: Vec<String>,
    directory: PathBuf,
    rounds: usize,
}

fn settings() -> Settings {
    let mut settings = Settings { models: Vec::new(), directory: std::env::temp_dir(), rounds: 5 };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--dir" => settings.directory = arguments.next().expect("a folder follows --dir").into(),
            "--rounds" => {
                settings.rounds = arguments.next().unwrap().parse().expect("a number follows --rounds")
            }
            "--bench" => {} // cargo says so
            model => settings.models.push(model.to_owned()),
        }
    }
    if settings.models.is_empty() {
        settings.models =
            ["one1g", "m256", "small2000", "scalars20k", "scalars200k"].map(String::from).to_vec();
    }
    settings
}

/// Number of tensors and elements in each (`None` for scalars).
fn shape(model: &str) -> (usize, Option<usize>) {
    match model {
        "one1g" => (1, Some(256 * MIB)),
        "m256" => (100, Some(671_088)),
        "small2000" => (2_000, Some(16_384)),
        "scalars20k" => (20_000, None),
        "scalars200k" => (200_000, None),
        other => panic!("no model {other}"),
    }
}

fn splitmix(i: u64) -> u64 {
    let z = i.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn tensors(model: &str) -> Vec<(String, Tensor)> {
    let (count, elements) = shape(model);
    let tensor = |i: usize| match elements {
        None => Tensor::scalar(i as f32 * 0.5),
        Some(n) => {
            let value = |j| (splitmix((i * n + j) as u64) >> 40) as f32 / 16_777_216.0 - 0.5;
            Tensor::from((0..n).map(value).collect::<Vec<f32>>())
        }
    };
    (0..count).map(|i| (format!("layer{}/block{}/weight_{i}", i / 10, i % 10), tensor(i))).collect()
}

/// Kilobytes in a line of `/proc/self/status`.
fn status(key: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or(": 0");
    line.split_whitespace().nth(1).or(line.split_whitespace().next()).unwrap_or("0").parse().unwrap_or(0.0)
        / 1024.0
}

fn reset_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Seconds of processor time that this process has used. Unlike the time on the wall they hardly depend on
/// what else the machine does.
fn processor() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

struct Case {
    model: String,
    bytes: u64,
    count: usize,
}

impl Case {
    fn emit(&self, who: &str, what: &str, runs: &[f64], extra: &[(&str, f64)]) {
        let mut sorted = runs.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
        let (min, max) = (sorted[0], sorted[sorted.len() - 1]);
        let mut line = serde_json::json!({
            "name": format!("w2/{who}/{}/{what}", self.model), "metric": "seconds", "value": median, "unit": "s",
            "runs": runs, "min": min, "max": max, "gbps": self.bytes as f64 / min / 1e9,
            "gbps_median": self.bytes as f64 / median / 1e9,
            "data_bytes": self.bytes, "n_tensors": self.count,
        });
        for (key, value) in extra {
            line[*key] = serde_json::json!(value);
        }
        println!("{line}");
    }
}

fn sync_directory(directory: &Path) {
    File::open(directory).unwrap().sync_all().unwrap();
}

fn sync_tree(directory: &Path) {
    for entry in std::fs::read_dir(directory).unwrap() {
        File::open(entry.unwrap().path()).unwrap().sync_all().unwrap();
    }
    sync_directory(directory);
}

fn clear(directory: &Path) {
    for entry in std::fs::read_dir(directory).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    // The next save should not have to write what the removed files left in the journal.
    sync_directory(directory);
}

fn tree_bytes(directory: &Path) -> f64 {
    std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len() as f64).sum()
}

/// Times a save to its return and, with `sync`, to the sync of every file after it.
fn saving(case: &Case, who: &str, directory: &Path, rounds: usize, sync: bool, save: impl Fn(&Path)) {
    let (mut returned, mut durable, mut peak, mut disk) = (Vec::new(), Vec::new(), 0.0f64, 0.0);
    let mut cpu = f64::INFINITY;
    for round in 0..rounds {
        clear(directory);
        reset_peak();
        let before = status("VmRSS");
        let (start, used) = (Instant::now(), processor());
        save(&directory.join(format!("ck{round}")));
        cpu = cpu.min(processor() - used);
        returned.push(start.elapsed().as_secs_f64());
        if sync {
            sync_tree(directory);
        }
        durable.push(start.elapsed().as_secs_f64());
        peak = peak.max(status("VmHWM") - before);
        disk = tree_bytes(directory);
    }
    let extra = [("peak_extra_mb", peak), ("disk_bytes", disk), ("cpu_min", cpu)];
    if sync {
        case.emit(who, "save", &returned, &extra);
    }
    case.emit(who, "save_fsync", &durable, &extra);
}

fn restoring<T>(case: &Case, who: &str, rounds: usize, restore: impl Fn() -> T) {
    let (mut times, mut peak, mut cpu) = (Vec::new(), 0.0f64, f64::INFINITY);
    for _ in 0..rounds {
        reset_peak();
        let before = status("VmRSS");
        let (start, used) = (Instant::now(), processor());
        let restored = restore();
        cpu = cpu.min(processor() - used);
        times.push(start.elapsed().as_secs_f64());
        peak = peak.max(status("VmHWM") - before);
        drop(black_box(restored));
    }
    case.emit(who, "restore", &times, &[("peak_extra_mb", peak), ("cpu_min", cpu)]);
}

fn saver(durable: bool, direct: bool) -> Saver {
    Saver::new(SaverOptions::new().durable(durable).direct_io(direct).max_to_keep(0))
}

/// One element of each page, so that a map is really read.
fn touch(tensors: &[(String, Tensor)]) -> u64 {
    let sum =
        |tensor: &Tensor| tensor.as_bytes().unwrap().iter().step_by(4096).map(|&b| u64::from(b)).sum::<u64>();
    tensors.iter().map(|(_, tensor)| sum(tensor)).sum()
}

fn floors(case: &Case, directory: &Path, rounds: usize, source: &[(String, Tensor)]) {
    saving(case, "floor", directory, rounds, true, |path| {
        let mut file = File::create(path).unwrap();
        for (_, tensor) in source {
            file.write_all(tensor.as_bytes().unwrap()).unwrap();
        }
    });
    let path = std::fs::read_dir(directory).unwrap().next().unwrap().unwrap().path();
    restoring(case, "floor", rounds, || {
        use std::io::Read;
        let mut map = memmap2::MmapMut::map_anon(case.bytes as usize).unwrap();
        #[cfg(target_os = "linux")]
        map.advise(memmap2::Advice::HugePage).unwrap();
        File::open(&path).unwrap().read_exact(&mut map).unwrap();
        map
    });
    #[cfg(target_os = "linux")]
    saving(case, "floor_direct", directory, rounds, false, |path| {
        use std::os::unix::fs::OpenOptionsExt;
        const BLOCK: usize = 8 * MIB;
        // An aligned buffer of any bytes, written as often as needed: no copy, no sum, one thread.
        let mut block = memmap2::MmapMut::map_anon(BLOCK).unwrap();
        block.fill(7);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).custom_flags(libc::O_DIRECT);
        let Ok(mut file) = options.open(path) else { return };
        let mut left = case.bytes.next_multiple_of(4096) as usize;
        while left > 0 {
            let now = left.min(BLOCK);
            file.write_all(&block[..now]).unwrap();
            left -= now;
        }
        file.sync_all().unwrap();
        sync_directory(path.parent().unwrap());
    });
}

fn background(case: &Case, directory: &Path, rounds: usize, source: &[(String, Tensor)]) {
    let (mut blocked, mut durable, mut peak) = (Vec::new(), Vec::new(), 0.0f64);
    for round in 0..rounds {
        clear(directory);
        let saver = saver(true, true);
        reset_peak();
        let before = status("VmRSS");
        let start = Instant::now();
        let path = directory.join("m");
        saver.save_in_background(&source, path, Some(round as i64), SaveOptions::new()).unwrap();
        blocked.push(start.elapsed().as_secs_f64());
        saver.wait().unwrap();
        durable.push(start.elapsed().as_secs_f64());
        peak = peak.max(status("VmHWM") - before);
    }
    case.emit("ours_background", "blocked", &blocked, &[("peak_extra_mb", peak)]);
    case.emit("ours_background", "durable", &durable, &[]);
}

fn run(model: &str, settings: &Settings) {
    let source = tensors(model);
    let count = source.len();
    let bytes = source.iter().map(|(_, tensor)| tensor.byte_len() as u64).sum();
    let case = Case { model: model.to_owned(), bytes, count };
    let folder = tempfile::tempdir_in(&settings.directory).unwrap();
    let (directory, rounds) = (folder.path(), settings.rounds);
    floors(&case, directory, rounds, &source);
    let save = |saver: Saver| {
        let source = &source;
        move |path: &Path| {
            saver.save_with(source as &dyn SaveSource, path, None, SaveOptions::new()).unwrap();
        }
    };
    // A saver of its own in each: the first one of a folder locks it and looks for leftovers.
    saving(&case, "ours_durable", directory, rounds, false, save(saver(true, true)));
    saving(&case, "ours_durable_buffered", directory, rounds, false, save(saver(true, false)));
    background(&case, directory, rounds, &source);
    saving(&case, "ours", directory, rounds, true, save(saver(false, false)));
    let prefix = directory.join(format!("ck{}", rounds - 1));
    let open = |options: ReadOptions| BundleReader::open_with(&prefix, options).unwrap();
    restoring(&case, "ours", rounds, || open(ReadOptions::new()).read_all().unwrap());
    restoring(&case, "ours_1_thread", rounds, || open(ReadOptions::new().threads(1)).read_all().unwrap());
    let mapped = || {
        let tensors = open(ReadOptions::new().map(true).verify(false)).read_all().unwrap();
        (touch(&tensors), tensors)
    };
    restoring(&case, "ours_mapped", rounds, mapped);
    restoring(&case, "ours_mapped_verified", rounds, || {
        open(ReadOptions::new().map(true)).read_all().unwrap()
    });
    assert_eq!(open(ReadOptions::new()).read(&source[0].0).unwrap().dtype(), DType::Float32);
}

fn main() {
    let settings = settings();
    for model in &settings.models {
        run(model, &settings);
    }
}
