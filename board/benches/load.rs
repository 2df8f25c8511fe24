//! Measures the time and memory that the board takes to read long runs: `cargo bench -p monitored-board --bench load -- long-runs` reads 20 runs of
//! 100,000 points, `large-file` one event file of 1 GB with numbers, histograms and images, which lies in the system's folder
//! for temporary files meanwhile. Prints the time, the processor's time and the most memory that the process took.
#![allow(clippy::print_stdout, clippy::print_stderr)] // it is what a benchmark is for
#![allow(clippy::unwrap_used)] // a benchmark may

use board::Board;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::time::Instant;
use summary::record::RecordWriter;
use summary::{Event, EventData, Histogram, Image, Summary, Value};

const LARGE: u64 = 1 << 30;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let scenarios: [(&str, fn(&Path)); 2] = [("long-runs", long_runs), ("large-file", large_file)];
    // Cargo adds `--bench`.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let scenario = scenarios.iter().find(|(name, _)| wanted.as_deref() == Some(name));
    let Some((name, write)) = scenario else {
        eprintln!("load: name a scenario, long-runs or large-file");
        return;
    };
    write(folder.path());
    let written = cpu_seconds();
    let begun = Instant::now();
    let board = Board::open(&[folder.path()]).unwrap();
    let events = board.reload();
    let answer = board.answer("/api/scalars?tag=loss");
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let (wall, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds() - written);
    println!(
        "{name}: {events} events in {wall:.2} s, {cpu:.2} s of processor time, at most {} MB of memory",
        peak_mb()
    );
}

fn writer(folder: &Path) -> RecordWriter<BufWriter<File>> {
    std::fs::create_dir_all(folder).unwrap();
    let file = File::create(folder.join("events.out.tfevents.1.host")).unwrap();
    let mut writer = RecordWriter::new(BufWriter::new(file));
    let version = EventData::FileVersion(summary::FILE_VERSION.to_owned());
    writer.write(&Event::new(0.0, 0, version).encode()).unwrap();
    writer
}

fn loss(step: i64) -> Summary {
    Summary::scalar("loss", 1.0 / (step + 1) as f32 + (step as f32 * 0.7).sin() * 0.01)
}

fn long_runs(folder: &Path) {
    for run in 0..20 {
        let mut writer = writer(&folder.join(format!("run-{run:02}")));
        for step in 0..100_000 {
            writer.write(&Event::new(step as f64, step, loss(step).into()).encode()).unwrap();
        }
    }
}

fn large_file(folder: &Path) {
    let mut writer = writer(folder);
    let pixels: Vec<u8> =
        (0..64 * 1024u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let image = Image { height: 1, width: 1, colorspace: 3, encoded: pixels.into() };
    let weights = Histogram::of((0..1000).map(|index| f64::from(index).sin())).unwrap();
    let (mut step, mut bytes) = (0, 0);
    while bytes < LARGE {
        let mut summary = loss(step);
        if step % 20 == 0 {
            summary = summary.with(Value::histogram("weights", weights.clone()));
        }
        if step % 100 == 0 {
            summary = summary.with(Value::image("image", image.clone()));
        }
        let event = Event::new(step as f64, step, summary.into()).encode();
        bytes += event.len() as u64 + 16;
        writer.write(&event).unwrap();
        step += 1;
    }
}

/// The processor's time of this process so far, all threads together.
fn cpu_seconds() -> f64 {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else { return f64::NAN };
    // After the program's name in parentheses; the fields 14 and 15, in ticks of a hundredth of a second.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap_or(f64::NAN)).sum::<f64>() / 100.0
}

fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1024
}
