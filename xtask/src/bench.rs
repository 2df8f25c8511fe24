//! The fixed workloads, ours and TensorFlow's in turn in one run.

use crate::adapters;
use crate::shell::{cargo, root, say, section};
use crate::tensorflow;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

/// The programs of a workload, ours and TensorFlow's, for one number of threads.
struct Workload {
    /// The name that the command line takes.
    name: &'static str,
    /// The arguments of our program, one string for each case.
    ours: &'static [&'static str],
    /// The script of TensorFlow's side and its arguments, for each case.
    theirs: &'static [&'static [&'static str]],
}

impl Workload {
    /// Returns true if a name means this workload: its own, or the part before the `-`.
    fn is_called(&self, name: &str) -> bool {
        self.name == name || self.name.split_once('-').is_some_and(|(family, _)| family == name)
    }
}

/// All workloads, in the order in which they run.
const WORKLOADS: [Workload; 10] = [
    Workload { name: "w1", ours: &[""], theirs: &[&["w1_tf.py"]] },
    // The same loop with a model of candle, by hand and under a session.
    Workload { name: "w1-candle", ours: &[""], theirs: &[] },
    Workload {
        name: "w2",
        ours: &["scalars20k", "scalars200k", "small2000", "m256", "one1g"],
        theirs: &[
            &["w2_ckpt.py", "tf_saver", "scalars20k"],
            // TensorFlow's own Saver takes minutes to build this graph: its bare operations instead.
            &["w2_ckpt.py", "tf_raw", "scalars200k"],
            &["w2_ckpt.py", "tf_saver", "small2000"],
            &["w2_ckpt.py", "tf_saver", "m256"],
            &["w2_ckpt.py", "tf_saver", "one1g"],
        ],
    },
    Workload {
        name: "w2-safetensors",
        ours: &[],
        theirs: &[
            &["w2_ckpt.py", "safetensors", "small2000"],
            &["w2_ckpt.py", "safetensors", "m256"],
            &["w2_ckpt.py", "safetensors", "one1g"],
        ],
    },
    Workload { name: "w3", ours: &[""], theirs: &[&["w3_tf.py", "queues"]] },
    Workload {
        name: "w3-records",
        ours: &[""],
        theirs: &[&["w3_records_tf.py", "queues"], &["w3_records_tf.py", "data"]],
    },
    Workload {
        name: "w4",
        ours: &["softmax", "mlp", "cnn", "cnn_sgd", "lstm", "lstm_static", "transformer"],
        theirs: &[
            &["w4_tf.py", "softmax", "singular"],
            &["w4_tf.py", "mlp", "singular"],
            &["w4_tf.py", "cnn", "singular"],
            &["w4_tf.py", "cnn_sgd", "singular"],
            &["w4_tf.py", "lstm", "singular"],
            &["w4_tf.py", "transformer", "singular"],
        ],
    },
    Workload {
        name: "w5",
        ours: &[""],
        theirs: &[&["w5_startup.py", "tf_monitored"], &["w5_startup.py", "tf_session"]],
    },
    Workload { name: "w6", ours: &[""], theirs: &[&["w6_tf.py"]] },
    Workload {
        name: "w7",
        ours: &["start", "mlp", "cnn"],
        theirs: &[&["w7_tf.py", "start"], &["w7_tf.py", "mlp"], &["w7_tf.py", "cnn"]],
    },
];

/// The arguments of the command.
struct Options {
    /// The workloads to run; all if there is none.
    workloads: Vec<String>,
    /// A Python with TensorFlow; without one only our programs run.
    python: Option<PathBuf>,
    /// The number of rounds, as the programs read it from the environment. They have a default of their own.
    rounds: Option<String>,
    /// The file to which the JSON lines are written.
    out: Option<PathBuf>,
}

/// Runs the workloads requested.
pub(crate) fn bench(args: &[String]) -> Result<()> {
    let options = parse(args)?;
    let mut lines = Vec::new();
    for workload in &WORKLOADS {
        if options.workloads.is_empty() || options.workloads.iter().any(|name| workload.is_called(name)) {
            run(workload, &options, &mut lines)?;
        }
    }
    if let Some(out) = &options.out {
        std::fs::write(out, lines.join("\n") + "\n").with_context(|| format!("{}", out.display()))?;
    }
    say(&table(&lines));
    Ok(())
}

/// Reads the arguments of the command.
fn parse(args: &[String]) -> Result<Options> {
    let mut options =
        Options { workloads: Vec::new(), python: tensorflow::python(), rounds: None, out: None };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--python" => options.python = Some(PathBuf::from(value()?)),
            "--rounds" => options.rounds = Some(value()?.clone()),
            "--out" => options.out = Some(PathBuf::from(value()?)),
            name if WORKLOADS.iter().any(|workload| workload.is_called(name)) => {
                options.workloads.push(name.to_owned())
            }
            other => bail!("no workload '{other}'"),
        }
    }
    Ok(options)
}

/// Runs the cases of a workload, ours and TensorFlow's in turn, so that both meet the same machine.
fn run(workload: &Workload, options: &Options, lines: &mut Vec<String>) -> Result<()> {
    let program = if workload.ours.is_empty() { PathBuf::new() } else { build(workload.name)? };
    // The machine's peak puts the rates of the training workloads into proportion.
    let peak = if workload.name == "w4" { Some(build("peak")?) } else { None };
    let threads: &[&str] = if matches!(workload.name, "w4" | "w1") { &["1", "2"] } else { &["2"] };
    for threads in threads {
        // Some cases have a program on one side only.
        for case in 0..workload.ours.len().max(workload.theirs.len()) {
            // Close to each row: the clock of a machine changes within minutes.
            if let Some(peak) = &peak {
                collect(Command::new(peak), threads, options, lines)?;
            }
            if let Some(ours) = workload.ours.get(case) {
                let mut command = Command::new(&program);
                command.args(ours.split_whitespace());
                collect(command, threads, options, lines)?;
            }
            if let (Some(theirs), Some(python)) = (workload.theirs.get(case), &options.python) {
                let mut command = Command::new(python);
                // TensorFlow's monitored session trains on two threads even where one is requested; its plain session does not.
                command.arg(root().join("benches").join("peers").join(theirs[0]));
                let plain = *threads == "1";
                command.args(
                    theirs[1..].iter().map(|&arg| if plain && arg == "singular" { "raw" } else { arg }),
                );
                collect(command, threads, options, lines)?;
            }
        }
    }
    Ok(())
}

/// Builds one of our programs in release mode and finds it.
fn build(name: &str) -> Result<PathBuf> {
    let package = match name {
        "w2" => "monitored-checkpoint",
        "peak" => "monitored-compute",
        "w1-candle" => "monitored-candle",
        _ => "monitored-session",
    };
    let name = &name.replace('-', "_");
    let args = ["bench", "-p", package, "--bench", name, "--no-run"];
    let cargo =
        || if package == "monitored-candle" { adapters::command("candle", &args) } else { cargo(&args) };
    section(&format!("build {name}"), cargo())?;
    // The same again for the messages: nothing is left to build.
    let mut command = cargo();
    let output = command.args(["--message-format", "json"]).output()?;
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let artifact =
        messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|message| {
            let ours = message["target"]["name"] == name.as_str() && message["target"]["kind"][0] == "bench";
            ours.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
        });
    artifact.with_context(|| format!("cargo did not report where {name} is"))
}

/// Runs a program and keeps its JSON lines.
fn collect(mut command: Command, threads: &str, options: &Options, lines: &mut Vec<String>) -> Result<()> {
    command.env("THREADS", threads).current_dir(root());
    if let Some(rounds) = &options.rounds {
        command.env("ROUNDS", rounds);
    }
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    // Programs may print other lines as well.
    for line in printed.lines().filter(|line| line.starts_with('{')) {
        say(line);
        lines.push(line.to_owned());
    }
    if !output.status.success() {
        bail!("{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Returns the part of a workload's name and the threads in the name of a row: `w4/ours_singular/mlp/2t`.
fn workload_and_threads(row: &Value) -> Option<(&str, &str)> {
    match row["name"].as_str()?.split('/').collect::<Vec<_>>()[..] {
        [_, _, workload, threads] => Some((workload, threads)),
        _ => None,
    }
}

/// Returns the share of the machine's multiplications and additions that a row of training steps reaches, where both are known.
fn share_of_peak(row: &Value, rows: &[Value]) -> Option<f64> {
    let (workload, threads) = workload_and_threads(row)?;
    let steps = (row["metric"] == "steps_per_s").then(|| row["value"].as_f64())??;
    let same = |other: &&Value| workload_and_threads(other).is_some_and(|(name, _)| name == workload);
    let gflop = rows.iter().filter(same).find_map(|other| other["gflop_per_step"].as_f64())?;
    let name = format!("machine/fma_peak/{threads}");
    let peaks = rows.iter().filter(|other| other["name"] == name.as_str());
    let peak = peaks.filter_map(|other| other["value"].as_f64()).reduce(f64::max)?;
    (peak > 0.0).then_some(steps * gflop / peak)
}

/// Returns the figures side by side.
fn table(lines: &[String]) -> String {
    let mut text = format!("\n{:52} {:>12} {:>12} {:>12} unit\n", "name", "median", "min", "max");
    let rows: Vec<Value> = lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    for line in &rows {
        let number =
            |key: &str| line[key].as_f64().map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
        let share = share_of_peak(line, &rows);
        let share = share.map_or_else(String::new, |share| format!(", {:.0} % of the peak", share * 1e2));
        let _ = writeln!(
            text,
            "{:52} {:>12} {:>12} {:>12} {}{share}",
            line["name"].as_str().unwrap_or("?"),
            number("value"),
            number("min"),
            number("max"),
            line["unit"].as_str().unwrap_or("")
        );
    }
    text
}
