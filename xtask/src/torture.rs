//! Kills a training at random moments until it completes, and compares the result with an uninterrupted run.

use crate::adapters;
use crate::shell::{cargo_workspace, say, section, target};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The parameters of a torture run.
struct Plan {
    /// The number of kills for each source of batches.
    kills: u32,
    /// The number of steps of a training.
    steps: u32,
    /// The seed of the moments of the kills.
    seed: u64,
    /// True to build the training with optimizations.
    release: bool,
    /// The sources of the training's batches, used in turn.
    inputs: Vec<String>,
}

/// The input methods of the training program. There is one more, `candle`: a separate program, which is slow to build.
const INPUTS: [&str; 7] = ["hook", "slices", "records", "host", "interleaved", "rows", "generator"];

impl Plan {
    /// Reads the arguments of the command.
    fn parse(arguments: &[String]) -> Result<Plan> {
        let inputs = INPUTS.map(str::to_owned).to_vec();
        let mut plan = Plan { kills: 5, steps: 400, seed: 1, release: false, inputs };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            if word == "--release" {
                plan.release = true;
                continue;
            }
            let value = words.next().with_context(|| format!("{word} needs a value"))?;
            match word.as_str() {
                "--kills" => plan.kills = value.parse()?,
                "--steps" => plan.steps = value.parse()?,
                "--seed" => plan.seed = value.parse()?,
                "--input" => plan.inputs = vec![value.clone()],
                other => {
                    let inputs = INPUTS.join("|");
                    bail!(
                        "no option {other}; there are --kills N, --steps N, --seed N, --input {inputs}|candle, --release"
                    )
                }
            }
        }
        Ok(plan)
    }
}

/// A process that is killed when its handle is dropped.
struct Running(Child);

impl Drop for Running {
    /// Kills the process and waits for it, so that no training outlives a failed run.
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program, and the numbers that determine when to kill it.
struct Torture {
    /// The training program, which also compares folders.
    program: PathBuf,
    /// The training, if it is a separate program.
    candle: Option<PathBuf>,
    /// The parameters.
    plan: Plan,
    /// The state of the random numbers.
    numbers: u64,
    /// The current source of batches.
    input: String,
}

/// Trains once without interruption, then again and again with kills, and compares what is left.
pub(crate) fn torture(arguments: &[String]) -> Result<()> {
    let plan = Plan::parse(arguments)?;
    let mut build = cargo_workspace("build");
    build.args(["--example", "torture"]).args(plan.release.then_some("--release"));
    section("build the training", build)?;
    let target = target();
    let profile = if plan.release { "release" } else { "debug" };
    let program = target.join(profile).join("examples/torture");
    let folder = target.join("torture");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let (numbers, inputs) = (plan.seed, plan.inputs.clone());
    let wants_candle = inputs.iter().any(|input| input == "candle");
    let candle = wants_candle.then(|| adapters::example("candle", "digits", plan.release)).transpose()?;
    let mut torture = Torture { program, candle, plan, numbers, input: String::new() };
    for input in inputs {
        let folder = folder.join(&input);
        std::fs::create_dir_all(&folder)?;
        torture.input = input;
        torture.run(&folder)?;
    }
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

impl Torture {
    /// Tortures trainings with one source of batches, until the number of kills is reached.
    fn run(&mut self, folder: &Path) -> Result<()> {
        let calm = folder.join("calm");
        let begun = Instant::now();
        // Its time determines when to kill the others, and its result is what they must reach.
        self.to_the_end(&calm)?;
        let whole = begun.elapsed();
        say(&format!("input {}: uninterrupted: {:.2} s", self.input, whole.as_secs_f64()));
        let (mut kills, mut rounds, mut unpublished) = (0, 0, 0);
        while kills < self.plan.kills {
            let killed = folder.join(format!("killed-{rounds}"));
            let mut here = 0;
            // The end of the training ends the round; the last kill lets it come to its end.
            while kills < self.plan.kills {
                // Early, because a resumed training has less left and takes less time.
                let pause = whole.mul_f64(0.6 * self.next());
                if !self.kill_after(&killed, pause)? {
                    break;
                }
                kills += 1;
                here += 1;
                unpublished += unfinished(&killed);
            }
            self.to_the_end(&killed)?;
            self.compare(&calm, &killed)?;
            say(&format!("round {rounds}: killed {here} times, the same in the end"));
            rounds += 1;
        }
        say(&format!(
            "input {}: {kills} kills in {rounds} trainings of {} steps, {unpublished} of them while a checkpoint was written: \
             checkpoints, states, metrics and summaries are those of the uninterrupted one",
            self.input, self.plan.steps
        ));
        Ok(())
    }

    /// Returns a number from 0 to 1 (SplitMix64).
    fn next(&mut self) -> f64 {
        self.numbers = self.numbers.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.numbers;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns the command that runs or resumes a training in a folder.
    fn training(&self, directory: &Path) -> Command {
        let candle = self.candle.as_ref().filter(|_| self.input == "candle");
        let mut command = Command::new(candle.unwrap_or(&self.program));
        command.arg("--dir").arg(directory).args(["--steps", &self.plan.steps.to_string()]);
        if candle.is_none() {
            command.args(["--input", &self.input]);
        } else {
            // With one or two threads in turn: their number must not matter.
            command.env("RAYON_NUM_THREADS", if self.numbers.is_multiple_of(2) { "1" } else { "2" });
        }
        command.stdout(Stdio::null());
        command
    }

    /// Runs a training until it completes.
    fn to_the_end(&self, directory: &Path) -> Result<()> {
        let status = self.training(directory).status()?;
        ensure!(status.success(), "the training in {} ended with {status}", directory.display());
        Ok(())
    }

    /// Lets a training run for a time and kills it with `SIGKILL`. Returns true if it was still alive.
    fn kill_after(&self, directory: &Path, pause: Duration) -> Result<bool> {
        let mut running = Running(self.training(directory).spawn()?);
        let begun = Instant::now();
        // Looks again and again, because a training that ends meanwhile ends the round.
        while begun.elapsed() < pause {
            if let Some(status) = running.0.try_wait()? {
                ensure!(status.success(), "the training in {} ended with {status}", directory.display());
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        running.0.kill()?;
        running.0.wait()?;
        Ok(true)
    }

    /// Fails if a killed training differs in the end from an uninterrupted one.
    fn compare(&self, calm: &Path, killed: &Path) -> Result<()> {
        let output =
            Command::new(&self.program).arg("--compare").arg(calm).arg("--with").arg(killed).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} differs from {}: {errors}", killed.display(), calm.display());
        Ok(())
    }
}

/// 1 if a checkpoint was being written: files that are not published yet are there.
fn unfinished(directory: &Path) -> u32 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let mut names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    u32::from(names.any(|name| name.contains("tmp") || name.contains("temp")))
}
